//! Directories from file and environment.

use std::io::Write;

use serde_json::Map;

use super::super::Settings;
use super::super::{Purpose, layers};
use super::*;
use crate::directory::okta::{self, ManagerIs};
use crate::directory::token::SigningKey;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRKTeyH5t/7GZ63dW
UBZDP0klFNWCgahFng/3t2uKDBShRANCAAQ/xA7nRXqiYrxzq7kxQZ3EX0/UHRD3
/6Ivv6MDJoMQNDAaccQKBH8gBxAUU65AEb3giT99ijs+qUAiNMYI8ZrY
-----END PRIVATE KEY-----
";

fn load(text: &str, pairs: &[(&str, &str)], purpose: Purpose) -> Result<Settings, Vec<String>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let env = [("HOME", "/home/someone")].iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(file.path()), env, purpose).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let path = file.path().display().to_string();
        told.into_iter().map(|line| line.replace(&path, "FILE")).collect()
    })
}

fn of(text: &str, pairs: &[(&str, &str)]) -> BTreeMap<String, Directory> {
    load(text, pairs, Purpose::Tool).unwrap().directories
}

fn faults(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    load(text, pairs, Purpose::Tool).expect_err("something is wrong")
}

#[test]
fn any_number_of_directories_each_of_its_kind() {
    let service_account = serde_json::json!({"client_email": "sync@p.iam.gserviceaccount.com", "private_key": KEY, "private_key_id": "k1"}).to_string();
    let mut key_file = tempfile::NamedTempFile::new().unwrap();
    key_file.write_all(service_account.as_bytes()).unwrap();
    let text = format!(
        r#"
[directories.main]
kind = "okta"
base_url = "https://acme.okta.com/"
manager_is = "login"
client_id = "0oa1"
key_id = "kid1"
private_key = """
{KEY}"""
administrators_group = "admins"
attributes = ["cost_center=costCentre", "manager="]
[directories.azure]
kind = "entra"
tenant = "11111111-2222-3333-4444-555555555555"
client_id = "app"
timeout_seconds = 20
max_concurrent = 4
sync_interval_seconds = 600
[directories.work-space]
kind = "google"
subject = "admin@example.com"
[directories.sso]
kind = "keycloak"
base_url = "https://sso.example.com/auth"
realm = "staff"
client_id = "countersign"
[directories.ad]
kind = "ldap"
dialect = "active_directory"
url = "ldaps://dc1.example.com ldaps://dc2.example.com:3269"
bind_dn = "svc@example.com"
base_dn = "dc=example,dc=com"
groups_base = "ou=groups,dc=example,dc=com"
attributes = ["title=personalTitle"]
[directories.scim]
kind = "scim"
base_url = "https://idp.example.com/scim/v2"
token_url = "https://idp.example.com/token"
client_id = "us"
scope = "scim.read scim.write"
requests_per_minute = 600
"#
    );
    let secrets = [
        ("COUNTERSIGN_DIRECTORIES__AZURE__CLIENT_SECRET", "s1"),
        ("COUNTERSIGN_DIRECTORIES__WORK_SPACE__SERVICE_ACCOUNT_FILE", key_file.path().to_str().unwrap()),
        ("COUNTERSIGN_DIRECTORIES__SSO__CLIENT_SECRET", "s2"),
        ("COUNTERSIGN_DIRECTORIES__AD__BIND_PASSWORD", "s3"),
        ("COUNTERSIGN_DIRECTORIES__SCIM__CLIENT_SECRET", "s4"),
        ("COUNTERSIGN_DIRECTORIES__MAIN__AUDITORS_GROUP", "audit"),
    ];
    let all = of(&text, &secrets);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["ad", "azure", "main", "scim", "sso", "work-space"]);
    let kinds: Vec<&str> = all.values().map(|directory| directory.service.kind()).collect();
    assert_eq!(kinds, ["ldap", "entra", "okta", "scim", "keycloak", "google"]);

    let main = &all["main"];
    assert_eq!((main.administrators_group.as_deref(), main.auditors_group.as_deref()), (Some("admins"), Some("audit")));
    assert_eq!(main.attributes["cost_center"], "costCentre", "what is set lies over the default");
    assert_eq!(main.attributes["employment_type"], "userType", "what is not keeps it");
    assert!(!main.attributes.contains_key("manager"), "what is left out is left out");
    let Service::Okta(okta) = &main.service else { panic!("{:?}", main.service) };
    let Okta { base_url, credentials: OktaCredentials::App { client_id, private_key, key_id, scopes }, manager_is, active_statuses } = okta else {
        panic!("{okta:?}")
    };
    assert_eq!((*manager_is, &**active_statuses), (ManagerIs::Login, &okta::ACTIVE.map(str::to_owned)[..]));
    assert_eq!(main.attributes["department"], okta::ATTRIBUTES[0].1);
    assert_eq!((base_url.as_str(), client_id.as_str(), key_id.as_deref()), ("https://acme.okta.com", "0oa1", Some("kid1")));
    assert!(SigningKey::from_pem(private_key.reveal(), Map::new()).is_ok());
    assert_eq!(scopes[0], "okta.users.read");

    let azure = &all["azure"];
    assert_eq!((azure.reach.timeout, azure.reach.max_concurrent, azure.sync_interval), (Duration::from_secs(20), 4, TimeDelta::minutes(10)));
    let Service::Entra(Entra { credentials: EntraCredentials::Secret(secret), graph_url, login_url, .. }) = &azure.service else { panic!() };
    assert_eq!((secret.reveal(), graph_url.as_str(), login_url.as_str()), ("s1", "https://graph.microsoft.com", "https://login.microsoftonline.com"));
    let Service::Google(google) = &all["work-space"].service else { panic!() };
    assert_eq!((google.client_email.as_str(), google.customer.as_str()), ("sync@p.iam.gserviceaccount.com", "my_customer"));
    assert_eq!(all["work-space"].reach.requests_per_minute, Some(1200));
    let Service::Ldap(ldap) = &all["ad"].service else { panic!() };
    assert_eq!(ldap.urls, ["ldaps://dc1.example.com", "ldaps://dc2.example.com:3269"]);
    assert_eq!((ldap.people_base.as_str(), ldap.groups_base.as_str()), ("dc=example,dc=com", "ou=groups,dc=example,dc=com"));
    assert_eq!((ldap.dialect, ldap.member_value, ldap.placeholder_member.as_deref()), (Dialect::ActiveDirectory, MemberValue::Dn, None));
    assert_eq!(all["ad"].attributes, [("title".to_owned(), "personalTitle".to_owned())].into());
    let Service::Scim(Scim { credentials: ScimCredentials::Client { token_url, client_secret, scope, .. }, .. }) = &all["scim"].service else { panic!() };
    assert_eq!((token_url.as_str(), client_secret.reveal(), scope.as_str()), ("https://idp.example.com/token", "s4", "scim.read scim.write"));
    assert_eq!(all["scim"].reach.requests_per_minute, Some(600));
    assert!(!format!("{all:?}").contains("s1\"") && !format!("{all:?}").contains("PRIVATE"));
}

