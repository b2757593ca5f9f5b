//! Reads `[directories.KEY]`, collecting faults.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Url;
use serde_json::{Map, Value};

use super::super::check::Check;
use super::super::{Purpose, layers};
use super::{Dialect, Directory, Entra, EntraCredentials, Google, Keycloak, Ldap, MemberValue, Okta, OktaCredentials, Reach, Scim, ScimCredentials, Service};
use crate::directory::okta::ManagerIs;
use crate::directory::token::SigningKey;
use crate::domain::secret::Secret;

/// All directories by key. For [`Purpose::Serve`] there must be one, for [`Purpose::Demo`] none.
pub fn read(check: &mut Check, purpose: Purpose) -> BTreeMap<String, Directory> {
    let keys = check.directories();
    if purpose == Purpose::Demo {
        for key in &keys {
            check.fault(&format!("directories.{key}.kind"), "the demo brings its own; leave it out, or serve without --demo");
        }
        return BTreeMap::new();
    }
    if purpose == Purpose::Serve && keys.is_empty() && !check.is_faulty("directories.") {
        check.fault("directories", "there is none; name one in a table [directories.main] (see config/default.toml)");
    }
    let read = keys.into_iter().filter_map(|key| {
        let directory = one(&mut Table { check, key: key.clone() })?;
        Some((key, directory))
    });
    read.collect()
}

/// The settings of one directory.
struct Table<'a> {
    check: &'a mut Check,
    key: String,
}

impl Table<'_> {
    fn name(&self, setting: &str) -> String {
        format!("directories.{}.{setting}", self.key)
    }

    fn fault(&mut self, setting: &str, problem: impl Into<String>) {
        let name = self.name(setting);
        self.check.fault(&name, problem);
    }

    fn optional(&mut self, setting: &str) -> Option<String> {
        let name = self.name(setting);
        self.check.optional(&name)
    }

    fn required(&mut self, setting: &str, what: &str) -> String {
        let name = self.name(setting);
        self.check.required(&name, what)
    }

    fn secret(&mut self, setting: &str) -> Option<Secret> {
        let name = self.name(setting);
        self.check.secret(&name)
    }

    fn block(&mut self, setting: &str) -> Option<String> {
        let name = self.name(setting);
        self.check.block(&name)
    }

    fn list(&mut self, setting: &str) -> Vec<String> {
        let name = self.name(setting);
        self.check.list(&name)
    }

    fn has(&self, setting: &str) -> bool {
        self.check.is_given(&self.name(setting))
    }

    /// An address that must be there.
    fn address(&mut self, setting: &str, what: &str) -> String {
        let name = self.name(setting);
        match self.check.web_address(&name) {
            Some(address) => address,
            None => {
                // One that is faulty has been told of.
                if self.optional(setting).is_none() {
                    self.fault(setting, format!("is empty; it must be {what}"));
                }
                String::new()
            }
        }
    }

    /// A private key that can sign.
    fn key(&mut self, setting: &str) -> Option<Secret> {
        let pem = self.block(setting)?;
        match SigningKey::from_pem(&pem, Map::new()) {
            Ok(_) => Some(Secret::new(&pem)),
            Err(sentence) => {
                self.fault(setting, sentence.trim_end_matches('.'));
                None
            }
        }
    }

    /// Says of the first setting that one of two ways must be taken, when none is or both are.
    fn one_way(&mut self, first: &str, others: &[&str]) -> bool {
        let other = others.iter().find(|other| self.has(other)).copied();
        match (self.has(first), other) {
            (true, None) => true,
            (false, Some(_)) => false,
            (true, Some(other)) => {
                self.fault(first, format!("is set, and {other} as well; set one of the two"));
                true
            }
            (false, None) => {
                self.fault(first, format!("is empty; set it, or {}", others.join(", ")));
                true
            }
        }
    }

    fn attributes(&mut self, keep_left_out: bool) -> BTreeMap<String, String> {
        let name = self.name("attributes");
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let defaults = layers::templates();
        let kind = self.optional("kind").unwrap_or_default();
        if let Some(layers::Value::List(list)) = defaults.get(&kind).and_then(|settings| settings.get("attributes")).map(|placed| &placed.value) {
            all.extend(list.iter().filter_map(|entry| entry.split_once('=')).map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())));
        }
        let mut met: Vec<String> = Vec::new();
        for entry in self.list("attributes") {
            let Some((ours, theirs)) = entry.split_once('=').map(|(ours, theirs)| (ours.trim(), theirs.trim())) else {
                self.check.fault(&name, format!("{entry:?} is not OUR_NAME=THEIRS, such as cost_center=costCenter"));
                continue;
            };
            let plain = ours.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if ours.is_empty() || ours.len() > 64 || !plain || theirs.len() > 256 || theirs.chars().any(|c| c.is_control() || c.is_whitespace()) {
                self.check.fault(&name, format!("{entry:?} is not OUR_NAME=THEIRS: our name has a-z, 0-9 and _, theirs no spaces"));
                continue;
            }
            if met.iter().any(|other| other == ours) {
                self.check.fault(&name, format!("{ours} is there twice"));
            }
            met.push(ours.to_owned());
            all.insert(ours.to_owned(), theirs.to_owned());
        }
        all.retain(|_, theirs| keep_left_out || !theirs.is_empty());
        all
    }
}

