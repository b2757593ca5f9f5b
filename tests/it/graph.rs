//! A fake of Microsoft Graph that keeps state.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::vendor::{Call, Desk, Running, Said, Vendor};

pub const TENANT: &str = "contoso.example";
const DEFAULTS: &str = "businessPhones,displayName,givenName,id,jobTitle,mail,mobilePhone,officeLocation,preferredLanguage,surname,userPrincipalName";
/// What can be filtered by without the header of advanced queries.
const INDEXED: [&str; 6] = ["userPrincipalName", "mail", "employeeId", "department", "displayName", "id"];

#[derive(Default)]
pub struct Graph {
    pub desk: Desk,
    url: String,
    kept: Mutex<Kept>,
}

#[derive(Clone, Default)]
struct Kept {
    users: BTreeMap<String, Value>,
    managers: BTreeMap<String, String>,
    groups: BTreeMap<String, Value>,
    /// Members by group: their ids; groups, devices and people alike.
    members: BTreeMap<String, BTreeSet<String>>,
    devices: HashSet<String>,
    changes: Vec<Change>,
    /// Delta tokens below this are too old.
    oldest: usize,
    page: usize,
    /// Reads of `memberOf` that still answer as before the last write.
    lag: usize,
    lags_by: usize,
    before: BTreeMap<String, BTreeSet<String>>,
    /// First parts of paths, or `write`, that the application may not ask for.
    denied: HashSet<&'static str>,
    /// An empty page comes before every page with rows.
    hollow: bool,
    /// Subscriptions: id and what was asked for.
    subscriptions: BTreeMap<String, Value>,
    /// Where next links lead instead of to us.
    elsewhere: Option<String>,
}

#[derive(Clone)]
enum Change {
    User(String, bool),
    Group(String, bool),
    Member(String, String, bool),
}

pub fn user_id(number: usize) -> String {
    format!("0a000000-0000-4000-8000-{number:012}")
}

pub fn group_id(number: usize) -> String {
    format!("0b000000-0000-4000-8000-{number:012}")
}

fn refused(status: u16, code: &str, message: &str) -> Said {
    let inner = json!({"date": "2026-01-01T00:00:00", "request-id": "7c9a", "client-request-id": "7c9a"});
    Said::new(status, json!({"error": {"code": code, "message": message, "innerError": inner}})).with("request-id", "7c9a")
}

