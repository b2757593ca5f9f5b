//! The demo company: who works there, and in which groups.
//!
//! A company is read from TOML (`config/demo/company.toml` is built in) or generated for load tests. Ids are derived from
//! names, so that they are the same on every machine and after every start.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The group whose members the sign-in page marks as administrators.
pub const ADMINISTRATORS: &str = "countersign-admins";
/// The group whose members the sign-in page marks as auditors.
pub const AUDITORS: &str = "countersign-auditors";

/// A company as the directory starts with it.
#[derive(Clone, Debug)]
pub struct Company {
    /// What the pages call it.
    pub name: String,
    /// When every person and group was created and last changed.
    pub since: DateTime<Utc>,
    /// Everybody, in the order they are listed.
    pub people: Vec<Person>,
    /// Every group, in the order they are listed.
    pub groups: Vec<Group>,
}

/// One person, with the attributes that SCIM's core and enterprise schemas name (RFC 7643 §4.1, §4.3).
#[derive(Clone, Debug)]
pub struct Person {
    /// The SCIM id: immutable, derived from the user name.
    pub id: Uuid,
    /// The OpenID Connect subject: immutable, opaque, and deliberately not the SCIM id.
    pub subject: String,
    /// What the person signs in as, for example `bo.lind`.
    pub user_name: String,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// Given and family name, as shown.
    pub name: String,
    /// Work address.
    pub email: String,
    /// Job title.
    pub title: String,
    /// Department.
    pub department: String,
    /// Cost centre of the department.
    pub cost_center: String,
    /// Employee number.
    pub number: String,
    /// Kind of employment, `employee` or `contractor`: SCIM's `userType`.
    pub employment: String,
    /// Town of work.
    pub locality: String,
    /// Index into [`Company::people`] of the manager.
    pub manager: Option<usize>,
    /// False: has left, or is suspended.
    pub active: bool,
}

/// One group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The SCIM id: immutable, derived from the name.
    pub id: Uuid,
    /// SCIM's `displayName`.
    pub name: String,
    /// One line about it, for the pages.
    pub about: String,
    /// Indexes into [`Company::people`].
    pub members: Vec<usize>,
}