fn one(table: &mut Table<'_>) -> Option<Directory> {
    let kind = table.optional("kind").unwrap_or_default();
    let service = match kind.as_str() {
        "scim" => Service::Scim(scim(table)),
        "okta" => Service::Okta(okta(table)),
        "entra" => Service::Entra(entra(table)),
        "google" => Service::Google(google(table)),
        "keycloak" => Service::Keycloak(keycloak(table)),
        "ldap" => Service::Ldap(ldap(table)),
        // Told of when the layers were read.
        _ => return None,
    };
    let pace = table.name("requests_per_minute");
    let requests_per_minute = match kind.as_str() {
        "ldap" => 0,
        _ => table.check.number(&pace, 0..=100_000),
    };
    let numbers = [table.name("timeout_seconds"), table.name("max_concurrent"), table.name("sync_interval_seconds"), table.name("ca_file")];
    let extra_roots = table.check.content(&numbers[3]);
    if let Some(roots) = &extra_roots
        && !reqwest::Certificate::from_pem_bundle(roots.as_bytes()).is_ok_and(|found| !found.is_empty())
    {
        table.fault("ca_file", "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
    }
    let changes = table.name("changes_interval_seconds");
    let hook_secret = table.secret("hook_secret");
    if hook_secret.as_ref().is_some_and(|secret| secret.reveal().chars().count() < 24) {
        table.fault("hook_secret", "must have at least 24 characters: anybody may try to guess it");
    }
    Some(Directory {
        reach: Reach {
            timeout: Duration::from_secs(table.check.number(&numbers[0], 1..=120)),
            max_concurrent: table.check.number(&numbers[1], 1..=64),
            requests_per_minute: (requests_per_minute > 0).then_some(requests_per_minute),
            extra_roots,
        },
        attributes: table.attributes(matches!(service, Service::Scim(_) | Service::Ldap(_))),
        administrators_group: table.optional("administrators_group"),
        auditors_group: table.optional("auditors_group"),
        sync_interval: TimeDelta::seconds(table.check.number(&numbers[2], 10..=43_200)),
        changes_interval: TimeDelta::seconds(table.check.number(&changes, 10..=43_200)),
        hook_secret,
        service,
    })
}

fn scim(table: &mut Table<'_>) -> Scim {
    let base_url = table.address("base_url", "the address of its SCIM service");
    let credentials = if table.one_way("token", &["token_url", "client_id", "client_secret", "scope"]) {
        ScimCredentials::Token(table.secret("token").unwrap_or_else(|| Secret::new("")))
    } else {
        ScimCredentials::Client {
            token_url: table.address("token_url", "the address of its token endpoint"),
            client_id: table.required("client_id", "the client's id"),
            client_secret: Secret::new(&table.required("client_secret", "the client's secret")),
            scope: table.optional("scope").unwrap_or_default(),
        }
    };
    Scim { base_url, credentials }
}

/// Okta's statuses in which somebody may work here. Those of accounts that were never used, are suspended or were taken away are not
/// among them.
const STATUSES_OF_WORK: [&str; 5] = ["ACTIVE", "PASSWORD_EXPIRED", "RECOVERY", "LOCKED_OUT", "PROVISIONED"];

fn okta(table: &mut Table<'_>) -> Okta {
    let base_url = table.address("base_url", "the organisation's address, https://ORG.okta.com");
    let credentials = if table.one_way("api_token", &["client_id", "private_key", "key_id", "scopes"]) {
        OktaCredentials::Token(table.secret("api_token").unwrap_or_else(|| Secret::new("")))
    } else {
        let scopes = table.list("scopes");
        if scopes.is_empty() || scopes.iter().any(|scope| scope.is_empty() || scope.contains(char::is_whitespace)) {
            table.fault("scopes", "must hold at least one, each without spaces");
        }
        OktaCredentials::App {
            client_id: table.required("client_id", "the service app's client id"),
            private_key: key_of(table, "the service app's private key in PEM"),
            key_id: table.optional("key_id"),
            scopes,
        }
    };
    let manager_is = table.name("manager_is");
    let manager_is = match table.check.choice(&manager_is, &["id", "login", "employee_number"]).as_str() {
        "login" => ManagerIs::Login,
        "employee_number" => ManagerIs::EmployeeNumber,
        _ => ManagerIs::Id,
    };
    let active_statuses = table.list("active_statuses");
    let away = |status: &&String| !STATUSES_OF_WORK.contains(&status.as_str());
    if let Some(unknown) = active_statuses.iter().find(away) {
        table.fault("active_statuses", format!("{unknown:?} is none of {}", STATUSES_OF_WORK.join(", ")));
    } else if active_statuses.is_empty() {
        table.fault("active_statuses", "must hold at least ACTIVE, or nobody works here");
    }
    Okta { base_url, credentials, manager_is, active_statuses }
}

/// The private key of a table, which must be there.
fn key_of(table: &mut Table<'_>, what: &str) -> Secret {
    if table.block("private_key").is_none() {
        let name = table.name("private_key");
        if !table.check.is_faulty(&name) {
            table.fault("private_key", format!("is empty; it must be {what}"));
        }
        return Secret::new("");
    }
    table.key("private_key").unwrap_or_else(|| Secret::new(""))
}

fn entra(table: &mut Table<'_>) -> Entra {
    let tenant = table.required("tenant", "the tenant's id or domain");
    if !tenant.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') || ["common", "organizations", "consumers"].contains(&tenant.as_str()) {
        table.fault("tenant", "is not the id or domain of one tenant");
    }
    let client_id = table.required("client_id", "the application's id");
    let credentials = if table.one_way("client_secret", &["private_key", "certificate"]) {
        EntraCredentials::Secret(table.secret("client_secret").unwrap_or_else(|| Secret::new("")))
    } else {
        let private_key = key_of(table, "the private key of the certificate in PEM");
        let certificate = table.block("certificate").unwrap_or_default();
        if !certificate.contains("-----BEGIN CERTIFICATE-----") {
            table.fault("certificate", "is no certificate in PEM (-----BEGIN CERTIFICATE-----)");
        }
        EntraCredentials::Certificate { private_key, certificate }
    };
    Entra {
        tenant,
        client_id,
        credentials,
        graph_url: table.address("graph_url", "the address of Microsoft Graph"),
        login_url: table.address("login_url", "the address where tokens are asked for"),
    }
}

