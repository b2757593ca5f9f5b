//! Graph records read into facts (Microsoft Graph v1.0).
//!
//! Pure. What decides about access is strict: ids are object ids and never mended, and an account of which nobody says whether it is
//! switched on is no answer, as a permission that was taken away from us must not look like a company that left.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::directory::facts::{GroupListed, PersonFacts, ReadError, clean};
use crate::domain::person::GroupRef;

/// Properties of a group that say what it is and whether its members can be changed.
pub const GROUP_FIELDS: &str =
    "id,displayName,description,groupTypes,mailEnabled,securityEnabled,onPremisesSyncEnabled,isAssignableToRole,isManagementRestricted,visibility";
/// Properties of a user that are always asked for; most are not told otherwise.
pub const USER_FIELDS: &str = "id,userPrincipalName,mail,displayName,accountEnabled,userType";
/// The manager, nobody above them; `$levels` is what lets a nested `$select` in.
pub const MANAGER: &str = "manager($levels=1;$select=id,displayName)";
/// Most values of one attribute.
const MOST_VALUES: usize = 64;

/// Whether this is an object id: a UUID as Graph writes it. Nothing else ever gets into a path.
pub fn is_id(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// An object id; `None` when there is none.
pub fn id(record: &Value) -> Option<&str> {
    record["id"].as_str().filter(|id| is_id(id))
}

fn text(record: &Value, name: &str) -> Option<String> {
    record[name].as_str().map(clean).filter(|text| !text.is_empty())
}

/// What stands at a path such as `employeeOrgData.costCenter`: plain values only.
pub fn values(record: &Value, path: &str) -> Vec<String> {
    let found = path.split('.').fold(record, |at, name| &at[name]);
    let entries = match found {
        Value::Array(entries) => entries.as_slice(),
        single => std::slice::from_ref(single),
    };
    let plain = |value: &Value| match value {
        Value::String(text) => Some(clean(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    entries.iter().take(MOST_VALUES).filter_map(plain).filter(|value| !value.is_empty()).collect()
}

/// A person without groups. `attributes` says where ours are in a Graph user.
///
/// # Errors
/// When the record has no object id, or does not say whether the account is switched on.
pub fn person(record: &Value, attributes: &BTreeMap<String, String>) -> Result<PersonFacts, ReadError> {
    let reference = id(record).ok_or_else(|| ReadError::Malformed("a person has no object id".into()))?.to_owned();
    let Some(active) = record["accountEnabled"].as_bool() else {
        return Err(ReadError::Auth("it does not tell whether accounts are switched on; the permission User.Read.All is missing".into()));
    };
    let user_name = text(record, "userPrincipalName").unwrap_or_else(|| reference.clone());
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Member or Guest; employeeType is something else.
    told.insert("user_type".into(), values(record, "userType"));
    told.extend(attributes.iter().map(|(ours, theirs)| (ours.clone(), values(record, theirs))));
    told.retain(|_, values| !values.is_empty());
    let manager = &record["manager"];
    let is_user = manager["@odata.type"].as_str().is_none_or(|kind| kind == "#microsoft.graph.user");
    Ok(PersonFacts {
        // Null without a mailbox; the login only looks like an address.
        email: text(record, "mail"),
        display_name: text(record, "displayName").unwrap_or_else(|| user_name.clone()),
        active,
        manager: id(manager).filter(|_| is_user).map(str::to_owned),
        attributes: told,
        groups: Vec::new(),
        reference,
        user_name,
    })
}

/// A group's id and name; `None` without an object id.
pub fn group_ref(record: &Value) -> Option<GroupRef> {
    let reference = id(record)?.to_owned();
    Some(GroupRef { name: text(record, "displayName").unwrap_or_else(|| reference.clone()), reference })
}

/// Why the members of this group cannot be changed here; `None` when they can.
pub fn read_only(record: &Value) -> Option<String> {
    let Some(kinds) = record["groupTypes"].as_array() else { return Some("Entra does not tell what kind of group it is".into()) };
    let is = |kind: &str| kinds.iter().filter_map(Value::as_str).any(|k| k.eq_ignore_ascii_case(kind));
    if is("DynamicMembership") {
        Some("a rule in Entra decides who is in it".into())
    } else if record["onPremisesSyncEnabled"] == true {
        Some("it is synchronised from an Active Directory and can only be changed there".into())
    } else if record["mailEnabled"] == true && !is("Unified") {
        let kind = if record["securityEnabled"] == true { "mail-enabled security group" } else { "distribution list" };
        Some(format!("it is a {kind}, which only Exchange changes"))
    } else if record["visibility"] == "HiddenMembership" {
        Some("its members are hidden, so that nobody could see whether a change worked".into())
    } else {
        None
    }
}

/// Why a change to this group needs more than the usual permission; `None` when it does not.
pub fn needs_more(record: &Value) -> Option<String> {
    if record["isAssignableToRole"] == true {
        Some("it may hold directory roles, so changing it takes the permission RoleManagement.ReadWrite.Directory".into())
    } else if record["isManagementRestricted"] == true {
        Some("it is in a restricted management administrative unit, so changing it takes a role in that unit".into())
    } else {
        None
    }
}

/// A group as a listing shows it; `None` without an object id.
pub fn listed(record: &Value) -> Option<GroupListed> {
    let mut warnings = Vec::new();
    if let Some(more) = needs_more(record) {
        warnings.push(format!("{}{}.", more[..1].to_uppercase(), &more[1..]));
    }
    if record["groupTypes"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "Unified")) {
        warnings.push("It is a Microsoft 365 group: its owners and, when it is public, everybody can add members outside of this service.".into());
    }
    Some(GroupListed { description: text(record, "description"), read_only: read_only(record), warnings, ..GroupListed::named(group_ref(record)?) })
}

/// What a member of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    User,
    /// A group inside the group.
    Group,
    /// A device, an application, a contact: nobody's access.
    Other,
}

/// A member's id and what it is.
///
/// # Errors
/// When the record tells neither: a person might be missed.
pub fn member(record: &Value) -> Result<(&str, Kind), ReadError> {
    let unclear = || ReadError::Malformed("it does not tell what a member of a group is".into());
    let kind = match record["@odata.type"].as_str().ok_or_else(unclear)? {
        "#microsoft.graph.user" => Kind::User,
        "#microsoft.graph.group" => Kind::Group,
        _ => Kind::Other,
    };
    match (id(record), kind) {
        (Some(id), kind) => Ok((id, kind)),
        (None, Kind::Other) => Ok(("", Kind::Other)),
        (None, _) => Err(unclear()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const U1: &str = "11111111-1111-4111-8111-111111111111";
    const U2: &str = "22222222-2222-4222-8222-222222222222";

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect()
    }

    #[test]
    fn a_full_person_is_read_as_the_settings_say() {
        let record = json!({
            "id": U1, "userPrincipalName": "ann_x.org#EXT#@y.onmicrosoft.com", "mail": null, "displayName": " Ann\nO'Hara ", "accountEnabled": false,
            "userType": "Guest", "department": "Platform", "jobTitle": "", "employeeOrgData": {"costCenter": "4711", "division": null},
            "onPremisesExtensionAttributes": {"extensionAttribute3": "night"}, "otherMails": ["a@x", "b@x", {}],
            "manager": {"@odata.type": "#microsoft.graph.user", "id": U2},
        });
        let attributes = map(&[
            ("department", "department"),
            ("title", "jobTitle"),
            ("cost_center", "employeeOrgData.costCenter"),
            ("division", "employeeOrgData.division"),
            ("shift", "onPremisesExtensionAttributes.extensionAttribute3"),
            ("other_mails", "otherMails"),
            ("nothing", "department.deeper.still"),
        ]);
        let facts = person(&record, &attributes).unwrap();
        assert_eq!((facts.display_name.as_str(), facts.email, facts.active, facts.manager.as_deref()), ("Ann O'Hara", None, false, Some(U2)));
        let told: Vec<_> = facts.attributes.iter().map(|(k, v)| format!("{k}={}", v.join("+"))).collect();
        assert_eq!(told, ["cost_center=4711", "department=Platform", "other_mails=a@x+b@x", "shift=night", "user_type=Guest"]);
        let contact = json!({"id": U1, "accountEnabled": true, "manager": {"@odata.type": "#microsoft.graph.orgContact", "id": U2}});
        let facts = person(&contact, &BTreeMap::new()).unwrap();
        assert_eq!((facts.manager, facts.user_name.as_str(), facts.display_name.as_str()), (None, U1, U1));
    }

    #[test]
    fn an_account_of_which_nobody_says_whether_it_is_on_is_no_answer() {
        for bad in [json!({"id": U1}), json!({"id": U1, "accountEnabled": null}), json!({"id": U1, "accountEnabled": "true"})] {
            assert!(matches!(person(&bad, &BTreeMap::new()), Err(ReadError::Auth(_))), "{bad}");
        }
        for bad in [json!({}), json!([]), json!("x"), json!({"id": "ann", "accountEnabled": true}), json!({"id": 7}), json!({"id": format!("{{{U1}}}")})] {
            assert!(matches!(person(&bad, &BTreeMap::new()), Err(ReadError::Malformed(_))) && listed(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_groups_that_can_be_changed_are_called_so() {
        let why = |more: Value| {
            let mut record = json!({"id": U1, "displayName": "G", "groupTypes": [], "mailEnabled": false, "securityEnabled": true});
            record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read_only(&record)
        };
        assert_eq!(why(json!({})), None);
        assert_eq!(why(json!({"groupTypes": ["Unified"], "mailEnabled": true, "securityEnabled": false, "onPremisesSyncEnabled": null})), None);
        assert!(why(json!({"groupTypes": ["DynamicMembership", "Unified"]})).unwrap().contains("a rule"));
        assert!(why(json!({"onPremisesSyncEnabled": true})).unwrap().contains("synchronised"));
        assert!(why(json!({"mailEnabled": true})).unwrap().contains("mail-enabled security group"));
        assert!(why(json!({"mailEnabled": true, "securityEnabled": false})).unwrap().contains("distribution list"));
        assert!(why(json!({"visibility": "HiddenMembership"})).unwrap().contains("hidden"));
        assert!(why(json!({"groupTypes": null})).is_some(), "what is not told is not called writable");
        let roles = listed(&json!({"id": U1, "displayName": "G", "groupTypes": [], "isAssignableToRole": true})).unwrap();
        assert!(roles.read_only.is_none() && roles.warnings[0].starts_with("It may hold directory roles"), "{roles:?}");
    }

    #[test]
    fn members_are_told_apart_and_none_is_guessed() {
        let of = |kind: &str| json!({"@odata.type": kind, "id": U1});
        assert_eq!(member(&of("#microsoft.graph.user")), Ok((U1, Kind::User)));
        assert_eq!(member(&of("#microsoft.graph.group")), Ok((U1, Kind::Group)));
        assert_eq!(member(&of("#microsoft.graph.device")).unwrap().1, Kind::Other);
        for bad in [json!({"id": U1}), json!({"@odata.type": "#microsoft.graph.user", "id": ""}), json!(null), json!({"@odata.type": "#microsoft.graph.user"})]
        {
            assert!(member(&bad).is_err(), "{bad}");
        }
    }
}
