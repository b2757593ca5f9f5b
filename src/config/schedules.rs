//! `[mail]`, `[schedules]` and `[[schedule]]`: where evidence may go by itself.

use std::net::IpAddr;
use std::path::PathBuf;

use super::check::Check;
use crate::domain::schedule::{self, Written, address, is_domain};
use crate::notify::mail::{Mailer, Secrecy, Settings};
use crate::service::schedule::make::{Declared, whats};
use crate::service::schedule::places::Places;

/// The shortest secret that signs.
const SHORTEST: usize = 24;
/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// `[schedules]` and every `[[schedule]]`.
#[derive(Clone, Debug)]
pub struct Schedules {
    /// Where evidence may be sent.
    pub places: Places,
    /// The schedules that stand in the file.
    pub declared: Vec<Declared>,
}

/// `[mail]`: the mail server; none where there is no host.
pub fn mail(check: &mut Check) -> Option<Mailer> {
    let host = check.optional("mail.host");
    let port: u16 = check.number("mail.port", 0..=65_535);
    let tls = check.choice("mail.tls", &["starttls", "tls", "none"]);
    let (user, password) = (check.optional("mail.user"), check.secret("mail.password"));
    let from = check.optional("mail.from");
    let extra_roots = check.content("mail.ca_file");
    let Some(host) = host else {
        if from.is_some() || user.is_some() || password.is_some() {
            check.fault("mail.host", "is empty; name the mail server, or leave all of [mail] empty");
        }
        return None;
    };
    let before = check.count();
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if host.parse::<IpAddr>().is_err() && host != "localhost" && !is_domain(&host.to_ascii_lowercase()) {
        check.fault("mail.host", "must be the name or the IP address of a mail server, without a port");
    }
    if tls == "none" && !loopback {
        check.fault("mail.tls", "none is for a mail server on this machine only: evidence does not travel in the clear");
    }
    if user.is_some() != password.is_some() {
        check.fault(if user.is_some() { "mail.password" } else { "mail.user" }, "mail.user and mail.password belong together: set both or none");
    }
    let from = match from.as_deref().map(address) {
        Some(Some(from)) => from,
        Some(None) => {
            check.fault("mail.from", "must be a mail address, such as countersign@example.com");
            String::new()
        }
        None => {
            check.fault("mail.from", "is empty; it must be the address that mails come from");
            String::new()
        }
    };
    if check.count() > before {
        return None;
    }
    let secrecy = match tls.as_str() {
        "tls" => Secrecy::Tls,
        "none" => Secrecy::None,
        _ => Secrecy::StartTls,
    };
    let settings = Settings { host, port: (port > 0).then_some(port), secrecy, login: user.zip(password), from, extra_roots };
    match Mailer::new(&settings) {
        Ok(mailer) => Some(mailer),
        Err(sentence) => {
            check.fault("mail.ca_file", sentence.trim_end_matches('.'));
            None
        }
    }
}

/// Mail addresses of a list, each once.
pub fn addresses(check: &mut Check, name: &str) -> Vec<String> {
    let mut good = Vec::new();
    for written in check.list(name) {
        match address(written.trim()) {
            Some(address) if good.contains(&address) => {}
            Some(address) => good.push(address),
            None => check.fault(name, format!("{written:?} is no mail address that can be sent to")),
        }
    }
    good
}

/// Where schedules may send evidence, and the schedules of the file.
pub fn read(check: &mut Check, mailer: Option<&Mailer>, public_url: &str) -> Schedules {
    let places = places(check, mailer, public_url);
    // Where to is looked at only when what may be is known.
    let known = !check.is_faulty("schedules.") && !check.is_faulty("mail.");
    let mut declared: Vec<Declared> = Vec::new();
    for number in check.schedules() {
        let one = one(check, number, known.then_some(&places));
        let name = one.written.name.to_lowercase();
        if !name.is_empty() && declared.iter().any(|other| other.written.name.to_lowercase() == name) {
            check.fault(&format!("schedule.{number}.name"), "another schedule has this name");
        }
        declared.push(one);
    }
    Schedules { places, declared }
}