fn google(table: &mut Table<'_>) -> Google {
    let mut field = (String::new(), String::new(), None);
    match table.block("service_account") {
        None => table.fault("service_account", "is empty; it must be the JSON key file of the service account"),
        Some(text) => {
            let key: Value = serde_json::from_str(&text).unwrap_or_default();
            let of = |name: &str| key[name].as_str().unwrap_or_default().trim().to_owned();
            field = (of("client_email"), of("private_key"), Some(of("private_key_id")).filter(|id| !id.is_empty()));
            if field.0.is_empty() || SigningKey::from_pem(&field.1, Map::new()).is_err() {
                // Not shown: it is the key.
                table.fault("service_account", "is not the JSON key file of a service account, with client_email and private_key");
            }
        }
    }
    let subject = table.required("subject", "the address of an administrator");
    Google {
        client_email: field.0,
        private_key: Secret::new(&field.1),
        private_key_id: field.2,
        subject,
        customer: table.required("customer", "my_customer or the customer's id"),
        base_url: table.address("base_url", "the address of the Directory API"),
        token_url: table.address("token_url", "the address where tokens are asked for"),
    }
}

fn keycloak(table: &mut Table<'_>) -> Keycloak {
    Keycloak {
        base_url: table.address("base_url", "the address of Keycloak"),
        realm: table.required("realm", "the realm's name"),
        client_id: table.required("client_id", "the client whose service account is used"),
        client_secret: Secret::new(&table.required("client_secret", "that client's secret")),
    }
}

