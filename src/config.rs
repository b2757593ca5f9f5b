//! Settings, read once and checked whole.
//!
//! [`Settings::load`] lays a file and the environment over `config/default.toml`, which documents every setting, and
//! answers with all settings or with every [`Fault`] there is.

pub mod check;
pub mod directories;
pub mod evidence;
pub mod layers;
pub mod network;
pub mod schedules;

pub use evidence::{Evidence, Retention, Witness};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use check::Check;
use directories::Directory;
use layers::Fault;
use network::Network;
use schedules::Schedules;

use crate::domain::secret::Secret;
use crate::notify::mail::Mailer;
use crate::store::local;

/// What the settings are for; it decides what must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Serving real people: sign-in and directory must be configured.
    Serve,
    /// Serving the demo: sign-in and directory are the demo directory's and must not be configured; loopback only.
    Demo,
    /// A command that may do without sign-in and directory.
    Tool,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The web server.
    pub server: Server,
    /// Postgres.
    pub database: Database,
    /// Own files.
    pub data: Data,
    /// Sessions.
    pub session: Session,
    /// Sign-in; there when [`Purpose::Serve`], or when configured. The demo fills it in.
    pub oidc: Option<Oidc>,
    /// The directories by key; at least one when [`Purpose::Serve`]. The demo fills its own in.
    pub directories: BTreeMap<String, Directory>,
    /// `[policy]`
    pub policy: Policy,
    /// The signed log.
    pub evidence: Evidence,
    /// Who is handed checkpoints.
    pub witness: Witness,
    /// The mail server, if there is one.
    pub mail: Option<Mailer>,
    /// Where schedules may send evidence, and those that stand in the file.
    pub schedules: Schedules,
    /// How long personal data is kept.
    pub retention: Retention,
    /// Memberships.
    pub provisioning: Provisioning,
    /// Log lines.
    pub log: Log,
    /// The demo directory; used only by `--demo`.
    pub demo: Demo,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The configured public origin, without a slash at the end; see [`Server::public_url`].
    pub public_url: Option<String>,
    /// Where to serve metrics, if at all.
    pub metrics_listen: Option<SocketAddr>,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<Network>,
    /// The longest request body, bytes.
    pub body_limit_bytes: usize,
}

impl Server {
    /// The origin that people's browsers see, without a slash at the end; `bound` is where the server listens in fact.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

/// `[data]`
#[derive(Clone, Debug)]
pub struct Data {
    /// The data folder, absolute; empty only when nothing says where and `database.url` is set.
    pub folder: PathBuf,
}

/// `[database]`
#[derive(Clone, Debug)]
pub struct Database {
    /// The owner's address of the database; `None` is the private Postgres.
    pub url: Option<Secret>,
    /// The application's address of the database, if it has a login of its own.
    pub app_url: Option<Secret>,
    /// The most connections.
    pub max_connections: u32,
}

/// `[session]`
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The longest pause.
    pub idle: TimeDelta,
    /// The longest session.
    pub absolute: TimeDelta,
    /// The longest pause of administrators and auditors.
    pub privileged_idle: TimeDelta,
}

/// `[oidc]`
#[derive(Clone, Debug)]
pub struct Oidc {
    /// The issuer, as written.
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// Our client secret there; `None` for a public client.
    pub client_secret: Option<Secret>,
    /// What we ask for; holds `openid`.
    pub scopes: Vec<String>,
    /// Key of the directory whose people sign in here.
    pub directory: String,
    /// The claim that finds the person once.
    pub link_claim: String,
    /// The directory attribute it is compared with.
    pub link_attribute: String,
}

/// `[policy]`
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether another administrator must approve a change of the rules.
    pub require_second_person: bool,
}

/// `[provisioning]`
#[derive(Clone, Copy, Debug)]
pub struct Provisioning {
    /// When a removal is read back once more.
    pub verify_again: TimeDelta,
    /// The pause between two sweeps.
    pub sweep_interval: TimeDelta,
    /// When a grant has failed.
    pub give_up: TimeDelta,
    /// Within how many hours everything of who left must have ended.
    pub leaver_sla_hours: i32,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A filter in the words of `tracing_subscriber::EnvFilter`; it has been parsed once.
    pub level: String,
}

/// `[demo]`
#[derive(Clone, Debug)]
pub struct Demo {
    /// Where the demo directory listens; loopback.
    pub listen: SocketAddr,
    /// The company's file; `None` is the one that comes with the program.
    pub company: Option<PathBuf>,
}

