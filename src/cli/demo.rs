//! The demo: a small company in the same process.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use countersign::clock::Clock;
use countersign::config::directories::{Directory, Reach, Scim, ScimCredentials, Service};
use countersign::config::{Oidc, Settings};
use countersign::demo::company::Company;
use countersign::demo::serve::{self, Running};
use countersign::domain::event::{Actor, Channel};
use countersign::domain::secret::Secret;
use countersign::service::ctx::{Changing, Ctx};
use countersign::service::{apply, sync};
use countersign::web::state::Public;

use super::failure::Failure;

/// The catalog of the demo company.
const CATALOG: &str = include_str!("../../config/demo/catalog.toml");
/// Key of the demo's directory.
const KEY: &str = "main";
/// The relying party's name at the demo's provider.
const CLIENT: &str = "countersign";

/// Who to sign in as.
pub const WHO: &str = "  Sign in by choosing a person (there are no passwords):
    Bo Lind        data analyst            asks for access
    Mara Voss      his manager             approves first
    Arjun Mehta    owns Orders DB          approves as owner
    Sofía Marín    administrator           Wei Zhang  auditor
";

/// Starts the demo directory and makes `settings` use it, only through its protocols.
pub async fn start(settings: &mut Settings, public: &Public, clock: Clock) -> Result<Running, Failure> {
    let company = match &settings.demo.company {
        Some(file) => Company::parse(&std::fs::read_to_string(file).map_err(|error| Failure(format!("{} cannot be read: {error}", file.display())))?)?,
        None => Company::embedded()?,
    };
    std::fs::create_dir_all(&settings.data.folder).map_err(|error| Failure(format!("{} cannot be made: {error}", settings.data.folder.display())))?;
    let token = kept_secret(&settings.data.folder.join("demo-scim-token"))?;
    let client_secret = kept_secret(&settings.data.folder.join("demo-client-secret"))?;
    let demo = serve::start(
        serve::Settings {
            listen: settings.demo.listen,
            company,
            state: Some(settings.data.folder.join("demo-directory.json")),
            client_id: CLIENT.into(),
            client_secret: client_secret.clone(),
            redirect_uris: vec![public.url("/sign-in/callback")],
            post_logout_redirect_uris: vec![public.url("/signed-out")],
            scim_token: token.clone(),
        },
        clock,
    )
    .await
    .map_err(|error| Failure(format!("{error}. Set COUNTERSIGN_DEMO__LISTEN to another loopback address.")))?;
    settings.oidc = Some(Oidc {
        issuer: demo.issuer().into(),
        client_id: CLIENT.into(),
        client_secret: Some(Secret::new(&client_secret)),
        scopes: ["openid", "profile", "email"].map(String::from).into(),
        directory: KEY.into(),
        link_claim: "preferred_username".into(),
        link_attribute: "userName".into(),
    });
    settings.directories = [(KEY.to_owned(), directory(demo.scim_base(), &token))].into();
    Ok(demo)
}

/// The demo's directory, for a command beside a demo server that runs.
pub fn beside(settings: &mut Settings) -> Result<(), Failure> {
    let file = settings.data.folder.join("demo-scim-token");
    let token = std::fs::read_to_string(&file)
        .map_err(|_| Failure(format!("no demo has run in {}: start `countersign serve --demo` first", settings.data.folder.display())))?;
    settings.directories = [(KEY.to_owned(), directory(format!("http://{}/scim/v2", settings.demo.listen), &token))].into();
    Ok(())
}

fn directory(base_url: String, token: &str) -> Directory {
    Directory {
        service: Service::Scim(Scim { base_url, credentials: ScimCredentials::Token(Secret::new(token)) }),
        reach: Reach { timeout: Duration::from_secs(10), max_concurrent: 32, requests_per_minute: None, extra_roots: None },
        attributes: BTreeMap::new(),
        administrators_group: Some("countersign-admins".into()),
        auditors_group: Some("countersign-auditors".into()),
        // A newcomer who disables somebody in the demo directory wants to see what follows.
        sync_interval: TimeDelta::seconds(10),
        changes_interval: TimeDelta::minutes(1),
        hook_secret: None,
    }
}

/// Reads everybody in, and applies the demo's catalog when there is none yet.
pub async fn fill(ctx: &Ctx) -> Result<(), Failure> {
    sync::sync(ctx, KEY).await?;
    if countersign::service::look::find::any_application(ctx).await? {
        return Ok(());
    }
    // The invented company comes with its invented rules; whatever changes them later may need a second person.
    let alone = Ctx { changing: Changing { require_second_person: false, ..ctx.changing.clone() }, ..ctx.clone() };
    let applied = apply::run(&alone, (CATALOG, "demo/catalog.toml"), (Actor::System, Channel::Cli)).await?;
    if !applied.plan.is_good() {
        tracing::warn!(plan = %applied.plan, "the demo's catalog does not fit this company; apply one of your own");
    }
    Ok(())
}

/// A random secret that stays the same between starts, readable by its owner only.
fn kept_secret(file: &Path) -> Result<String, Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if let Ok(kept) = std::fs::read_to_string(file)
        && !kept.trim().is_empty()
    {
        return Ok(kept.trim().to_owned());
    }
    let random: [u8; 32] = rand::random();
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.write_all(secret.as_bytes())?;
    Ok(secret)
}
