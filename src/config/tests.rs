//! Settings from defaults, file and environment.

use std::io::Write;

use tempfile::NamedTempFile;

use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let home = [("HOME", "/home/someone")];
    home.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn faults(file: Option<&Path>, pairs: &[(&str, &str)], purpose: Purpose) -> Vec<String> {
    let faults = Settings::load(file, env(pairs), purpose).expect_err("something is wrong");
    assert!(!faults.is_empty());
    faults.iter().map(ToString::to_string).collect()
}

/// Asserts that exactly these faults are there: for each, some line holds all of its parts.
fn assert_faults(found: &[String], expected: &[&[&str]]) {
    for parts in expected {
        let told = found.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(told, "{parts:?} is missing in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

const WHOLE: [(&str, &str); 5] = [
    ("COUNTERSIGN_OIDC__ISSUER", "https://login.example.com/"),
    ("COUNTERSIGN_OIDC__CLIENT_ID", "countersign"),
    ("COUNTERSIGN_DIRECTORIES__MAIN__BASE_URL", "https://idp.example.com/scim/v2/"),
    ("COUNTERSIGN_DIRECTORIES__MAIN__TOKEN", "t0ken"),
    ("COUNTERSIGN_DIRECTORIES__MAIN__KIND", "scim"),
];

#[test]
fn the_defaults_are_good_for_a_command_and_for_the_demo() {
    for purpose in [Purpose::Tool, Purpose::Demo] {
        let settings = Settings::load(None, env(&[]), purpose).unwrap();
        assert_eq!(settings.server.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(settings.server.public_url(settings.server.listen), "http://127.0.0.1:8080");
        assert_eq!(settings.server.metrics_listen, None);
        assert_eq!(settings.server.body_limit_bytes, 65536);
        assert_eq!(settings.session.idle, TimeDelta::minutes(30));
        assert_eq!(settings.session.privileged_idle, TimeDelta::minutes(15));
        assert!(settings.oidc.is_none() && settings.directories.is_empty());
        assert_eq!(settings.local_postgres().unwrap().data, settings.data.folder);
    }
}

#[test]
fn serving_needs_sign_in_and_a_directory_and_says_all_that_is_missing() {
    let found = faults(None, &[], Purpose::Serve);
    assert_faults(&found, &[&["oidc.issuer", "is empty"], &["oidc.client_id", "is empty"], &["directories: there is none", "[directories.main]"]]);
    let settings = Settings::load(None, env(&WHOLE), Purpose::Serve).unwrap();
    let oidc = settings.oidc.unwrap();
    assert_eq!(oidc.issuer, "https://login.example.com/", "kept as written: it is compared exactly");
    assert_eq!(oidc.client_secret, None);
    assert_eq!((oidc.directory.as_str(), oidc.link_claim.as_str(), oidc.link_attribute.as_str()), ("main", "preferred_username", "userName"));
    assert_eq!(settings.directories.keys().collect::<Vec<_>>(), ["main"]);
}

#[test]
fn the_environment_lies_over_the_file_and_the_file_over_the_defaults() {
    let file = file("[session]\nidle_minutes = 20\nabsolute_hours = 8\n[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\nlisten = \"[::1]:1\"\n");
    let pairs = [
        ("COUNTERSIGN_SESSION__IDLE_MINUTES", "25"),
        ("COUNTERSIGN_SERVER__TRUSTED_PROXIES", "192.168.0.0/16, ::1"),
        ("COUNTERSIGN_LISTEN", "localhost:9000"),
        ("COUNTERSIGN_DATA", "/srv/countersign"),
        ("COUNTERSIGN_SESSION__ABSOLUTE_HOURS", ""),
    ];
    let settings = Settings::load(Some(file.path()), env(&pairs), Purpose::Tool).unwrap();
    assert_eq!(settings.session.idle, TimeDelta::minutes(25), "environment");
    assert_eq!(settings.session.absolute, TimeDelta::hours(8), "file; an empty variable is not set");
    assert_eq!(settings.session.privileged_idle, TimeDelta::minutes(15), "default");
    assert_eq!(settings.server.listen, "127.0.0.1:9000".parse().unwrap());
    assert_eq!(settings.server.trusted_proxies, ["192.168.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(settings.data.folder, Path::new("/srv/countersign"));

    let path = file.path().to_str().unwrap();
    let named = Settings::load(None, env(&[("COUNTERSIGN_CONFIG", path)]), Purpose::Tool).unwrap();
    assert_eq!(named.session.idle, TimeDelta::minutes(20), "COUNTERSIGN_CONFIG names the file");
}

#[test]
fn all_faults_are_told_together_with_place_name_and_what_is_allowed() {
    let file = file(
        r#"
loose = 1
[server]
listen = "banana"
public_url = "http://access.example.com"
body_limit_bytes = 10
trusted_proxies = ["10.0.0.0/8", "everyone"]
[sever]
listen = "127.0.0.1:1"
[session]
idle_minutes = "thirty"
privileged_idle_minutes = 45
idle_minuets = 3
[oidc]
scopes = ["profile"]
issuer = "ftp://x"
link_attribute = "shoe size"
[directories."Main One"]
kind = "ldapp"
[directories.main]
kind = "scim"
base_url = "https://user:pa55word@idp.example.com/"
max_concurrent = 3.5
[log]
format = "xml"
level = "info,=,=="
"#,
    );
    let pairs = [
        ("COUNTERSIGN_PROVISIONING__GIVE_UP_HOURS", "9999"),
        ("COUNTERSIGN_PROVISIONING__SWEEP_INTERVAL_SECONDS", "often"),
        ("COUNTERSIGN_LISTENN", "127.0.0.1:1"),
        ("COUNTERSIGN_SERVER__LISTNE", "127.0.0.1:1"),
        ("COUNTERSIGN_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("DATABASE_URL", "mysql://root:pa55word@db/x"),
        ("COUNTERSIGN_DATA", "relative/folder"),
    ];
    let path = file.path().display().to_string();
    let line = |number: u32| format!("{path} line {number}: ");
    let found = faults(Some(file.path()), &pairs, Purpose::Serve);
    assert_faults(
        &found,
        &[
            &[&line(2), "loose", "outside of a section"],
            &[&line(4), "server.listen", "\"banana\"", "127.0.0.1:8080"],
            &[&line(5), "server.public_url", "https://"],
            &[&line(6), "server.body_limit_bytes", "4096 to 16777216"],
            &[&line(7), "server.trusted_proxies", "\"everyone\"", "10.0.0.0/8"],
            &[&line(9), "sever.listen", "no such section", "server, session"],
            &[&line(11), "session.idle_minutes", "must be a whole number"],
            &[&line(12), "session.privileged_idle_minutes", "not be above session.idle_minutes"],
            &[&line(13), "session.idle_minuets", "no such setting", "session.idle_minutes"],
            &[&line(15), "oidc.scopes", "openid"],
            &[&line(16), "oidc.issuer", "https://"],
            &["oidc.client_id", "is empty"],
            &[&line(17), "oidc.link_attribute", "\"shoe size\"", "userName"],
            &[&line(19), "directories.Main One", "a-z"],
            &[&line(19), "directories.Main One.kind", "\"ldapp\" is none of entra, google, keycloak, ldap, okta, scim"],
            &[&line(22), "directories.main.base_url", "no user, password"],
            &[&line(23), "directories.main.max_concurrent", "whole number"],
            &["directories.main.token", "is empty; set it, or token_url, client_id"],
            &[&line(25), "log.format", "auto, text, json"],
            &[&line(26), "log.level", "debug"],
            &["environment COUNTERSIGN_PROVISIONING__GIVE_UP_HOURS", "1 to 720"],
            &["environment COUNTERSIGN_PROVISIONING__SWEEP_INTERVAL_SECONDS", "\"often\" is not a whole number"],
            &["environment COUNTERSIGN_LISTENN", "two underscores"],
            &["environment COUNTERSIGN_SERVER__LISTNE", "no such setting", "server.listen"],
            &["environment DATABASE_URL", "database.url", "postgres://"],
            &["environment COUNTERSIGN_DATA", "data.folder", "absolute path"],
        ],
    );
    assert!(!found.iter().any(|line| line.contains("pa55word")), "{found:#?}");
}

#[test]
fn a_file_that_is_no_toml_or_is_not_there_is_a_fault_that_shows_none_of_it() {
    let broken = file("[directories.main]\nkind = \"scim\"\ntoken = \"pa55word\n");
    let found = faults(Some(broken.path()), &[], Purpose::Tool);
    assert!(found.iter().any(|line| line.contains("line 3: TOML")), "{found:#?}");
    assert!(!found.iter().any(|line| line.contains("pa55word")), "{found:#?}");

    let found = faults(Some(Path::new("/nonexistent/countersign.toml")), &[], Purpose::Tool);
    assert_faults(&found, &[&["/nonexistent/countersign.toml", "cannot be read"]]);

    let hostile = file("[server]\nlisten = \"127.0.0.1:8080\\u0000\"\n[session]\nidle_minutes = 99999999999999999999\n");
    let found = faults(Some(hostile.path()), &[], Purpose::Tool);
    assert_faults(&found, &[&["line 2", "server.listen", "control characters"], &["session.idle_minutes", "whole number"]]);
}

#[test]
fn a_secret_comes_from_a_file_too_but_not_from_both() {
    let secret = file("postgres://owner:pa55word@db/countersign\n");
    let path = secret.path().to_str().unwrap();
    let settings = Settings::load(None, env(&[("DATABASE_URL_FILE", path)]), Purpose::Tool).unwrap();
    assert_eq!(settings.database.url.as_ref().unwrap().reveal(), "postgres://owner:pa55word@db/countersign");
    assert!(settings.local_postgres().is_none(), "a configured server is used");
    assert!(!format!("{settings:?}").contains("pa55word"));

    let both = [("DATABASE_URL_FILE", path), ("DATABASE_URL", "postgres://db/x")];
    assert_faults(&faults(None, &both, Purpose::Tool), &[&["DATABASE_URL_FILE", "set one of the two"]]);
    let twice = [("COUNTERSIGN_DATABASE__URL", "postgres://db/y"), ("DATABASE_URL", "postgres://db/x")];
    assert_faults(&faults(None, &twice, Purpose::Tool), &[&["database.url", "set one of the two"]]);

    let empty = file("\n");
    let pairs = [
        ("COUNTERSIGN_DIRECTORIES__MAIN__KIND", "scim"),
        ("COUNTERSIGN_DIRECTORIES__MAIN__BASE_URL", "https://x"),
        ("COUNTERSIGN_DIRECTORIES__MAIN__TOKEN_FILE", "/nonexistent/token"),
        ("COUNTERSIGN_OIDC__CLIENT_SECRET_FILE", empty.path().to_str().unwrap()),
    ];
    assert_faults(
        &faults(None, &pairs, Purpose::Tool),
        &[
            &["directories.main.token", "/nonexistent/token cannot be read"],
            &["directories.main.token", "is empty; set it"],
            &["oidc.client_secret", "is empty"],
        ],
    );
    let no_secret = [("COUNTERSIGN_SERVER__LISTEN_FILE", path)];
    assert_faults(&faults(None, &no_secret, Purpose::Tool), &[&["server.listen_file", "no such setting"]]);
}

#[test]
fn the_demo_brings_its_own_directory_and_stays_on_this_machine() {
    let mut pairs = WHOLE.to_vec();
    pairs.push(("COUNTERSIGN_LISTEN", "0.0.0.0:8080"));
    assert_faults(
        &faults(None, &pairs, Purpose::Demo),
        &[
            &["server.listen", "loopback"],
            &["oidc.issuer", "without --demo"],
            &["oidc.client_id", "without --demo"],
            &["directories.main.kind", "without --demo"],
        ],
    );
}

#[test]
fn beyond_this_machine_people_come_by_https_only() {
    let serve = |pairs: &[(&str, &str)]| Settings::load(None, env(&[&WHOLE[..], pairs].concat()), Purpose::Serve);
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.168.1.5:8080", "[fd00::5]:8080", "[::ffff:10.0.0.5]:8080"] {
        let listen = ("COUNTERSIGN_LISTEN", listen);
        for (url, told) in [("", "must be set"), ("http://127.0.0.1:8080", "must begin with https://"), ("http://192.168.1.5:8080", "must begin with https://")]
        {
            let found = serve(&[listen, ("COUNTERSIGN_SERVER__PUBLIC_URL", url)]).expect_err("in the clear");
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_faults(&found, &[&["server.public_url", told]]);
        }
        assert!(serve(&[listen, ("COUNTERSIGN_SERVER__PUBLIC_URL", "https://access.example.com")]).is_ok());
        assert!(Settings::load(None, env(&[listen]), Purpose::Tool).is_ok(), "a command serves nobody");
    }
    for listen in ["127.0.0.1:8080", "[::1]:8080"] {
        for url in ["", "http://localhost:8080", "https://access.example.com"] {
            assert!(serve(&[("COUNTERSIGN_LISTEN", listen), ("COUNTERSIGN_SERVER__PUBLIC_URL", url)]).is_ok(), "behind a proxy here, or for here");
        }
    }
}

#[test]
fn the_demo_keeps_its_data_apart_and_everyone_has_a_default_folder() {
    let folder = |pairs: &[(&str, &str)], root, demo| {
        let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        default_folder(&env, root, demo).map(|folder| folder.display().to_string())
    };
    let home = [("HOME", "/home/a")];
    assert_eq!(folder(&home, false, false).as_deref(), Some("/home/a/.local/share/countersign"));
    assert_eq!(folder(&home, false, true).as_deref(), Some("/home/a/.local/share/countersign-demo"));
    assert_eq!(folder(&home, true, false).as_deref(), Some("/var/lib/countersign"));
    assert_eq!(folder(&home, true, true).as_deref(), Some("/var/lib/countersign-demo"));
    let xdg = [("HOME", "/home/a"), ("XDG_DATA_HOME", "/data/a")];
    assert_eq!(folder(&xdg, false, false).as_deref(), Some("/data/a/countersign"));
    let relative = [("HOME", "/home/a"), ("XDG_DATA_HOME", "data")];
    assert_eq!(folder(&relative, false, false).as_deref(), Some("/home/a/.local/share/countersign"));
    assert_eq!(folder(&[], false, false), None);
}

#[test]
fn a_container_without_a_home_needs_no_data_folder_when_it_has_a_database() {
    if !is_root() {
        let homeless: [(String, String); 0] = [];
        let found = Settings::load(None, homeless, Purpose::Tool).unwrap_err();
        assert_faults(&found.iter().map(ToString::to_string).collect::<Vec<_>>(), &[&["data.folder", "name a folder"]]);
    }
    let only = [("DATABASE_URL".to_owned(), "postgres://db/countersign".to_owned())];
    assert!(Settings::load(None, only, Purpose::Tool).is_ok());
}

#[test]
fn every_default_setting_has_a_sentence_above_it() {
    let mut before = "";
    for (number, line) in layers::DEFAULTS.lines().enumerate() {
        // Those of a directory stand behind a # without a space.
        let is_setting = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        assert!(!is_setting || before.starts_with("# "), "line {} is not explained: {line}", number + 1);
        before = line;
    }
}

#[test]
fn a_flag_is_true_or_false_and_nothing_else() {
    let tool = |value: &str| Settings::load(None, env(&[("COUNTERSIGN_POLICY__REQUIRE_SECOND_PERSON", value)]), Purpose::Tool);
    let second = |value: &str| tool(value).expect("good").policy.require_second_person;
    assert!(second("true") && !second("false") && !second(""));
    for bad in ["yes", "1", "TRUE "] {
        let found: Vec<String> = tool(bad).expect_err(bad).iter().map(ToString::to_string).collect();
        assert_faults(&found, &[&["policy.require_second_person", "neither true nor false"]]);
    }
}

#[test]
fn schedules_and_mail_are_read_whole_with_every_fault_at_its_line() {
    let good = file(
        r#"
[mail]
host = "smtp.example.com"
user = "countersign"
password = "pa55word"
from = "countersign@Example.com"
[witness]
mail = ["witness@elsewhere.org"]
[schedules]
folder = "/srv/evidence"
webhook_hosts = ["audit.example.com", "other.example.com:8443"]
webhook_secret = "pa55word of twenty-four and more"
mail_domains = ["Example.com"]
[[schedule]]
name = "Weekly"
day = "Monday"
folder = "auditors/weekly"
[[schedule]]
name = "Quarterly"
what = "access"
mode = "safe"
role = "orders-db/reader"
period = "quarter"
every = "quarter"
day = "2"
at = "23:59"
mail = ["ana@example.com", "ben@EXAMPLE.com"]
on = false
"#,
    );
    let settings = Settings::load(Some(good.path()), env(&[]), Purpose::Tool).unwrap();
    let [weekly, quarterly] = settings.schedules.declared.as_slice() else { panic!("{:?}", settings.schedules.declared) };
    assert_eq!(
        (weekly.written.what.as_str(), weekly.written.place.as_str(), weekly.written.to.as_str(), weekly.on),
        ("bundle", "folder", "auditors/weekly", true)
    );
    assert_eq!((quarterly.written.whose.as_str(), quarterly.written.of.as_str(), quarterly.on), ("role", "orders-db/reader", false));
    assert_eq!((settings.schedules.places.open().len(), settings.mail.is_some(), settings.witness.mail.len()), (3, true, 1));
    assert!(!format!("{settings:?}").contains("pa55word"));

    let bad = file(
        r#"
[mail]
host = "smtp.example.com:25"
tls = "none"
user = "countersign"
[schedules]
folder = "evidence"
webhook_hosts = ["https://audit.example.com/", "ok.example.com"]
webhook_secret = "short"
tries = 0
mail_domains = ["example"]
[[schedule]]
name = "A"
what = "secrets"
every = "hour"
at = "6"
folder = "../x"
webhook = "https://ok.example.com/"
[[schedule]]
name = "a"
role = "x/y"
person = "z"
colour = "red"
day = 3
mail = ["no address"]
[[schedule]]
"#,
    );
    let path = bad.path().display().to_string();
    let line = |number: u32| format!("{path} line {number}: ");
    let found = faults(Some(bad.path()), &[("COUNTERSIGN_SCHEDULE__1__NAME", "x")], Purpose::Tool);
    assert_faults(
        &found,
        &[
            &[&line(3), "mail.host", "without a port"],
            &[&line(4), "mail.tls", "this machine only"],
            &["mail.password", "belong together"],
            &["mail.from", "is empty"],
            &[&line(7), "schedules.folder", "absolute path"],
            &[&line(8), "schedules.webhook_hosts", "HOST:PORT"],
            &[&line(9), "schedules.webhook_secret", "24"],
            &[&line(10), "schedules.tries", "1 to 20"],
            &[&line(11), "schedules.mail_domains", "\"example\""],
            &[&line(14), "schedule.1.what", "bundle, or one of requests"],
            &[&line(15), "schedule.1.every", "day, week, month, quarter"],
            &[&line(16), "schedule.1.at", "06:00"],
            &[&line(17), "schedule.1.folder", "beneath"],
            &[&line(18), "schedule.1.webhook", "only one of"],
            &[&line(20), "schedule.2.name", "another schedule has this name"],
            &[&line(22), "schedule.2.person", "only one of"],
            &[&line(23), "schedule.2.colour", "a schedule has application, at"],
            &[&line(24), "schedule.2.day", "must be a text in quotes"],
            &["schedule.2.day", "day of the week"],
            &[&line(25), "schedule.2.mail", "no mail address"],
            &["schedule.2.mail", "“address” is no mail address"],
            &[&line(26), "schedule.3", "is empty"],
            &["environment COUNTERSIGN_SCHEDULE__1__NAME", "[[schedule]]"],
        ],
    );
    let closed = file("[[schedule]]\nname = \"A\"\nevery = \"day\"\nmail = [\"a@b.cd\"]\n[witness]\nmail = [\"a@b.cd\", \"x\"]\n[schedule]\nname = \"B\"\n");
    let found = faults(Some(closed.path()), &[], Purpose::Tool);
    assert!(found.iter().any(|line| line.contains("TOML") || line.contains("schedule")), "{found:#?}");
    let closed = file("[[schedule]]\nname = \"A\"\nevery = \"day\"\nmail = [\"a@b.cd\"]\n[witness]\nmail = [\"a@b.cd\", \"x\"]\n");
    assert_faults(
        &faults(Some(closed.path()), &[], Purpose::Tool),
        &[&["schedule.1.mail", "mail_domains"], &["witness.mail", "\"x\""], &["witness.mail", "set mail.host"]],
    );
}