/// `log.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text in a terminal, else JSON.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// Reads the defaults, then `file` (else the file that COUNTERSIGN_CONFIG names), then `env`, and checks it all.
    ///
    /// # Errors
    /// Every fault there is; never empty, and without any secret in it.
    pub fn load(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>, purpose: Purpose) -> Result<Self, Vec<Fault>> {
        let env: BTreeMap<String, String> = env.into_iter().collect();
        let named = env.get(layers::FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let mut faults = Vec::new();
        let layers = layers::read(file.or(named.as_deref()), &env, &mut faults);
        let mut check = Check::new(layers, faults);
        let directories = directories::read::read(&mut check, purpose);
        let server = server(&mut check, purpose);
        let mail = schedules::mail(&mut check);
        let settings = Self {
            schedules: schedules::read(&mut check, mail.as_ref(), &server.public_url(server.listen)),
            server,
            database: database(&mut check),
            data: data(&mut check, purpose, &env),
            session: session(&mut check),
            oidc: oidc(&mut check, purpose, &directories),
            directories,
            evidence: evidence::evidence(&mut check),
            witness: evidence::witness(&mut check, mail.is_some()),
            mail,
            retention: evidence::retention(&mut check),
            policy: Policy { require_second_person: check.flag("policy.require_second_person") },
            provisioning: provisioning(&mut check),
            log: log(&mut check),
            demo: demo(&mut check),
        };
        check.finish().map(|()| settings)
    }

    /// What the private Postgres needs, when no server is configured.
    pub fn local_postgres(&self) -> Option<local::Settings> {
        let private = local::Settings { data: self.data.folder.clone(), binaries: None, fsync: true };
        self.database.url.is_none().then_some(private)
    }
}

fn server(check: &mut Check, purpose: Purpose) -> Server {
    let listen = check.address("server.listen").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
    let public_url = check.web_address("server.public_url");
    if let Some(url) = &public_url
        && url.matches('/').count() > 2
    {
        check.fault("server.public_url", "must be an address without a path, such as https://access.example.com");
    }
    if purpose == Purpose::Demo && !listen.ip().is_loopback() {
        check.fault("server.listen", "the demo lets anyone be anyone: it listens on a loopback address only");
    } else if purpose == Purpose::Serve && !listen.ip().is_loopback() {
        // Told by the setting as written: one that is faulty has been told of already.
        if check.optional("server.public_url").is_none() {
            check.fault(
                "server.public_url",
                "must be set, beginning with https://, when server.listen is beyond this machine: sessions do not travel in the clear",
            );
        } else if public_url.as_deref().is_some_and(|url| !url.starts_with("https://")) {
            check.fault("server.public_url", "must begin with https:// when server.listen is beyond this machine: sessions do not travel in the clear");
        }
    }
    Server {
        listen,
        public_url,
        metrics_listen: check.address("server.metrics_listen"),
        trusted_proxies: check.networks("server.trusted_proxies"),
        body_limit_bytes: check.number("server.body_limit_bytes", 4096..=16_777_216),
    }
}

fn data(check: &mut Check, purpose: Purpose, env: &BTreeMap<String, String>) -> Data {
    let folder = check.optional("data.folder").map(PathBuf::from);
    let folder = folder.or_else(|| default_folder(env, is_root(), purpose == Purpose::Demo));
    match &folder {
        Some(folder) if !folder.is_absolute() => check.fault("data.folder", "must be an absolute path"),
        None if check.optional("database.url").is_none() => {
            check.fault("data.folder", "is empty, and HOME and XDG_DATA_HOME do not say where data go; name a folder");
        }
        _ => {}
    }
    Data { folder: folder.unwrap_or_default() }
}

/// The data folder when none is named. The demo has its own, so that its people never mix with real ones.
fn default_folder(env: &BTreeMap<String, String>, root: bool, demo: bool) -> Option<PathBuf> {
    let name = if demo { "countersign-demo" } else { "countersign" };
    let absolute = |variable: &str| env.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    if root {
        return Some(Path::new("/var/lib").join(name));
    }
    // XDG Base Directory Specification: a relative XDG_DATA_HOME is ignored.
    let home = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    home.map(|home| home.join(name))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata("/proc/self") {
        Ok(found) => found.uid() == 0,
        Err(_) => {
            let id = std::process::Command::new("id").arg("-u").output();
            id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
        }
    }
}

fn database(check: &mut Check) -> Database {
    let url = check.postgres("database.url");
    let app_url = check.postgres("database.app_url");
    if url.is_none() && app_url.is_some() {
        check.fault("database.app_url", "needs database.url as well, for the owner; or leave both empty");
    }
    Database { url, app_url, max_connections: check.number("database.max_connections", 2..=500) }
}

