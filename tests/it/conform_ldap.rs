//! The LDAP connector conforms, with OpenLDAP and Samba behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use countersign::directory::ldap::Settings;
use countersign::directory::port::Directory;

use crate::conformance::{Bench, CROWD, Can, Fault, Unknown, conforms};
use crate::ldap_front::LdapFront;
use crate::ldap_server::{DOMAIN, LdapServer, OPEN, directory};

struct Ldap {
    server: LdapServer,
    front: LdapFront,
    directory: Directory,
    is_domain: bool,
}

/// A line of LDIF, whatever the value holds.
fn line(name: &str, value: &str) -> String {
    format!("{name}:: {}\n", BASE64_STANDARD.encode(value))
}

/// A value as a part of a name (RFC 4514 §2.4).
fn escaped(value: &str) -> String {
    value.chars().map(|c| if ",+\"\\<>;=#".contains(c) { format!("\\{c}") } else { c.to_string() }).collect()
}

impl Ldap {
    async fn open(placeholder: bool) -> Self {
        let server = LdapServer::open();
        let mut ldif = String::new();
        for number in 0..CROWD + 1 {
            let dn = format!("uid=m{number},ou=people,{OPEN}");
            ldif.push_str(&format!("dn: {dn}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: m{number}\ncn: Member {number}\nsn: {number}\n\n"));
        }
        ldif.push_str(&format!("dn: cn=everybody,ou=groups,{OPEN}\nchangetype: add\nobjectClass: groupOfNames\ncn: everybody\n"));
        for number in 0..CROWD + 1 {
            ldif.push_str(&format!("member: uid=m{number},ou=people,{OPEN}\n"));
        }
        ldif.push('\n');
        server.change(&ldif);
        let port = server.url.rsplit(':').next().unwrap().parse().unwrap();
        let front = LdapFront::start(port, None).await;
        let settings = Settings { placeholder: placeholder.then(|| format!("cn=nobody,{OPEN}")), ..server.as_open() };
        Self::through(server, front, settings, false)
    }

    async fn domain() -> Self {
        let server = LdapServer::alone();
        let front = LdapFront::start(636, Some(server.ca.clone())).await;
        let settings = server.as_domain();
        Self::through(server, front, settings, true)
    }

    fn through(server: LdapServer, front: LdapFront, settings: Settings, is_domain: bool) -> Self {
        let settings = Settings { urls: vec![front.url.clone()], start_tls: false, timeout: Duration::from_secs(if is_domain { 10 } else { 3 }), ..settings };
        Self { server, front, directory: directory(&settings), is_domain }
    }

    /// Names and references of everything the server holds.
    fn all(&self) -> BTreeMap<String, String> {
        let base = if self.is_domain { DOMAIN } else { OPEN };
        let records = self.server.search(base, "(|(objectClass=inetOrgPerson)(objectClass=user)(objectClass=groupOfNames)(objectClass=group))", &[self.id()]);
        records.into_iter().filter_map(|(dn, attributes)| Some((dn, reference(attributes.get(self.id())?.first()?, self.is_domain)))).collect()
    }

    fn id(&self) -> &'static str {
        if self.is_domain { "objectGUID" } else { "entryUUID" }
    }

    /// The reference of the record of this name, if it is there and has one.
    fn reference_of(&self, dn: &str) -> Option<String> {
        let (_, told) = self.server.record(dn, &[self.id()])?;
        Some(reference(told.get(self.id())?.first()?, self.is_domain))
    }

    fn dn_of(&self, wanted: &str) -> Option<String> {
        if self.is_domain {
            return self.server.record(&format!("<GUID={wanted}>"), &["cn"]).map(|(dn, _)| dn);
        }
        self.server.search(OPEN, &format!("(entryUUID={wanted})"), &["cn"]).into_keys().next()
    }
}

fn reference(id: &[u8], is_domain: bool) -> String {
    if is_domain { uuid::Uuid::from_bytes_le(id.try_into().unwrap()).to_string() } else { String::from_utf8(id.to_vec()).unwrap() }
}