/// Everything that is wrong with a company file, found in one reading.
#[derive(Debug, thiserror::Error)]
#[error("the company file cannot be used:\n- {}", .0.join("\n- "))]
pub struct CompanyError(pub Vec<String>);

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    domain: String,
    since: DateTime<Utc>,
    departments: BTreeMap<String, String>,
    #[serde(default, rename = "person")]
    people: Vec<FilePerson>,
    #[serde(default, rename = "group")]
    groups: Vec<FileGroup>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FilePerson {
    user_name: String,
    given: String,
    family: String,
    title: String,
    department: String,
    manager: Option<String>,
    #[serde(default = "employee")]
    employment: String,
    locality: String,
    number: String,
    #[serde(default = "yes")]
    active: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileGroup {
    name: String,
    about: String,
    #[serde(default)]
    members: Vec<String>,
}

fn employee() -> String {
    "employee".into()
}

fn yes() -> bool {
    true
}

impl Company {
    /// Reads a company from TOML. Fails with every fault: unknown fields, names used twice, managers, departments and
    /// members that do not exist, circles of managers.
    pub fn parse(text: &str) -> Result<Self, CompanyError> {
        let file = toml::from_str(text).map_err(|error| CompanyError(vec![error.to_string().trim().to_owned()]))?;
        let (company, faults) = build(file);
        if faults.is_empty() { Ok(company) } else { Err(CompanyError(faults)) }
    }

    /// The company that is built in, "Orchard & Vale".
    pub fn embedded() -> Result<Self, CompanyError> {
        Self::parse(include_str!("../../config/demo/company.toml"))
    }

    /// A company for load tests, the same for the same numbers. Everybody but the first has a manager (eight reports
    /// each); every tenth is a contractor. Groups: `countersign-admins` with the first person, `countersign-auditors`
    /// with the second, one `dept-NAME` for each of seven departments with its people, then empty ones called
    /// `role-0001` and so on, until there are `groups` (fewer than nine leave the later ones out).
    pub fn generated(people: usize, groups: usize) -> Self {
        const DEPARTMENTS: [&str; 7] = ["Data", "Engineering", "Finance", "IT", "People", "Sales", "Support"];
        const GIVEN: [&str; 16] = ["Ada", "Bela", "Chen", "Dara", "Emre", "Farah", "Goran", "Hiba", "Ivo", "Jaya", "Kai", "Lena", "Musa", "Nia", "Omar", "Pia"];
        const FAMILY: [&str; 13] = ["Abara", "Berg", "Costa", "Diaz", "Evans", "Fofana", "Gupta", "Haas", "Ito", "Jensen", "Khan", "Lopez", "Moreau"];
        let user_name = |index: usize| format!("p{index:05}");
        let department = |index: usize| DEPARTMENTS[index % DEPARTMENTS.len()];
        let file_people = (0..people)
            .map(|index| FilePerson {
                user_name: user_name(index),
                given: GIVEN[index % GIVEN.len()].into(),
                family: format!("{} {index}", FAMILY[(index / GIVEN.len()) % FAMILY.len()]),
                title: if index * 8 + 1 < people { "Manager" } else { "Specialist" }.into(),
                department: department(index).into(),
                manager: index.checked_sub(1).map(|above| user_name(above / 8)),
                employment: if index % 10 == 9 { "contractor" } else { "employee" }.into(),
                locality: "Lisbon".into(),
                number: format!("G-{index:05}"),
                active: true,
            })
            .collect();
        let special = [(ADMINISTRATORS, 0), (AUDITORS, 1)].into_iter().map(|(name, member)| FileGroup {
            name: name.into(),
            about: String::new(),
            members: (0..people).filter(|index| *index == member).map(user_name).collect(),
        });
        let departments = DEPARTMENTS.iter().map(|name| FileGroup {
            name: format!("dept-{}", name.to_lowercase()),
            about: format!("Everybody in {name}"),
            members: (0..people).filter(|index| department(*index) == *name).map(user_name).collect(),
        });
        let roles = (1..=groups).map(|index| FileGroup { name: format!("role-{index:04}"), about: String::new(), members: Vec::new() });
        let (company, _none) = build(File {
            name: format!("Generated company of {people}"),
            domain: "generated.example".into(),
            since: DateTime::UNIX_EPOCH + chrono::Duration::days(20_000),
            departments: DEPARTMENTS.iter().enumerate().map(|(index, name)| (name.to_string(), format!("{}00", index + 10))).collect(),
            people: file_people,
            groups: special.chain(departments).chain(roles).take(groups).collect(),
        });
        company
    }

    /// The company as the TOML that [`Company::parse`] reads back to the same people and groups.
    ///
    /// # Errors
    /// Never for a company that came from [`Company::parse`] or [`Company::generated`].
    pub fn to_toml(&self) -> Result<String, CompanyError> {
        let name_of = |index: &usize| self.people[*index].user_name.clone();
        let file = File {
            name: self.name.clone(),
            domain: self.people.first().and_then(|person| person.email.split_once('@')).map(|(_, domain)| domain.to_owned()).unwrap_or_default(),
            since: self.since,
            departments: self.people.iter().map(|person| (person.department.clone(), person.cost_center.clone())).collect(),
            people: self
                .people
                .iter()
                .map(|person| FilePerson {
                    user_name: person.user_name.clone(),
                    given: person.given.clone(),
                    family: person.family.clone(),
                    title: person.title.clone(),
                    department: person.department.clone(),
                    manager: person.manager.as_ref().map(name_of),
                    employment: person.employment.clone(),
                    locality: person.locality.clone(),
                    number: person.number.clone(),
                    active: person.active,
                })
                .collect(),
            groups: self
                .groups
                .iter()
                .map(|group| FileGroup { name: group.name.clone(), about: group.about.clone(), members: group.members.iter().map(name_of).collect() })
                .collect(),
        };
        toml::to_string(&file).map_err(|error| CompanyError(vec![error.to_string()]))
    }
}

/// Checks and links what was read. Whatever is faulty is left out of the company and named in the list.
fn build(file: File) -> (Company, Vec<String>) {
    let mut faults = Vec::new();
    if file.people.is_empty() {
        faults.push("there is nobody: add a [[person]]".to_owned());
    }
    let mut index = HashMap::new();
    for (position, person) in file.people.iter().enumerate() {
        if !is_plain(&person.user_name) {
            faults.push(format!("user_name {:?}: use 1 to 64 of a-z, 0-9, dot, dash and underscore", person.user_name));
        }
        if index.insert(person.user_name.clone(), position).is_some() {
            faults.push(format!("person {} is there twice", person.user_name));
        }
    }
    let people: Vec<Person> = file
        .people
        .iter()
        .map(|person| {
            let cost_center = file.departments.get(&person.department).cloned().unwrap_or_else(|| {
                faults.push(format!("person {}: department {:?} is not listed under [departments]", person.user_name, person.department));
                String::new()
            });
            let manager = person.manager.as_ref().and_then(|name| {
                let found = index.get(name).copied();
                if found.is_none() {
                    faults.push(format!("person {}: manager {name:?} does not exist", person.user_name));
                }
                found
            });
            if !matches!(person.employment.as_str(), "employee" | "contractor") {
                faults.push(format!("person {}: employment is employee or contractor", person.user_name));
            }
            Person {
                id: stable_id("user", &person.user_name),
                subject: URL_SAFE_NO_PAD.encode(&digest("subject", &person.user_name)[..18]),
                name: format!("{} {}", person.given, person.family),
                given: person.given.clone(),
                family: person.family.clone(),
                email: format!("{}@{}", person.user_name, file.domain),
                user_name: person.user_name.clone(),
                title: person.title.clone(),
                department: person.department.clone(),
                cost_center,
                number: person.number.clone(),
                employment: person.employment.clone(),
                locality: person.locality.clone(),
                manager,
                active: person.active,
            }
        })
        .collect();
    faults.extend(circles(&people));

    let mut names = HashMap::new();
    let groups = file
        .groups
        .iter()
        .map(|group| {
            if !is_plain(&group.name) {
                faults.push(format!("group {:?}: use 1 to 64 of a-z, 0-9, dot, dash and underscore", group.name));
            }
            if names.insert(&group.name, ()).is_some() {
                faults.push(format!("group {} is there twice", group.name));
            }
            let members = group.members.iter().filter_map(|name| {
                let found = index.get(name).copied();
                if found.is_none() {
                    faults.push(format!("group {}: member {name:?} does not exist", group.name));
                }
                found
            });
            Group { id: stable_id("group", &group.name), members: members.collect(), name: group.name.clone(), about: group.about.clone() }
        })
        .collect();
    (Company { name: file.name, since: file.since, people, groups }, faults)
}

/// A sentence for everybody from whom the chain of managers never ends. A chain is walked once, however many share it.
fn circles(people: &[Person]) -> Vec<String> {
    let mut ends = vec![false; people.len()];
    let mut faults = Vec::new();
    for start in 0..people.len() {
        let mut path = Vec::new();
        let mut at = Some(start);
        while let Some(index) = at.filter(|index| !ends[*index]) {
            if path.contains(&index) {
                faults.push(format!("person {}: the chain of managers is a circle", people[index].user_name));
                break;
            }
            path.push(index);
            at = people[index].manager;
        }
        path.into_iter().for_each(|index| ends[index] = true);
    }
    faults
}

fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

fn digest(kind: &str, key: &str) -> [u8; 32] {
    Sha256::digest(format!("countersign demo {kind} {key}")).into()
}

/// A UUID of version 8 (RFC 9562 §5.8) that depends on nothing but the words given.
fn stable_id(kind: &str, key: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(kind, key)[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_company_that_is_built_in_has_everybody_the_product_needs() {
        let company = Company::embedded().unwrap();
        let person = |name: &str| company.people.iter().find(|person| person.user_name == name).unwrap();
        let above = |name: &str| person(name).manager.map(|index| company.people[index].user_name.as_str());
        assert!((23..=30).contains(&company.people.len()));
        assert!((8..=10).contains(&company.groups.len()));
        assert_eq!(above("bo.lind"), Some("mara.voss"));
        assert_eq!(above("mara.voss"), Some("priya.raman"));
        assert_eq!(above("priya.raman"), Some("ines.okafor"));
        assert_eq!(company.people.iter().filter(|person| person.manager.is_none()).count(), 1);
        assert_eq!(company.people.iter().filter(|person| !person.active).count(), 1);
        assert!(company.people.iter().filter(|person| person.employment == "contractor").count() >= 2);
        for name in [ADMINISTRATORS, AUDITORS] {
            let group = company.groups.iter().find(|group| group.name == name).unwrap();
            assert_eq!(group.members.len(), 1, "{name}");
        }
        assert_ne!(person("bo.lind").id.to_string(), person("bo.lind").subject);
    }

    #[test]
    fn ids_never_change() {
        assert_eq!(stable_id("user", "bo.lind").to_string(), "e98f7f2f-5bb4-8643-aab3-42ea7ab5ed11");
    }

    #[test]
    fn every_fault_of_a_company_file_is_named_at_once() {
        let text = r#"
            name = "X"
            domain = "x.example"
            since = "2025-01-06T09:00:00Z"
            departments = { Data = "1" }
            [[person]]
            user_name = "a"
            given = "A"
            family = "A"
            title = "T"
            department = "Dota"
            manager = "b"
            locality = "L"
            number = "1"
            [[person]]
            user_name = "b"
            given = "B"
            family = "B"
            title = "T"
            department = "Data"
            manager = "a"
            locality = "L"
            number = "2"
            [[group]]
            name = "Bad Name"
            about = ""
            members = ["nobody"]
        "#;
        let CompanyError(faults) = Company::parse(text).unwrap_err();
        let all = faults.join("\n");
        for word in ["Dota", "circle", "Bad Name", "nobody"] {
            assert!(all.contains(word), "{word} is missing in {all}");
        }
        assert!(Company::parse("").is_err());
        assert!(Company::parse("name = 1").is_err());
    }

    #[test]
    fn a_generated_company_is_whole_and_the_same_each_time() {
        let one = Company::generated(1000, 300);
        let two = Company::generated(1000, 300);
        assert_eq!((one.people.len(), one.groups.len()), (1000, 300));
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        assert_eq!(one.people.iter().filter(|person| person.manager.is_none()).count(), 1);
        assert!(one.people.iter().all(|person| !person.cost_center.is_empty()));
        assert!(circles(&one.people).is_empty());
    }

    #[test]
    fn a_company_written_to_a_file_reads_back_the_same() {
        for company in [Company::embedded().unwrap(), Company::generated(50, 20)] {
            let again = Company::parse(&company.to_toml().unwrap()).unwrap();
            assert_eq!(format!("{again:?}"), format!("{company:?}"));
        }
    }
}
