//! `[evidence]`, `[witness]` and `[retention]`: what is signed, shown, kept.

use std::path::PathBuf;

use chrono::TimeDelta;

use super::check::Check;
use super::{Server, schedules};
use crate::domain::secret::Secret;

/// `[witness]`: who is handed checkpoints of the log.
#[derive(Clone, Debug)]
pub struct Witness {
    /// How often.
    pub every: TimeDelta,
    /// A folder to leave them in.
    pub folder: Option<PathBuf>,
    /// An address to post them to.
    pub webhook_url: Option<String>,
    /// The bearer token for it.
    pub webhook_secret: Option<Secret>,
    /// Addresses to mail them to.
    pub mail: Vec<String>,
}

/// `[retention]`: how long what is kept; none: for good.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Who a person was, after they left.
    pub people: Option<TimeDelta>,
    /// What was written in a request, after it closed and its access ended.
    pub requests: Option<TimeDelta>,
    /// Who signed in, out, or was not let in.
    pub sign_ins: Option<TimeDelta>,
    /// What people were told.
    pub notices: Option<TimeDelta>,
}

/// `[evidence]`
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The file of the key that signs the log; `None` is `signing.key` in the data folder.
    pub signing_key_file: Option<PathBuf>,
    /// The log's name in what is signed, if it is set; see [`Evidence::log_name`].
    pub name: Option<String>,
}

impl Evidence {
    /// The name that a new key signs under: the configured one, else the public host, else `countersign`.
    pub fn log_name(&self, server: &Server) -> String {
        let host = || server.public_url.as_deref().and_then(|url| url.split("//").nth(1)).map(|host| host.replace(':', "/"));
        self.name.clone().or_else(host).unwrap_or_else(|| "countersign".to_owned())
    }
}

/// Reads `[evidence]`.
pub fn evidence(check: &mut Check) -> Evidence {
    let signing_key_file = check.optional("evidence.signing_key_file").map(PathBuf::from);
    if signing_key_file.as_ref().is_some_and(|path| !path.is_absolute()) {
        check.fault("evidence.signing_key_file", "must be an absolute path");
    }
    let name = check.optional("evidence.log_name");
    if name.as_ref().is_some_and(|name| name.chars().any(|c| c.is_whitespace() || c == '+')) {
        check.fault("evidence.log_name", "must have no blank and no + in it");
    }
    Evidence { signing_key_file, name }
}

/// Reads `[witness]`; `can_mail` says that there is a mail server.
pub fn witness(check: &mut Check, can_mail: bool) -> Witness {
    let folder = check.optional("witness.folder").map(PathBuf::from);
    if folder.as_ref().is_some_and(|path| !path.is_absolute()) {
        check.fault("witness.folder", "must be an absolute path");
    }
    let webhook_url = check.web_address("witness.webhook_url");
    let webhook_secret = check.secret("witness.webhook_secret");
    let mail = schedules::addresses(check, "witness.mail");
    if !mail.is_empty() && !can_mail && !check.is_faulty("mail.") {
        check.fault("witness.mail", "needs a mail server: set mail.host");
    }
    Witness { every: TimeDelta::minutes(check.number("witness.every_minutes", 1..=10_080)), folder, webhook_url, webhook_secret, mail }
}

/// Reads `[retention]`.
pub fn retention(check: &mut Check) -> Retention {
    let mut days = |name: &str, least: i64| {
        let days: i64 = check.number(name, 0..=36_500);
        if (1..least).contains(&days) {
            check.fault(name, format!("must be 0 (never) or at least {least} days: the database keeps what is younger"));
        }
        (days > 0).then(|| TimeDelta::days(days))
    };
    Retention {
        people: days("retention.people_days", 1),
        requests: days("retention.requests_days", 30),
        sign_ins: days("retention.sign_ins_days", 30),
        notices: days("retention.notices_days", 30),
    }
}