fn missing(id: &str) -> Said {
    refused(404, "Request_ResourceNotFound", &format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present."))
}

impl Graph {
    pub async fn held() -> Running<Self> {
        Running::held("/v1.0", &["/contoso.example/"], Self::at).await
    }

    pub async fn straight() -> Running<Self> {
        Running::straight("/v1.0", Self::at).await
    }

    fn at(url: &str) -> Self {
        let graph = Self { url: url.to_owned(), ..Self::default() };
        graph.kept().page = 999;
        graph
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A person; `more` is laid over the usual.
    pub fn user(&self, number: usize, login: &str, more: Value) -> String {
        let id = user_id(number);
        let mut record = json!({
            "id": id, "userPrincipalName": format!("{login}@contoso.example"), "mail": format!("{login}@contoso.example"), "displayName": login,
            "accountEnabled": true, "userType": "Member", "department": null, "jobTitle": null, "employeeId": null, "employeeType": null,
            "employeeOrgData": null, "companyName": "Contoso", "officeLocation": null, "country": null, "onPremisesImmutableId": null,
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut kept = self.kept();
        kept.users.insert(id.clone(), record);
        kept.changes.push(Change::User(id.clone(), true));
        id
    }

    /// Switches somebody off, or gives them another property.
    pub fn set(&self, id: &str, name: &str, value: Value) {
        let mut kept = self.kept();
        kept.users.get_mut(id).unwrap()[name] = value;
        kept.changes.push(Change::User(id.into(), true));
    }

    /// Whether there is such a person.
    pub fn knows(&self, id: &str) -> bool {
        self.kept().users.contains_key(id)
    }

    pub fn members(&self, group: &str) -> Vec<String> {
        self.kept().members.get(group).into_iter().flatten().cloned().collect()
    }

    pub fn manager(&self, person: &str, manager: &str) {
        let mut kept = self.kept();
        kept.managers.insert(person.into(), manager.into());
        kept.changes.push(Change::User(person.into(), true));
    }

    pub fn drop_user(&self, id: &str) {
        let mut kept = self.kept();
        kept.users.remove(id);
        kept.members.values_mut().for_each(|members| _ = members.remove(id));
        kept.changes.push(Change::User(id.into(), false));
    }

    pub fn group(&self, number: usize, name: &str, more: Value) -> String {
        let id = group_id(number);
        let mut record = json!({
            "id": id, "displayName": name, "description": null, "groupTypes": [], "mailEnabled": false, "securityEnabled": true,
            "onPremisesSyncEnabled": null, "isAssignableToRole": null, "isManagementRestricted": null, "visibility": null,
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut kept = self.kept();
        kept.groups.insert(id.clone(), record);
        kept.changes.push(Change::Group(id.clone(), true));
        id
    }

    pub fn drop_group(&self, id: &str) {
        let mut kept = self.kept();
        kept.groups.remove(id);
        kept.members.remove(id);
        kept.changes.push(Change::Group(id.into(), false));
    }

    /// A device, which may be a member and is nobody.
    pub fn device(&self, number: usize) -> String {
        let id = format!("0c000000-0000-4000-8000-{number:012}");
        self.kept().devices.insert(id.clone());
        id
    }

    /// Puts somebody or something into a group, behind our back.
    pub fn put(&self, group: &str, member: &str) {
        let mut kept = self.kept();
        kept.members.entry(group.into()).or_default().insert(member.into());
        kept.changes.push(Change::Member(group.into(), member.into(), true));
    }

    pub fn take(&self, group: &str, member: &str) {
        let mut kept = self.kept();
        kept.members.entry(group.into()).or_default().remove(member);
        kept.changes.push(Change::Member(group.into(), member.into(), false));
    }

    pub fn has(&self, group: &str, member: &str) -> bool {
        self.kept().members.get(group).is_some_and(|members| members.contains(member))
    }

    pub fn size(&self, group: &str) -> usize {
        self.kept().members.get(group).map_or(0, BTreeSet::len)
    }

    pub fn users(&self) -> usize {
        self.kept().users.len()
    }

    pub fn page(&self, rows: usize) {
        self.kept().page = rows;
    }

    pub fn hollow(&self) {
        self.kept().hollow = true;
    }

    pub fn links_lead(&self, elsewhere: &str) {
        self.kept().elsewhere = Some(elsewhere.into());
    }

    /// After every write so many reads of memberships still answer as before.
    pub fn lags_by(&self, reads: usize) {
        self.kept().lags_by = reads;
    }

    pub fn deny(&self, what: &'static str) {
        self.kept().denied.insert(what);
    }

    /// Delta tokens given out so far are too old.
    /// Subscriptions that there are: id and what was asked for.
    pub fn subscriptions(&self) -> BTreeMap<String, Value> {
        self.kept().subscriptions.clone()
    }

    /// Ends every subscription, as Graph does when they are not renewed.
    pub fn end_subscriptions(&self) {
        self.kept().subscriptions.clear();
    }

    pub fn forget_changes(&self) {
        let mut kept = self.kept();
        kept.oldest = kept.changes.len() + 1;
        kept.changes.push(Change::User("0a000000-0000-4000-8000-00000000dead".into(), false));
    }
}

impl Kept {
    fn link(&self, url: &str, path: &str, call: &Call, name: &str, token: &str) -> String {
        let mut link = reqwest::Url::parse(&format!("{}{path}", self.elsewhere.as_deref().unwrap_or(url))).unwrap();
        link.query_pairs_mut()
            .extend_pairs(call.query.iter().filter(|(key, _)| !["$skiptoken", "$deltatoken"].contains(&key.as_str())))
            .append_pair(name, token);
        link.into()
    }

    /// A page of `rows`, which are in order of their ids.
    fn paged(&self, url: &str, call: &Call, rows: Vec<Value>, advanced: bool) -> Said {
        let token = call.query("$skiptoken");
        let (eventual, after) = token.split_once('~').unwrap_or(("", token));
        let has_header = call.headers.get("consistencylevel").is_some_and(|level| level == "eventual");
        if (advanced || eventual == "eventual") && !(has_header && call.query("$count") == "true") {
            return refused(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause.");
        }
        let total = rows.len();
        let top: usize = call.query("$top").parse().unwrap_or(100);
        if !(1..=999).contains(&top) {
            return refused(400, "Request_BadRequest", "Invalid page size specified.");
        }
        let (after, is_hollow) = match after.strip_suffix('!') {
            Some(after) => (after, false),
            None => (after, self.hollow),
        };
        let mut open = rows.into_iter().filter(|row| row["id"].as_str().unwrap() > after).peekable();
        let value: Vec<Value> = if is_hollow { Vec::new() } else { open.by_ref().take(top.min(self.page)).collect() };
        let mark = if eventual == "eventual" || has_header { "eventual" } else { "" };
        let mut body = json!({"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#x"});
        if open.peek().is_some() {
            let last = if is_hollow { format!("{after}!") } else { value.last().unwrap()["id"].as_str().unwrap().to_owned() };
            body["@odata.nextLink"] = self.link(url, &call.path, call, "$skiptoken", &format!("{mark}~{last}")).into();
        }
        if has_header && call.query("$count") == "true" {
            body["@odata.count"] = total.into();
        }
        body["value"] = value.into();
        Said::new(200, body)
    }

    /// Only what was asked for, as Graph does.
    fn shown(&self, record: &Value, call: &Call) -> Result<Value, Said> {
        let select = call.query("$select");
        let fields: Vec<&str> = if select.is_empty() { DEFAULTS.split(',').collect() } else { select.split(',').collect() };
        let known = record.as_object().unwrap();
        let mut shown = Map::new();
        for field in &fields {
            if let Some(value) = known.get(*field) {
                shown.insert((*field).to_owned(), value.clone());
            }
        }
        shown.insert("id".into(), known["id"].clone());
        let expand = call.query("$expand");
        if !expand.is_empty() {
            if expand != "manager($levels=1;$select=id,displayName)" {
                return Err(refused(400, "Request_BadRequest", "Parsing OData Select and Expand failed."));
            }
            if let Some(manager) = self.managers.get(known["id"].as_str().unwrap()).and_then(|id| self.users.get(id)) {
                shown.insert("manager".into(), json!({"@odata.type": "#microsoft.graph.user", "id": manager["id"], "displayName": manager["displayName"]}));
            }
        }
        Ok(Value::Object(shown))
    }

    fn typed(&self, id: &str) -> Value {
        let (kind, record) = if let Some(user) = self.users.get(id) {
            ("user", user.clone())
        } else if let Some(group) = self.groups.get(id) {
            ("group", group.clone())
        } else {
            ("device", json!({"id": id, "displayName": "a device"}))
        };
        json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": id, "displayName": record["displayName"]})
    }

    /// Ids of the groups around `member`: those it is in directly, or all.
    fn around(&self, member: &str, all: bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![member.to_owned()];
        while let Some(one) = open.pop() {
            for (group, members) in &self.members {
                if members.contains(&one) && found.insert(group.clone()) && all {
                    open.push(group.clone());
                }
            }
        }
        found
    }

    fn inside(&self, group: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![group.to_owned()];
        while let Some(one) = open.pop() {
            for member in self.members.get(&one).into_iter().flatten() {
                if found.insert(member.clone()) && self.groups.contains_key(member) {
                    open.push(member.clone());
                }
            }
        }
        found
    }

    fn listed(&self, url: &str, call: &Call, records: &BTreeMap<String, Value>) -> Said {
        let filter = call.query("$filter");
        let mut advanced = false;
        let mut rows = Vec::new();
        for record in records.values() {
            if !filter.is_empty() {
                let Some((field, value)) = filter.split_once(" eq ") else { return refused(400, "Request_BadRequest", "Invalid filter clause") };
                let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or_default();
                if value.replace("''", "").contains('\'') {
                    return refused(400, "Request_BadRequest", "Invalid filter clause");
                }
                advanced = !INDEXED.contains(&field);
                let told = field.split('/').fold(record, |at, name| &at[name]);
                if !told.as_str().is_some_and(|told| told.eq_ignore_ascii_case(&value.replace("''", "'"))) {
                    continue;
                }
            }
            match self.shown(record, call) {
                Ok(row) => rows.push(row),
                Err(said) => return said,
            }
        }
        self.paged(url, call, rows, advanced)
    }

    fn delta(&self, url: &str, call: &Call, people: bool) -> Said {
        let (skip, token) = (call.query("$skiptoken"), call.query("$deltatoken"));
        let end = self.changes.len();
        let answer = |value: Vec<Value>, name: &str, token: &str| {
            let place = if name == "@odata.nextLink" { "$skiptoken" } else { "$deltatoken" };
            let mut body = json!({"@odata.context": "x", "value": value});
            body[name] = self.link(url, &call.path, call, place, token).into();
            Said::new(200, body)
        };
        if token == "latest" {
            return answer(Vec::new(), "@odata.deltaLink", &end.to_string());
        }
        let first = if people { Vec::new() } else { self.chunks() };
        let start: usize = match (skip.strip_prefix('i'), skip.strip_prefix('d').or((!token.is_empty()).then_some(token))) {
            (Some(at), _) => return self.initial(first, at.parse().unwrap(), answer),
            (None, None) => return self.initial(first, 0, answer),
            (None, Some(at)) => match at.parse() {
                Ok(at) => at,
                Err(_) => return refused(400, "SyncStateInvalid", "The sync state is not valid."),
            },
        };
        if start < self.oldest {
            return refused(410, "syncStateNotFound", "The sync state generation is not found; continuing with full synchronisation.")
                .with("location", format!("{url}{}?$deltatoken=", call.path));
        }
        let stop = (start + self.page).min(end);
        let rows = self.changes[start..stop].iter().filter_map(|change| self.row(change, people)).collect();
        if stop < end { answer(rows, "@odata.nextLink", &format!("d{stop}")) } else { answer(rows, "@odata.deltaLink", &end.to_string()) }
    }

    fn initial(&self, rows: Vec<Value>, at: usize, answer: impl Fn(Vec<Value>, &str, &str) -> Said) -> Said {
        let page: Vec<Value> = rows.iter().skip(at).take(if self.page < 100 { 3 } else { 200 }).cloned().collect();
        let next = at + page.len();
        if next < rows.len() { answer(page, "@odata.nextLink", &format!("i{next}")) } else { answer(page, "@odata.deltaLink", &self.changes.len().to_string()) }
    }

    /// All groups with their members, a few at a time; a name comes once.
    fn chunks(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for (id, group) in &self.groups {
            let members: Vec<_> =
                self.members.get(id).into_iter().flatten().map(|id| json!({"@odata.type": self.typed(id)["@odata.type"], "id": id})).collect();
            rows.push(json!({"id": id, "displayName": group["displayName"]}));
            let some = if self.page < 100 { 2 } else { 100 };
            rows.extend(members.chunks(some).map(|some| json!({"id": id, "members@delta": some})));
        }
        // As the service may: what was told is told again.
        rows.extend(rows.last().cloned());
        rows
    }

    fn row(&self, change: &Change, people: bool) -> Option<Value> {
        match (change, people) {
            (Change::User(id, true), true) => Some(json!({"id": id})),
            (Change::User(id, false), true) | (Change::Group(id, false), false) => Some(json!({"id": id, "@removed": {"reason": "deleted"}})),
            (Change::Group(id, true), false) => Some(json!({"id": id, "displayName": self.groups.get(id)?["displayName"]})),
            (Change::Member(group, member, there), false) => {
                let mut entry = json!({"@odata.type": self.typed(member)["@odata.type"], "id": member});
                if !there {
                    entry["@removed"] = json!({"reason": "deleted"});
                }
                Some(json!({"id": group, "members@delta": [entry]}))
            }
            _ => None,
        }
    }

    fn write(&mut self, group: &str, member: &str, there: bool) {
        self.before = self.members.clone();
        self.lag = self.lags_by;
        let members = self.members.entry(group.into()).or_default();
        if there {
            members.insert(member.into());
        } else {
            members.remove(member);
        }
        self.changes.push(Change::Member(group.into(), member.into(), there));
    }

    fn unwritable(&self, group: &str) -> Option<Said> {
        let group = &self.groups[group];
        if group["groupTypes"].as_array().unwrap().iter().any(|kind| kind == "DynamicMembership") {
            return Some(refused(400, "Request_BadRequest", "Insufficient privileges or a dynamic group: the membership rule decides."));
        }
        if group["onPremisesSyncEnabled"] == true || (group["mailEnabled"] == true && group["groupTypes"].as_array().unwrap().is_empty()) {
            return Some(refused(400, "Request_BadRequest", "Cannot Update a mail-enabled security groups and or distribution list."));
        }
        (group["isAssignableToRole"] == true).then(|| refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."))
    }

    fn denies(&self, call: &Call) -> bool {
        let parts: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        let what = match (call.method.as_str(), &*parts) {
            (_, [.., "$ref"]) => "write",
            (_, ["groups", _, "members"]) => "members",
            (_, [_, "delta"]) => "delta",
            (_, ["users", _, "memberOf" | "transitiveMemberOf"]) => "groups",
            (_, ["users", ..]) => "users",
            _ => "groups",
        };
        self.denied.contains(what)
    }
}

impl Vendor for Graph {
    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn token_path(&self) -> &'static str {
        "/oauth2/v2.0/token"
    }

    fn base(&self) -> &'static str {
        "/v1.0"
    }

    fn unauthorised(&self) -> Said {
        refused(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
    }

    fn answer(&self, call: &Call) -> Said {
        let mut kept = self.kept();
        if kept.denies(call) {
            return refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
        }
        let url = self.url.as_str();
        let parts: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        match (call.method.as_str(), &*parts) {
            ("POST", ["subscriptions"]) => {
                let mut made = call.json();
                let id = format!("0e000000-0000-4000-8000-{:012}", kept.subscriptions.len() + 1);
                made["id"] = json!(id);
                kept.subscriptions.insert(id, made.clone());
                Said::new(201, made)
            }
            ("PATCH", ["subscriptions", id]) => match kept.subscriptions.get_mut(*id) {
                Some(kept) => {
                    kept["expirationDateTime"] = call.json()["expirationDateTime"].clone();
                    Said::new(200, kept.clone())
                }
                None => refused(404, "ResourceNotFound", "The object was not found."),
            },
            ("GET", ["users"]) => kept.listed(url, call, &kept.users),
            ("GET", ["groups"]) => kept.listed(url, call, &kept.groups),
            ("GET", ["users", "delta"]) => kept.delta(url, call, true),
            ("GET", ["groups", "delta"]) => kept.delta(url, call, false),
            ("GET", ["users", id]) => match kept.users.get(*id) {
                Some(user) => kept.shown(user, call).map_or_else(|said| said, |shown| Said::new(200, shown)),
                None => missing(id),
            },
            ("GET", ["groups", id]) => match kept.groups.get(*id) {
                Some(group) => kept.shown(group, call).map_or_else(|said| said, |shown| Said::new(200, shown)),
                None if uuid::Uuid::try_parse(id).is_err() => refused(400, "Request_BadRequest", "Invalid object identifier."),
                None => missing(id),
            },
            ("GET", ["users", id, of @ ("memberOf" | "transitiveMemberOf")]) => {
                if !kept.users.contains_key(*id) {
                    return missing(id);
                }
                let old = (kept.lag > 0).then(|| Kept { members: kept.before.clone(), ..kept.clone() });
                kept.lag = kept.lag.saturating_sub(1);
                let groups = old.as_ref().unwrap_or(&kept).around(id, *of == "transitiveMemberOf");
                // Roles and administrative units are told along with groups.
                let unit = json!({"@odata.type": "#microsoft.graph.administrativeUnit", "id": "0d000000-0000-4000-8000-000000000001", "displayName": "EU"});
                let rows = groups.iter().map(|group| kept.typed(group)).chain([unit]).collect();
                kept.paged(url, call, rows, false)
            }
            ("POST", ["users", id, "checkMemberGroups"]) => {
                if !kept.users.contains_key(*id) {
                    return missing(id);
                }
                let around = kept.around(id, true);
                let asked = call.json()["groupIds"].as_array().cloned().unwrap_or_default();
                let value: Vec<_> = asked.into_iter().filter(|group| around.contains(group.as_str().unwrap())).collect();
                Said::new(200, json!({"@odata.context": "x", "value": value}))
            }
            ("GET", ["groups", id, of @ ("members" | "transitiveMembers")]) => {
                if !kept.groups.contains_key(*id) {
                    return missing(id);
                }
                let members = if *of == "members" { kept.members.get(*id).cloned().unwrap_or_default() } else { kept.inside(id) };
                let rows = members.iter().map(|id| kept.typed(id)).collect();
                kept.paged(url, call, rows, false)
            }
            ("POST", ["groups", id, "members", "$ref"]) => {
                let object = call.json()["@odata.id"].as_str().unwrap_or_default().to_owned();
                let person = object.strip_prefix("https://graph.microsoft.com/v1.0/directoryObjects/").unwrap_or_default().to_owned();
                if !kept.groups.contains_key(*id) {
                    return missing(id);
                }
                if let Some(said) = kept.unwritable(id) {
                    return said;
                }
                if !kept.users.contains_key(&person) {
                    return missing(&person);
                }
                if kept.members.get(*id).is_some_and(|members| members.contains(&person)) {
                    let text = "One or more added object references already exist for the following modified properties: 'members'.";
                    return refused(400, "Request_BadRequest", text);
                }
                kept.write(id, &person, true);
                Said::empty(204)
            }
            ("DELETE", ["groups", id, "members", person, "$ref"]) => {
                if !kept.groups.contains_key(*id) {
                    return missing(id);
                }
                if let Some(said) = kept.unwritable(id) {
                    return said;
                }
                if !kept.members.get(*id).is_some_and(|members| members.contains(*person)) {
                    return missing(person);
                }
                kept.write(id, person, false);
                Said::empty(204)
            }
            // As Graph does: without /$ref it is the person who is deleted.
            ("DELETE", ["groups", _, "members", person]) => {
                kept.users.remove(*person);
                Said::empty(204)
            }
            _ => refused(400, "BadRequest", "Resource not found for the segment."),
        }
    }
}