#[test]
fn a_directory_may_come_from_the_environment_alone() {
    let all = of(
        "",
        &[
            ("COUNTERSIGN_DIRECTORIES__MY_IDP__KIND", "scim"),
            ("COUNTERSIGN_DIRECTORIES__MY_IDP__BASE_URL", "https://x.example"),
            ("COUNTERSIGN_DIRECTORIES__MY_IDP__TOKEN", "t"),
            ("COUNTERSIGN_DIRECTORIES__MY_IDP__ATTRIBUTES", "location=addresses.region, nick_name="),
        ],
    );
    assert_eq!(all["my-idp"].attributes, [("location".to_owned(), "addresses.region".to_owned()), ("nick_name".to_owned(), String::new())].into());
}

#[test]
fn what_is_wrong_with_a_directory_is_told_with_its_place() {
    for (text, pairs, wanted) in [
        ("[directories.a]\nbase_url = \"https://x\"\n", &[][..], &["FILE line 2: directories.a.kind: is missing"][..]),
        ("[directories.a]\n", &[], &["FILE line 1: directories.a: is empty"]),
        ("[directories]\ntoken = \"t\"\n", &[], &["FILE line 2: directories.token: the settings of a directory stand in a table of its own"]),
        ("", &[("COUNTERSIGN_DIRECTORIES__TOKEN", "t")], &["environment COUNTERSIGN_DIRECTORIES__TOKEN: directories.token: the settings of a directory"]),
        ("[directory]\ntoken = \"t\"\n", &[], &["FILE line 2: directory.token: there is no such section", "directories.KEY"]),
        ("[directories.a]\nkind = \"KEY\"\n", &[], &["directories.a.kind: \"KEY\" is none of entra"]),
        ("[directories.a]\nkind = 7\n", &[], &["directories.a.kind: \"\" is none of entra"]),
        (
            "[directories.a]\nkind = \"scim\"\nbase_url = \"https://x\"\ntoken = \"t\"\nrealm = \"r\"\ntokn = \"x\"\n",
            &[],
            &[
                "FILE line 5: directories.a.realm: is a setting of the kind keycloak; a directory of this kind has",
                "FILE line 6: directories.a.tokn: there is no such setting",
            ],
        ),
        (
            "[directories.a]\nkind = \"scim\"\nbase_url = \"https://x\"\ntoken = \"t\"\nclient_id = \"c\"\n",
            &[],
            &["FILE line 4: directories.a.token: is set, and client_id as well"],
        ),
        (
            "[directories.a]\nkind = \"scim\"\nbase_url = \"http://idp.example.com\"\nclient_id = \"c\"\nca_file = \"/nonexistent/ca.pem\"\nattributes = [\"x\", \"Bad=y\", \"a=b c\", \"d=1\", \"d=2\"]\nmax_concurrent = 0\ntimeout_seconds = \"10\"\n",
            &[],
            &[
                "FILE line 3: directories.a.base_url: must begin with https://",
                "directories.a.token_url: is empty",
                "directories.a.client_secret: is empty",
                "FILE line 5: directories.a.ca_file: the file /nonexistent/ca.pem cannot be read",
                "FILE line 6: directories.a.attributes: \"x\" is not OUR_NAME=THEIRS",
                "attributes: \"Bad=y\"",
                "attributes: \"a=b c\"",
                "attributes: d is there twice",
                "FILE line 7: directories.a.max_concurrent: 0 is not within 1 to 64",
                "FILE line 8: directories.a.timeout_seconds: is a text in quotes, but must be a whole number",
            ],
        ),
        (
            "[directories.a]\nkind = \"okta\"\n",
            &[("COUNTERSIGN_DIRECTORIES__A__PRIVATE_KEY", "-----BEGIN pa55word")],
            &["directories.a.base_url: is empty", "directories.a.client_id: is empty", "directories.a.private_key: The private key is not PEM"],
        ),
        (
            "[directories.a]\nkind = \"entra\"\ntenant = \"common\"\ncertificate = \"x\"\n",
            &[],
            &[
                "directories.a.tenant: is not the id or domain of one tenant",
                "client_id: is empty",
                "private_key: is empty",
                "directories.a.certificate: is no certificate",
            ],
        ),
        (
            "[directories.a]\nkind = \"google\"\nservice_account = \"{pa55word}\"\n",
            &[],
            &["directories.a.service_account: is not the JSON key file", "directories.a.subject: is empty"],
        ),
        (
            "[directories.a]\nkind = \"ldap\"\nurl = \"ldap://ldap.example.com ldaps://x/dc=y https://z\"\nstarttls = false\nbase_dn = \"dc=x\"\nbind_dn = \"cn=x\"\ndialect = \"novell\"\npeople_filter = \"objectClass=person\"\n",
            &[],
            &[
                "directories.a.url: must be ldaps://, or starttls must be true",
                "directories.a.url: must be only ldap:// or ldaps://, a host",
                "directories.a.url: must begin with ldaps://",
                "directories.a.dialect: \"novell\" is none of openldap, active_directory",
                "directories.a.bind_password: is empty",
                "directories.a.people_filter: must be a filter in brackets",
            ],
        ),
        (
            "[directories.a]\nkind = \"ldap\"\nrequests_per_minute = 5\nurl = \"ldaps://x\"\nbase_dn = \"dc=x\"\nbind_dn = \"x\"\nbind_password = \"x\"\n",
            &[],
            &["directories.a.requests_per_minute: is a setting of the kind"],
        ),
    ] {
        let found = faults(text, pairs);
        for part in wanted {
            assert!(found.iter().any(|line| line.contains(part)), "{part} is missing in {found:#?}");
        }
        let several = if wanted.last() == Some(&"directories.KEY") { 1 } else { wanted.len() };
        assert_eq!(found.len(), several, "{found:#?}");
        assert!(!found.iter().any(|line| line.contains("pa55word")), "{found:#?}");
    }
}

