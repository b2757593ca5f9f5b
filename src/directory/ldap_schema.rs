//! What a dialect of LDAP calls things.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::directory::ldap_dn as dn;
use crate::directory::ldap_filter::Filter;
use crate::directory::ldap_message::Entry;

/// Which family the server belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenLDAP and others that keep to the standard schema (RFC 4519, RFC 2798).
    OpenLdap,
    /// Active Directory, and Samba as a domain controller.
    ActiveDirectory,
}

/// A kind of group record, and how it names its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// `member`, the member's name; never without a member.
    OfNames,
    /// `uniqueMember`, the member's name; never without a member.
    OfUniqueNames,
    /// `member`, as in the later drafts of RFC 2307; may be empty.
    OfMembers,
    /// `memberUid`, the member's login.
    Posix,
    /// Active Directory's, with `member`.
    Domain,
}

impl GroupKind {
    /// Its object class.
    pub fn class(self) -> &'static str {
        match self {
            Self::OfNames => "groupOfNames",
            Self::OfUniqueNames => "groupOfUniqueNames",
            Self::OfMembers => "groupOfMembers",
            Self::Posix => "posixGroup",
            Self::Domain => "group",
        }
    }

    /// The attribute that holds its members.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::OfNames | Self::OfMembers | Self::Domain => "member",
            Self::OfUniqueNames => "uniqueMember",
            Self::Posix => "memberUid",
        }
    }

    /// Whether it cannot be without a member.
    pub fn needs_one(self) -> bool {
        matches!(self, Self::OfNames | Self::OfUniqueNames)
    }
}

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The family.
    pub dialect: Dialect,
    /// Where everything lies.
    pub base: String,
    /// Where people lie.
    pub people: String,
    /// Where groups lie.
    pub groups: String,
    /// What a person is.
    pub person: Filter,
    /// What groups are; the first that fits a record counts.
    pub kinds: Vec<GroupKind>,
    /// Our name and theirs of what a person is known by.
    pub attributes: BTreeMap<String, String>,
    /// Which of these records are groups; `None`: all.
    pub group: Option<Filter>,
    /// Who stands in a group that may not be empty; a name, verbatim.
    pub placeholder: Option<String>,
}

/// Names of a person's attributes that are not plain values.
const OF_A_PERSON: [&str; 3] = ["user_name", "email", "display_name"];

impl Dialect {
    /// What a person is where the settings do not say.
    pub fn person(self) -> &'static str {
        match self {
            Self::OpenLdap => "(objectClass=inetOrgPerson)",
            // Computers and managed service accounts are of class user too.
            Self::ActiveDirectory => "(&(objectCategory=person)(objectClass=user))",
        }
    }

    /// What groups are where the settings do not say.
    pub fn kinds(self) -> Vec<GroupKind> {
        match self {
            Self::OpenLdap => vec![GroupKind::OfNames, GroupKind::OfUniqueNames, GroupKind::OfMembers],
            Self::ActiveDirectory => vec![GroupKind::Domain],
        }
    }

    /// Our name and theirs of what a person is known by, where the settings do not say.
    pub fn attributes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::OpenLdap => &[
                ("user_name", "uid"),
                ("email", "mail"),
                ("display_name", "displayName"),
                ("department", "departmentNumber"),
                ("title", "title"),
                ("employment_type", "employeeType"),
                ("employee_number", "employeeNumber"),
                ("organization", "o"),
                ("location", "l"),
                ("country", "c"),
            ],
            Self::ActiveDirectory => &[
                ("user_name", "sAMAccountName"),
                ("email", "mail"),
                ("display_name", "displayName"),
                ("user_principal_name", "userPrincipalName"),
                ("department", "department"),
                ("title", "title"),
                ("employment_type", "employeeType"),
                ("employee_number", "employeeID"),
                ("division", "division"),
                ("organization", "company"),
                ("location", "l"),
                ("country", "co"),
            ],
        }
    }

    /// The attribute that never changes.
    pub fn id(self) -> &'static str {
        match self {
            Self::OpenLdap => "entryUUID",
            Self::ActiveDirectory => "objectGUID",
        }
    }
}

