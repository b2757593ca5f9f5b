//! Puts the pieces together from the settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use countersign::clock::Clock;
use countersign::config::directories::{Directory, Service};
use countersign::config::{Purpose, Settings};
use countersign::domain::secret::Secret;
use countersign::service::ctx::{Access, Changing, Ctx, Directories, Hook, HookKind, Provisioning};
use countersign::service::erase::Retention;
use countersign::service::heartbeat;
use countersign::service::recent::Recent;
use countersign::service::witness::Witnesses;
use countersign::store::db::{self, Db};
use countersign::store::local::{self, LocalPostgres};
use countersign::store::local_error::Error::InUse;
use countersign::store::policy::Policies;
use countersign::store::separation::Separations;
use tokio::sync::Notify;

use super::failure::Failure;

/// Which settings a command works with.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// The settings file.
    pub config: Option<PathBuf>,
    /// The demo's.
    pub demo: bool,
}

/// Reads the settings; every fault there is becomes one line.
pub fn settings(file: Option<&Path>, purpose: Purpose) -> Result<Settings, Failure> {
    Settings::load(file, std::env::vars(), purpose).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
        Failure(format!("the settings cannot be used:\n{}", lines.join("\n")))
    })
}

/// The private Postgres, when no server is configured, and how to reach the database. With `beside`, one that another program
/// keeps running in the same data folder will do.
pub async fn database(settings: &Settings, beside: bool) -> Result<(Option<LocalPostgres>, db::Settings), Failure> {
    let max_connections = settings.database.max_connections;
    if let Some(private) = settings.local_postgres() {
        let data = private.data.clone();
        let (server, owner) = match local::start(private).await {
            Ok(server) => {
                let owner = server.options();
                (Some(server), owner)
            }
            Err(in_use @ InUse { .. }) => match local::beside(&data).filter(|_| beside) {
                Some(owner) => (None, owner),
                None => return Err(in_use.into()),
            },
            Err(other) => return Err(other.into()),
        };
        return Ok((server, db::Settings { owner: Some(owner), app: None, max_connections }));
    }
    let parse = |secret: &Option<Secret>| secret.as_ref().map(|url| db::parse_url(url.reveal())).transpose();
    Ok((None, db::Settings { owner: parse(&settings.database.url)?, app: parse(&settings.database.app_url)?, max_connections }))
}

/// Everything the verbs need. `directory` is the configured one, or the demo's.
pub async fn ctx(settings: &Settings, database: &db::Settings, clock: Clock) -> Result<Ctx, Failure> {
    let db = Db::connect(database).await?;
    let mut directories = BTreeMap::new();
    for (key, directory) in &settings.directories {
        let connected = super::connect::connect(directory, clock.clone()).map_err(|sentence| Failure(format!("directory {key}: {sentence}")))?;
        directories.insert(key.clone(), connected);
    }
    let directories = match &settings.oidc {
        Some(oidc) => Directories::new(directories, &oidc.directory),
        None => Directories::from(directories),
    };
    let ctx = Ctx {
        db,
        policies: Policies::default(),
        separation: Separations::default(),
        directories: Arc::new(directories),
        clock,
        provisioning: Arc::new(Provisioning {
            verify_again: settings.provisioning.verify_again,
            sweep_every: settings.provisioning.sweep_interval,
            sync_every_of: settings.directories.iter().map(|(key, directory)| (key.clone(), directory.sync_interval)).collect(),
            changes_every_of: settings.directories.iter().map(|(key, directory)| (key.clone(), directory.changes_interval)).collect(),
            leaver_sla_hours: settings.provisioning.leaver_sla_hours,
            give_up: settings.provisioning.give_up,
            ..Provisioning::default()
        }),
        access: Arc::new(settings.directories.iter().map(|(key, directory)| (key.clone(), access(directory))).collect()),
        changing: Changing { require_second_person: settings.policy.require_second_person, ..Changing::default() },
        wake: Arc::new(Notify::new()),
        sealer: super::key::sealer(settings, false)?,
        witnesses: Arc::new(witnesses(settings)?),
        places: Arc::new(settings.schedules.places.clone()),
        retention: retention(settings),
        recent: Recent::default(),
        hooks: Arc::new(hooks(settings)),
    };
    heartbeat::follow_clock(&ctx).await?;
    Ok(ctx)
}