#[test]
fn a_file_of_authorities_must_hold_a_certificate() {
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(b"no certificate").unwrap();
    let path = ca.path().display().to_string();
    let scim =
        [("COUNTERSIGN_DIRECTORIES__A__KIND", "scim"), ("COUNTERSIGN_DIRECTORIES__A__BASE_URL", "https://x"), ("COUNTERSIGN_DIRECTORIES__A__TOKEN", "t")];
    let found = faults("", &[&scim[..], &[("COUNTERSIGN_DIRECTORIES__A__CA_FILE", &path)]].concat());
    assert!(found.len() == 1 && found[0].contains("directories.a.ca_file: holds no certificate"), "{found:#?}");
}

#[test]
fn who_signs_in_belongs_to_one_directory_and_is_found_by_an_id_or_with_open_eyes() {
    let oidc = "[oidc]\nissuer = \"https://login.example.com\"\nclient_id = \"c\"\n";
    let keycloak =
        |key: &str| format!("[directories.{key}]\nkind = \"keycloak\"\nbase_url = \"https://s\"\nrealm = \"r\"\nclient_id = \"c\"\nclient_secret = \"s\"\n");
    let scim = |key: &str| format!("[directories.{key}]\nkind = \"scim\"\nbase_url = \"https://s\"\ntoken = \"t\"\n");
    let come = |text: String| {
        load(&text, &[], Purpose::Serve).map(|settings| {
            let oidc = settings.oidc.unwrap();
            format!("{} {} {}", oidc.directory, oidc.link_claim, oidc.link_attribute)
        })
    };
    let told = |text: String| come(text).expect_err("faulty").join("\n");
    assert_eq!(come(format!("{oidc}{}", keycloak("only"))).unwrap(), "only sub id");
    assert_eq!(come(format!("{oidc}{}{}", keycloak("aa"), scim("main"))).unwrap(), "main preferred_username userName");
    assert_eq!(come(format!("{oidc}directory = \"aa\"\n{}{}", keycloak("aa"), scim("main"))).unwrap(), "aa sub id");
    assert_eq!(come(format!("{oidc}link_claim = \"upn\"\n{}", scim("main"))).unwrap(), "main upn userName");
    assert_eq!(come(format!("{oidc}link_claim = \"hr\"\nlink_attribute = \"employeeNumber\"\n{}", keycloak("k"))).unwrap(), "k hr employeeNumber");
    assert!(told(format!("{oidc}link_claim = \"upn\"\n{}", keycloak("k"))).contains("oidc.link_attribute: is empty"));
    assert!(told(format!("{oidc}{}{}", keycloak("aa"), scim("bb"))).contains("oidc.directory: is empty, and there are several"));
    assert!(told(format!("{oidc}directory = \"cc\"\n{}", scim("bb"))).contains("oidc.directory: there is no directory \"cc\""));
    let by_email = format!("{oidc}link_claim = \"email\"\nlink_attribute = \"email\"\n");
    let both = told(format!("{by_email}{}", scim("main")));
    assert!(both.contains("oidc.link_claim: an address is no identity") && both.contains("oidc.link_attribute: an address"), "{both}");
    assert_eq!(come(format!("{by_email}link_by_email = true\n{}", scim("main"))).unwrap(), "main email email");
}

#[test]
fn the_defaults_show_every_kind_and_its_settings_are_all_read() {
    let templates = layers::templates();
    assert_eq!(templates.keys().map(String::as_str).collect::<Vec<_>>(), ["KEY", "entra", "google", "keycloak", "ldap", "okta", "schedule", "scim"]);
    let source = concat!(include_str!("read.rs"), include_str!("../schedules.rs"));
    for (kind, settings) in &templates {
        assert!(!settings.is_empty(), "{kind}");
        for setting in settings.keys() {
            assert!(source.contains(&format!("\"{setting}\"")), "nobody reads {setting} of {kind}");
        }
    }
    assert_eq!(layers::DEFAULTS.lines().filter(|line| line.starts_with("#[directories.") || line.starts_with("#[[schedule")).count(), templates.len());
    let shown =
        layers::DEFAULTS.lines().filter(|line| line.starts_with('#') && !line.starts_with("# ") && !line.starts_with("#[") && line.contains(" = ")).count();
    assert_eq!(shown, templates.values().map(BTreeMap::len).sum::<usize>(), "each line behind a # is a setting");
}