fn places(check: &mut Check, mailer: Option<&Mailer>, public_url: &str) -> Places {
    let mut places = Places { tries: check.number("schedules.tries", 1..=20), public_url: public_url.to_owned(), ..Places::default() };
    if let Some(folder) = check.optional("schedules.folder").map(PathBuf::from) {
        if folder.is_absolute() {
            places = places.with_folder(&folder);
        } else {
            check.fault("schedules.folder", "must be an absolute path");
        }
    }
    let hosts = check.list("schedules.webhook_hosts");
    for host in &hosts {
        if !is_host(host) {
            check.fault("schedules.webhook_hosts", format!("{host:?} is not HOST or HOST:PORT, such as audit.example.com"));
        }
    }
    let secret = check.secret("schedules.webhook_secret");
    if secret.as_ref().is_some_and(|secret| secret.reveal().len() < SHORTEST) {
        check.fault("schedules.webhook_secret", format!("must have at least {SHORTEST} characters"));
    }
    let most: u64 = check.number("schedules.webhook_max_mib", 1..=1_000_000);
    match (hosts.is_empty(), secret) {
        (false, None) => check.fault("schedules.webhook_secret", "is empty; calls are signed with it, so schedules.webhook_hosts needs it"),
        (false, Some(secret)) => match places.clone().with_webhooks(&hosts, secret, most * MIB) {
            Ok(with) => places = with,
            Err(sentence) => check.fault("schedules.webhook_hosts", sentence.trim_end_matches('.')),
        },
        (true, _) => {}
    }
    let domains: Vec<String> = check.list("schedules.mail_domains").iter().map(|domain| domain.to_ascii_lowercase()).collect();
    for domain in domains.iter().filter(|domain| !is_domain(domain)) {
        check.fault("schedules.mail_domains", format!("{domain:?} is no domain, such as example.com"));
    }
    let most: u64 = check.number("schedules.mail_max_mib", 1..=100);
    match mailer {
        Some(mailer) if !domains.is_empty() => places = places.with_mail(mailer.clone(), &domains, most * MIB),
        None if !domains.is_empty() && !check.is_faulty("mail.") => check.fault("schedules.mail_domains", "needs a mail server: set mail.host"),
        _ => {}
    }
    places
}

/// `HOST` or `HOST:PORT`; an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, port)) => return ip.parse::<std::net::Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host = host.to_ascii_lowercase();
    (host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok() || is_domain(&host)) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn one(check: &mut Check, number: usize, places: Option<&Places>) -> Declared {
    let name = |setting: &str| format!("schedule.{number}.{setting}");
    let mut text = |setting: &str| check.optional(&name(setting)).unwrap_or_default();
    let of: Vec<(&str, String)> = ["application", "role", "person"].map(|whose| (whose, text(whose))).into_iter().filter(|(_, of)| !of.is_empty()).collect();
    let mut to: Vec<(&str, String)> = ["folder", "webhook"].map(|place| (place, text(place))).into_iter().filter(|(_, to)| !to.is_empty()).collect();
    let mut written = Written {
        name: text("name"),
        what: text("what"),
        mode: text("mode"),
        period: text("period"),
        every: text("every"),
        day: text("day"),
        at: text("at"),
        ..Written::default()
    };
    let mails = check.list(&name("mail"));
    if !mails.is_empty() {
        to.push(("mail", mails.join(",")));
    }
    if let [_, (second, _), ..] = of.as_slice() {
        check.fault(&name(second), "only one of application, role and person may be given");
    }
    match to.as_slice() {
        [] => check.fault(&name("folder"), "is empty; one of folder, webhook and mail must be given"),
        [_] => {}
        [_, (second, _), ..] => check.fault(&name(second), "only one of folder, webhook and mail may be given"),
    }
    let (whose, of) = of.into_iter().next().unwrap_or(("organisation", String::new()));
    let (place, to) = to.into_iter().next().unwrap_or(("folder", "none".into()));
    (written.whose, written.of, written.place, written.to) = (whose.into(), of, place.into(), to);
    match schedule::read(&written, &whats()) {
        Ok(schedule) => {
            if let Some(Err(sentence)) = places.map(|places| places.check(&schedule.place)).filter(|_| to_is_given(check, number)) {
                check.fault(&name(place), lower(&sentence));
            }
        }
        Err(faults) => {
            for fault in faults {
                let setting = match fault.field.as_str() {
                    "whose" | "of" => whose,
                    "place" | "to" => place,
                    other => other,
                };
                check.fault(&name(setting), lower(&fault.sentence));
            }
        }
    }
    Declared { written, on: check.flag(&name("on")) }
}

fn to_is_given(check: &Check, number: usize) -> bool {
    ["folder", "webhook", "mail"].iter().any(|place| check.is_given(&format!("schedule.{number}.{place}")))
}

/// A sentence as it stands behind the name of a setting.
fn lower(sentence: &str) -> String {
    let mut chars = sentence.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