fn witnesses(settings: &Settings) -> Result<Witnesses, Failure> {
    let witness = &settings.witness;
    let webhook = witness.webhook_url.as_deref().map(|url| (url, witness.webhook_secret.clone()));
    let witnesses =
        Witnesses::new(witness.every, witness.folder.as_deref(), webhook).map_err(|sentence| Failure(format!("witness.webhook_url: {sentence}")))?;
    Ok(match &settings.mail {
        Some(mailer) if !witness.mail.is_empty() => witnesses.and_mail(mailer.clone(), &witness.mail),
        _ => witnesses,
    })
}

fn retention(settings: &Settings) -> Retention {
    let countersign::config::Retention { people, requests, sign_ins, notices } = settings.retention;
    Retention { people, requests, sign_ins, notices }
}

fn access(directory: &Directory) -> Access {
    Access {
        administrators_group: directory.administrators_group.clone().unwrap_or_default(),
        auditors_group: directory.auditors_group.clone().unwrap_or_default(),
    }
}

/// How directories tell us of changes.
fn hooks(settings: &Settings) -> BTreeMap<String, Hook> {
    let hook = |(key, directory): (&String, &Directory)| {
        let kind = match directory.service {
            Service::Okta(_) => HookKind::Okta,
            Service::Entra(_) => HookKind::Entra,
            _ => HookKind::Plain,
        };
        // Microsoft Graph calls nothing but https.
        let public = settings.server.public_url.as_deref().filter(|url| kind == HookKind::Entra && url.starts_with("https://"));
        let address = public.map(|url| format!("{url}/hooks/directories/{key}"));
        Some((key.clone(), Hook { kind, secret: directory.hook_secret.clone()?, address }))
    };
    settings.directories.iter().filter_map(hook).collect()
}

/// `countersign migrate`
pub async fn migrate(chosen: &Chosen) -> Result<ExitCode, Failure> {
    let settings = tool_settings(chosen)?;
    let (server, database) = database(&settings, true).await?;
    let owner = database.owner.as_ref().ok_or_else(|| Failure("database.url, the owner's, is needed to migrate".into()))?;
    let outcome = db::migrate(owner, database.app.is_none()).await;
    if let Some(server) = server {
        server.stop().await?;
    }
    outcome?;
    eprintln!("The schema is up to date.");
    Ok(ExitCode::SUCCESS)
}

fn tool_settings(chosen: &Chosen) -> Result<Settings, Failure> {
    let settings = if chosen.demo {
        let mut settings = settings(chosen.config.as_deref(), Purpose::Demo)?;
        super::demo::beside(&mut settings)?;
        settings
    } else {
        settings(chosen.config.as_deref(), Purpose::Tool)?
    };
    super::logs::start(&settings.log);
    Ok(settings)
}

/// Runs `work` with everything the verbs need, against the configured database, and puts it all away afterwards. A server may run
/// beside it, in the same data folder too.
pub async fn with<F>(chosen: &Chosen, work: F) -> Result<ExitCode, Failure>
where
    F: AsyncFnOnce(&Ctx) -> Result<ExitCode, Failure>,
{
    let settings = tool_settings(chosen)?;
    let (server, database) = database(&settings, true).await?;
    let outcome = match ctx(&settings, &database, Clock::system()).await {
        Ok(ctx) => {
            let outcome = work(&ctx).await;
            ctx.db.close().await;
            outcome
        }
        Err(failure) => Err(failure),
    };
    if let Some(server) = server {
        server.stop().await?;
    }
    outcome
}