impl Schema {
    /// A record's reference: the id that never changes, as text; `None` when the record does not tell it.
    pub fn reference(&self, entry: &Entry) -> Option<String> {
        match self.dialect {
            Dialect::OpenLdap => entry.text("entryUUID").and_then(id),
            // Stored with its first three parts the other way round ([MS-DTYP] §2.3.4.2).
            Dialect::ActiveDirectory => {
                let bytes: [u8; 16] = entry.values("objectGUID").first()?.as_slice().try_into().ok()?;
                Some(Uuid::from_bytes_le(bytes).hyphenated().to_string())
            }
        }
    }

    /// What a person's record has to be asked for.
    pub fn of_a_person(&self) -> Vec<&str> {
        let mut wanted = vec![self.dialect.id(), "cn", "objectClass", "manager"];
        wanted.extend(match self.dialect {
            Dialect::OpenLdap => &["gidNumber", "pwdAccountLockedTime", "pwdEndTime", "nsAccountLock", "shadowExpire"][..],
            Dialect::ActiveDirectory => &["userAccountControl", "accountExpires", "primaryGroupID", "objectSid", "memberOf"][..],
        });
        wanted.extend(self.attributes.values().map(String::as_str));
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// What a group's record has to be asked for, its members aside.
    pub fn of_a_group(&self) -> Vec<&'static str> {
        let mut wanted = vec![self.dialect.id(), "cn", "objectClass", "description"];
        wanted.extend(match self.dialect {
            Dialect::OpenLdap => &["gidNumber", "memberURL"][..],
            Dialect::ActiveDirectory => &["groupType", "objectSid", "adminCount", "isCriticalSystemObject", "memberOf", "allowedAttributesEffective"][..],
        });
        wanted
    }

    /// Any group.
    pub fn group(&self) -> Filter {
        let kinds = Filter::Any(self.kinds.iter().map(|kind| Filter::is("objectClass", kind.class())).collect());
        self.group.as_ref().map_or_else(|| kinds.clone(), |group| kinds.and(group.clone()))
    }

    /// What kind of group a record is; `None` when it is none.
    pub fn kind(&self, entry: &Entry) -> Option<GroupKind> {
        self.kinds.iter().copied().find(|kind| entry.texts("objectClass").any(|class| class.eq_ignore_ascii_case(kind.class())))
    }

    /// The attribute of a person that `ours` is read from.
    pub fn theirs(&self, ours: &str) -> Option<&str> {
        self.attributes.get(ours).map(String::as_str)
    }

    /// A person's login.
    pub fn login<'a>(&self, entry: &'a Entry) -> Option<&'a str> {
        entry.text(self.theirs("user_name").unwrap_or_default())
    }

    /// What is told of a person as plain values: our name and theirs.
    pub fn plain(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(ours, theirs)| (ours.as_str(), theirs.as_str())).filter(|(ours, _)| !OF_A_PERSON.contains(ours))
    }

    /// Whether this member is nobody.
    pub fn is_placeholder(&self, member: &str) -> bool {
        self.placeholder.as_ref().is_some_and(|nobody| dn::key(nobody).is_some_and(|nobody| dn::key(member) == Some(nobody)))
    }
}

/// An id in the one spelling that is a reference here; `None` for what is no id.
pub fn id(text: &str) -> Option<String> {
    Uuid::try_parse(text).ok().map(|id| id.hyphenated().to_string())
}

/// The last part of a security identifier ([MS-DTYP] §2.4.2.2), by which Active Directory names a primary group.
pub fn relative_id(entry: &Entry) -> Option<u32> {
    let sid = entry.values("objectSid").first()?;
    let parts = usize::from(*sid.get(1)?);
    let last = sid.get(8..).filter(|rest| rest.len() == parts * 4)?.last_chunk::<4>()?;
    Some(u32::from_le_bytes(*last))
}

/// The security identifier of another account of the same domain.
pub fn sibling_sid(entry: &Entry, relative: u32) -> Option<Vec<u8>> {
    relative_id(entry)?;
    let mut sid = entry.values("objectSid").first()?.clone();
    let place = sid.last_chunk_mut::<4>()?;
    *place = relative.to_le_bytes();
    Some(sid)
}