fn ldap(table: &mut Table<'_>) -> Ldap {
    let starttls = table.name("starttls");
    let starttls = table.check.flag(&starttls);
    let urls: Vec<String> =
        table.required("url", "the address of the server, such as ldaps://ldap.example.com").split_whitespace().map(str::to_owned).collect();
    for url in &urls {
        if let Err(problem) = ldap_address(url, starttls) {
            table.fault("url", problem);
        }
    }
    let base_dn = table.required("base_dn", "a DN, such as dc=example,dc=com");
    let mut word = |setting: &str, words: &[&str]| {
        let name = table.name(setting);
        table.check.choice(&name, words)
    };
    let dialect = if word("dialect", &["openldap", "active_directory"]) == "active_directory" { Dialect::ActiveDirectory } else { Dialect::OpenLdap };
    let member_value = if word("member_value", &["dn", "login"]) == "login" { MemberValue::Login } else { MemberValue::Dn };
    Ldap {
        urls,
        starttls,
        bind_dn: table.required("bind_dn", "as whom to bind"),
        bind_password: Secret::new(&table.required("bind_password", "the password of bind_dn")),
        dialect,
        people_base: table.optional("people_base").unwrap_or_else(|| base_dn.clone()),
        people_filter: filter(table, "people_filter"),
        groups_base: table.optional("groups_base").unwrap_or_else(|| base_dn.clone()),
        groups_filter: filter(table, "groups_filter"),
        member_attribute: table.required("member_attribute", "an attribute, such as member"),
        member_value,
        placeholder_member: table.optional("placeholder_member"),
        base_dn,
    }
}

fn filter(table: &mut Table<'_>, setting: &str) -> Option<String> {
    let filter = table.optional(setting)?;
    if !(filter.starts_with('(') && filter.ends_with(')')) {
        table.fault(setting, "must be a filter in brackets, such as (objectClass=person)");
    }
    Some(filter)
}

fn ldap_address(text: &str, starttls: bool) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| format!("{text:?} is not an address such as ldaps://ldap.example.com"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        _ if host.is_empty() || !bare => Err("must be only ldap:// or ldaps://, a host and perhaps a port".into()),
        "ldaps" => Ok(()),
        "ldap" if starttls || loopback => Ok(()),
        "ldap" => Err("must be ldaps://, or starttls must be true: a password does not travel in the clear".into()),
        _ => Err("must begin with ldaps:// or ldap://".into()),
    }
}