impl Bench for Ldap {
    fn can(&self) -> Can {
        // Active Directory has few characters for logins. An account that is no longer taken is nothing to be renewed.
        Can {
            delete: true,
            make: true,
            odd_logins: !self.is_domain,
            says_wait: false,
            renews: false,
            next_links: false,
            empties: true,
            unknown: Unknown::Refused,
        }
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    async fn person(&self, login: &str, name: &str) -> String {
        let (dn, record) = if self.is_domain {
            let login: String = login.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
            let record = [line("objectClass", "user"), line("sAMAccountName", &login), line("userAccountControl", "544"), line("displayName", name)];
            (format!("CN={},OU=People,{DOMAIN}", escaped(name)), record.concat())
        } else {
            let record = [line("objectClass", "inetOrgPerson"), line("uid", login), line("cn", name), line("sn", name), line("displayName", name)];
            (format!("uid={},ou=people,{OPEN}", escaped(login)), record.concat())
        };
        self.made(&dn, &record)
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<String> = members.iter().map(|member| line("member", &self.dn_of(member).unwrap())).collect();
        let (dn, record) = if self.is_domain {
            let login: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            (format!("CN={},OU=Groups,{DOMAIN}", escaped(name)), [line("objectClass", "group"), line("sAMAccountName", &login), members.concat()].concat())
        } else {
            (format!("cn={},ou=groups,{OPEN}", escaped(name)), [line("objectClass", "groupOfNames"), line("cn", name), members.concat()].concat())
        };
        self.made(&dn, &record)
    }

    async fn crowd(&self) -> String {
        let dn = if self.is_domain { format!("CN=everybody,OU=Groups,{DOMAIN}") } else { format!("cn=everybody,ou=groups,{OPEN}") };
        self.reference_of(&dn).unwrap()
    }

    async fn disable(&self, person: &str) {
        let dn = line("dn", &self.dn_of(person).unwrap());
        self.server.change(&if self.is_domain {
            format!("{dn}changetype: modify\nreplace: userAccountControl\nuserAccountControl: 546\n")
        } else {
            format!("{dn}changetype: modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
        });
    }

    async fn delete(&self, person: &str) -> bool {
        self.server.change(&format!("{}changetype: delete\n", line("dn", &self.dn_of(person).unwrap())));
        true
    }

    async fn members(&self, group: &str) -> Vec<String> {
        let (_, told) = self.server.record(&self.dn_of(group).unwrap(), &["member"]).unwrap();
        let members = told.get("member").into_iter().flatten().map(|member| String::from_utf8(member.clone()).unwrap());
        // Who stands in for nobody is no member.
        let members: Vec<String> = members.filter(|member| !member.to_lowercase().starts_with("cn=nobody,")).collect();
        if members.len() > 50 {
            let all = self.all();
            return members.iter().map(|member| all[member].clone()).collect();
        }
        members.iter().map(|member| self.reference_of(member).unwrap()).collect()
    }

    fn nobody(&self) -> (String, String) {
        ("0192f0c1-7e57-7000-8000-0000000000aa".into(), "0192f0c1-7e57-7000-8000-0000000000bb".into())
    }

    async fn suffer(&self, fault: Fault) {
        self.front.suffer(fault);
    }

    fn next_links(&self) -> usize {
        0
    }

    fn strays(&self) -> usize {
        0
    }
}

impl Ldap {
    /// Makes a record unless it is there; its reference.
    fn made(&self, dn: &str, record: &str) -> String {
        if let Some(reference) = self.reference_of(dn) {
            return reference;
        }
        self.server.change(&format!("{}changetype: add\n{record}\n", line("dn", dn)));
        self.reference_of(dn).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openldap_conforms() {
    let bench = Ldap::open(true).await;
    conforms(&bench).await;
    assert!(bench.front.is_calm(), "every fault was met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn active_directory_conforms() {
    let bench = Ldap::domain().await;
    conforms(&bench).await;
    assert!(bench.front.is_calm(), "every fault was met");
}
