//! Starts OpenLDAP and Samba; asks them with their own tools.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use countersign::clock::Clock;
use countersign::directory::ldap::{Ldap, Settings};
use countersign::directory::ldap_schema::Dialect;
use countersign::directory::port::Directory;

use crate::idp::free_port;

/// Where everything lies in OpenLDAP.
pub const OPEN: &str = "dc=example,dc=org";
/// Where everything lies in Samba.
pub const DOMAIN: &str = "DC=ad,DC=example,DC=org";

/// Records by name: attributes, and their values.
pub type Records = BTreeMap<String, Values>;
/// Values by attribute.
pub type Values = BTreeMap<String, Vec<Vec<u8>>>;

/// A running server; dropping it stops it.
pub struct LdapServer {
    pid: String,
    /// Where it answers.
    pub url: String,
    /// Where it answers by ldaps.
    pub ldaps: String,
    /// PEM of its authority.
    pub ca: String,
    ca_file: String,
    root: (&'static str, &'static str),
}

impl Drop for LdapServer {
    fn drop(&mut self) {
        _ = Command::new("kill").arg(&self.pid).status();
    }
}

impl LdapServer {
    /// OpenLDAP with what `slapd-seed.ldif` holds.
    pub fn open() -> Self {
        let (port, tls) = (free_port(), free_port());
        let arguments = [port.to_string(), tls.to_string()];
        Self::start("slapd.sh", &arguments, format!("ldaps://127.0.0.1:{tls}"), ("cn=admin,dc=example,dc=org", "admin"))
    }

    /// Samba as a domain controller. Its ports are fixed, so tests that run at once share one, and each leaves it as it was.
    pub fn domain() -> Arc<Self> {
        static SHARED: Mutex<Weak<LdapServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let server = Arc::new(Self::alone());
        *shared = Arc::downgrade(&server);
        server
    }

    /// Samba for one test, which may leave it as it likes; waits for every other to end.
    pub fn alone() -> Self {
        let root = ("administrator@ad.example.org", "Admin-pw-1");
        Self::start("samba.sh", &[], "ldaps://127.0.0.1".into(), root)
    }

    fn start(script: &str, arguments: &[String], ldaps: String, root: (&'static str, &'static str)) -> Self {
        let mut child = Command::new(format!("{}/tests/idp/{script}", env!("CARGO_MANIFEST_DIR")))
            .args(arguments)
            .arg(std::process::id().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said: BTreeMap<String, String> = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .take(3)
            .collect();
        assert!(child.wait().unwrap().success(), "{script} failed; what it says is above");
        let ca_file = said["ca"].clone();
        let ca = std::fs::read_to_string(&ca_file).unwrap();
        Self { pid: said["pid"].clone(), url: said["url"].clone(), ldaps, ca, ca_file, root }
    }

    /// A connector as the service account of OpenLDAP, people below ou=people.
    pub fn as_open(&self) -> Settings {
        Settings {
            people: format!("ou=people,{OPEN}"),
            groups: format!("ou=groups,{OPEN}"),
            extra_roots: Some(self.ca.clone()),
            ..Settings::new(&self.url, Dialect::OpenLdap, OPEN, &format!("cn=svc,ou=services,{OPEN}"), "svc-pw")
        }
    }

    /// A connector as the service account of Samba, people below OU=People.
    pub fn as_domain(&self) -> Settings {
        Settings {
            people: format!("OU=People,{DOMAIN}"),
            extra_roots: Some(self.ca.clone()),
            // Samba searches five thousand people for many seconds where the machine is busy.
            timeout: Duration::from_secs(60),
            ..Settings::new(&self.ldaps, Dialect::ActiveDirectory, DOMAIN, "svc@ad.example.org", "Svc-pw-1")
        }
    }

    /// Values of an attribute as `ldapsearch` shows them, sorted.
    pub fn look(&self, dn: &str, attribute: &str) -> Vec<String> {
        let values = self.record(dn, &[attribute]).and_then(|(_, mut told)| told.remove(attribute)).unwrap_or_default();
        let mut values: Vec<String> = values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect();
        values.sort_unstable();
        values
    }

    /// Records that a filter finds, by name, as `ldapsearch` shows them.
    pub fn search(&self, base: &str, filter: &str, attributes: &[&str]) -> Records {
        self.found(&["-E", "pr=1000/noprompt", "-b", base, filter], attributes)
    }

    /// The record of this name, if it is there.
    pub fn record(&self, dn: &str, attributes: &[&str]) -> Option<(String, Values)> {
        self.found(&["-s", "base", "-b", dn, "(objectClass=*)"], attributes).into_iter().next()
    }

    fn found(&self, what: &[&str], attributes: &[&str]) -> Records {
        let answer = self.tool("ldapsearch").args(["-LLL", "-o", "ldif-wrap=no"]).args(what).args(attributes).output().unwrap();
        assert!(answer.status.success() || answer.status.code() == Some(32), "{}", String::from_utf8_lossy(&answer.stderr));
        let mut records = Records::new();
        let mut dn = String::new();
        for line in String::from_utf8(answer.stdout).unwrap().lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = match value.strip_prefix(": ") {
                Some(encoded) => BASE64_STANDARD.decode(encoded).unwrap(),
                None => value.trim_start().as_bytes().to_vec(),
            };
            if name == "dn" {
                dn = String::from_utf8(value).unwrap();
                records.entry(dn.clone()).or_default();
            } else {
                records.entry(dn.clone()).or_default().entry(name.to_owned()).or_default().push(value);
            }
        }
        records
    }

    /// Changes records with `ldapmodify`.
    pub fn change(&self, ldif: &str) {
        let mut child = self.tool("ldapmodify").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        let answer = child.wait_with_output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("LDAPTLS_CACERT", &self.ca_file).args(["-x", "-H", &self.ldaps, "-D", self.root.0, "-w", self.root.1]);
        command
    }
}

/// A directory of these settings.
pub fn directory(settings: &Settings) -> Directory {
    Directory::Ldap(Ldap::new(settings, Clock::system()).unwrap())
}