fn session(check: &mut Check) -> Session {
    let idle: i64 = check.number("session.idle_minutes", 1..=1440);
    let privileged: i64 = check.number("session.privileged_idle_minutes", 1..=1440);
    if privileged > idle {
        check.fault("session.privileged_idle_minutes", "must not be above session.idle_minutes");
    }
    Session {
        idle: TimeDelta::minutes(idle),
        absolute: TimeDelta::hours(check.number("session.absolute_hours", 1..=168)),
        privileged_idle: TimeDelta::minutes(privileged),
    }
}

fn oidc(check: &mut Check, purpose: Purpose, directories: &BTreeMap<String, Directory>) -> Option<Oidc> {
    let issuer = check.web_address("oidc.issuer");
    let client_id = check.optional("oidc.client_id");
    let client_secret = check.secret("oidc.client_secret");
    let scopes = check.list("oidc.scopes");
    let directory = check.optional("oidc.directory");
    let claim = check.optional("oidc.link_claim");
    let attribute = check.choice("oidc.link_attribute", &["", "id", "userName", "externalId", "employeeNumber", "email"]);
    let by_email = check.flag("oidc.link_by_email");
    if !scopes.iter().any(|scope| scope == "openid") {
        check.fault("oidc.scopes", "must hold \"openid\"");
    }
    for (name, is_email) in [("oidc.link_claim", claim.as_deref() == Some("email")), ("oidc.link_attribute", attribute == "email")] {
        if is_email && !by_email {
            check.fault(name, "an address is no identity: it changes, and is given to somebody else. Say oidc.link_by_email = true if yours never are");
        }
    }
    let given = issuer.is_some() || client_id.is_some() || client_secret.is_some();
    if !check.wanted(purpose, given, &["oidc.issuer", "oidc.client_id", "oidc.client_secret", "oidc.directory"]) {
        return None;
    }
    // Kept as it is written: the discovery document must name the same (OpenID Connect Discovery 1.0 §4.3).
    let issuer = check.required("oidc.issuer", "the issuer of your OpenID Connect provider");
    let client_id = check.required("oidc.client_id", "the client id that the provider gave Countersign");
    let directory = home(check, directory, directories);
    let id_claim = directories.get(&directory).and_then(|directory| directory.service.id_claim());
    let (usual_claim, usual_attribute) = id_claim.map_or(("preferred_username", "userName"), |claim| (claim, "id"));
    if claim.is_some() == attribute.is_empty() && id_claim.is_some() {
        let missing = if claim.is_some() { "oidc.link_attribute" } else { "oidc.link_claim" };
        check.fault(missing, "is empty; oidc.link_claim and oidc.link_attribute belong together: set both or none");
    }
    let link_claim = claim.unwrap_or_else(|| usual_claim.into());
    let link_attribute = if attribute.is_empty() { usual_attribute.into() } else { attribute };
    Some(Oidc { issuer, client_id, client_secret, scopes, directory, link_claim, link_attribute })
}

/// The directory whose people sign in: the one that is named, else `main`, else the only one.
fn home(check: &mut Check, named: Option<String>, directories: &BTreeMap<String, Directory>) -> String {
    match named {
        Some(named) => {
            if !directories.contains_key(&named) && !check.is_faulty(&format!("directories.{named}")) {
                check.fault("oidc.directory", format!("there is no directory {named:?}"));
            }
            named
        }
        None if directories.contains_key("main") || directories.len() < 2 => {
            directories.keys().find(|key| *key == "main").or(directories.keys().next()).cloned().unwrap_or_default()
        }
        None => {
            check.fault("oidc.directory", "is empty, and there are several directories and none is called main; name the one whose people sign in");
            String::new()
        }
    }
}

fn provisioning(check: &mut Check) -> Provisioning {
    Provisioning {
        verify_again: TimeDelta::seconds(check.number("provisioning.verify_again_seconds", 1..=3600)),
        sweep_interval: TimeDelta::seconds(check.number("provisioning.sweep_interval_seconds", 10..=86_400)),
        give_up: TimeDelta::hours(check.number("provisioning.give_up_hours", 1..=720)),
        leaver_sla_hours: check.number("provisioning.leaver_sla_hours", 1..=720),
    }
}

fn demo(check: &mut Check) -> Demo {
    let listen = check.address("demo.listen").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8081)));
    if !listen.ip().is_loopback() {
        check.fault("demo.listen", "the demo lets anyone be anyone: it listens on a loopback address only");
    }
    Demo { listen, company: check.optional("demo.company").map(PathBuf::from) }
}

fn log(check: &mut Check) -> Log {
    let format = match check.choice("log.format", &["auto", "text", "json"]).as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => LogFormat::Auto,
    };
    let level = check.text("log.level");
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
        check.fault("log.level", format!("{level:?} is not error, warn, info, debug, trace or a list by module: {error}"));
    }
    Log { format, level }
}

#[cfg(test)]
mod tests;
