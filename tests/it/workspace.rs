//! A fake of Google Workspace that keeps people and groups.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::vendor::{Call, Desk, Running, Said, Vendor};

#[derive(Default)]
pub struct Workspace {
    pub desk: Desk,
    kept: Mutex<Kept>,
}

#[derive(Clone, Default)]
struct Kept {
    users: BTreeMap<String, Value>,
    groups: BTreeMap<String, Value>,
    /// Members by group, by id: type and role.
    members: BTreeMap<String, BTreeMap<String, (String, String)>>,
    page: usize,
    lag: usize,
    lags_by: usize,
    before: BTreeMap<String, BTreeMap<String, (String, String)>>,
    denied: HashSet<&'static str>,
}

pub fn user_id(number: usize) -> String {
    format!("1{number:020}")
}

pub fn group_id(number: usize) -> String {
    format!("01g{number:012}")
}

/// An error as the Directory API writes it.
pub fn refused(status: u16, reason: &str, message: &str) -> Said {
    let one = json!({"domain": "global", "reason": reason, "message": message});
    Said::new(status, json!({"error": {"code": status, "message": message, "errors": [one]}}))
}

impl Workspace {
    pub async fn held() -> Running<Self> {
        Running::held("", &["/token"], |_| Self::fresh()).await
    }

    pub async fn straight() -> Running<Self> {
        Running::straight("", |_| Self::fresh()).await
    }

    fn fresh() -> Self {
        let fake = Self::default();
        fake.kept().page = 500;
        fake
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A person; `more` is laid over the usual.
    pub fn user(&self, number: usize, login: &str, more: Value) -> String {
        let id = user_id(number);
        let mut record = json!({
            "kind": "admin#directory#user", "id": id, "primaryEmail": format!("{login}@orchard.example"), "customerId": "C01",
            "name": {"fullName": login, "givenName": login, "familyName": "Test"}, "suspended": false, "archived": false, "isAdmin": false,
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.kept().users.insert(id.clone(), record);
        id
    }

    /// Suspends somebody, or gives them another property.
    pub fn set(&self, id: &str, name: &str, value: Value) {
        self.kept().users.get_mut(id).unwrap()[name] = value;
    }

    /// Whether there is such a person.
    pub fn knows(&self, id: &str) -> bool {
        self.kept().users.contains_key(id)
    }

    pub fn members(&self, group: &str) -> Vec<String> {
        self.kept().members.get(group).into_iter().flatten().map(|(id, _)| id.clone()).collect()
    }

    pub fn drop_user(&self, id: &str) {
        let mut kept = self.kept();
        kept.users.remove(id);
        kept.members.values_mut().for_each(|members| drop(members.remove(id)));
    }

    pub fn group(&self, number: usize, name: &str) -> String {
        let id = group_id(number);
        let record = json!({
            "kind": "admin#directory#group", "id": id, "email": format!("g{number}@orchard.example"), "name": name, "description": "",
            "adminCreated": true, "directMembersCount": "0",
        });
        self.kept().groups.insert(id.clone(), record);
        id
    }

    pub fn drop_group(&self, id: &str) {
        let mut kept = self.kept();
        kept.groups.remove(id);
        kept.members.remove(id);
    }

    /// Puts somebody or something into a group, behind our back.
    pub fn put(&self, group: &str, member: &str, kind: &str, role: &str) {
        self.kept().members.entry(group.into()).or_default().insert(member.into(), (kind.into(), role.into()));
    }

    /// The role somebody has in a group.
    pub fn role(&self, group: &str, member: &str) -> Option<String> {
        self.kept().members.get(group)?.get(member).map(|(_, role)| role.clone())
    }

    pub fn size(&self, group: &str) -> usize {
        self.kept().members.get(group).map_or(0, BTreeMap::len)
    }

    pub fn page(&self, rows: usize) {
        self.kept().page = rows;
    }

    pub fn lags_by(&self, reads: usize) {
        self.kept().lags_by = reads;
    }

    pub fn deny(&self, what: &'static str) {
        self.kept().denied.insert(what);
    }
}

impl Kept {
    fn user(&self, key: &str) -> Option<&Value> {
        self.users.get(key).or_else(|| {
            self.users.values().find(|user| {
                let aliases = user["aliases"].as_array().into_iter().flatten();
                aliases.chain([&user["primaryEmail"]]).any(|address| address.as_str().is_some_and(|address| address.eq_ignore_ascii_case(key)))
            })
        })
    }

    fn group(&self, key: &str) -> Option<String> {
        self.groups.get_key_value(key).or_else(|| self.groups.iter().find(|(_, group)| group["email"] == key)).map(|(id, _)| id.clone())
    }

    fn listed(&self, call: &Call, name: &str, most: usize, rows: Vec<Value>) -> Said {
        let asked: usize = call.query("maxResults").parse().unwrap_or(100);
        let after = call.query("pageToken");
        let mut open = rows.into_iter().filter(|row| row["id"].as_str().unwrap() > after).peekable();
        let page: Vec<Value> = open.by_ref().take(asked.min(most).min(self.page)).collect();
        let mut body = json!({"kind": format!("admin#directory#{name}"), "etag": "\"x\""});
        if open.peek().is_some() {
            body["nextPageToken"] = page.last().unwrap()["id"].clone();
        }
        // An empty list has no rows at all.
        if !page.is_empty() {
            body[name] = page.into();
        }
        Said::new(200, body)
    }

    fn member(&self, id: &str, kind: &str, role: &str) -> Value {
        let known = self.users.get(id).map(|user| &user["primaryEmail"]).or_else(|| self.groups.get(id).map(|group| &group["email"]));
        let mut row = json!({"kind": "admin#directory#member", "id": id, "role": role, "type": kind, "status": "ACTIVE"});
        if let Some(address) = known {
            row["email"] = address.clone();
        }
        row
    }

    fn inside(&self, group: &str) -> BTreeMap<String, (String, String)> {
        let mut found = BTreeMap::new();
        let mut open = vec![group.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(one) = open.pop() {
            if seen.insert(one.clone()) {
                for (id, member) in self.members.get(&one).into_iter().flatten() {
                    found.insert(id.clone(), member.clone());
                    open.push(id.clone());
                }
            }
        }
        found
    }

    fn write(&mut self, group: &str, member: &str, as_what: Option<(String, String)>) {
        self.before = self.members.clone();
        self.lag = self.lags_by;
        let members = self.members.entry(group.into()).or_default();
        match as_what {
            Some(as_what) => drop(members.insert(member.into(), as_what)),
            None => drop(members.remove(member)),
        }
    }
}

impl Vendor for Workspace {
    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn token_path(&self) -> &'static str {
        "/token"
    }

    fn base(&self) -> &'static str {
        ""
    }

    fn unauthorised(&self) -> Said {
        refused(401, "authError", "Invalid Credentials")
    }

    fn answer(&self, call: &Call) -> Said {
        let mut kept = self.kept();
        let missing = |what: &str| refused(404, "notFound", &format!("Resource Not Found: {what}"));
        let Some(path) = call.path.strip_prefix("/admin/directory/v1/") else { return Said::html(404) };
        let parts: Vec<&str> = path.split('/').collect();
        let class = match (call.method.as_str(), &*parts) {
            ("GET", ["users", ..]) => "users",
            ("GET", ["groups", _, "members", ..]) => "members",
            ("GET", _) => "groups",
            _ => "write",
        };
        if kept.denied.contains(class) {
            return refused(403, "insufficientPermissions", "Insufficient Permission: Request had insufficient authentication scopes.");
        }
        match (call.method.as_str(), &*parts) {
            ("GET", ["users"]) => {
                let bare = call.query("projection") != "full";
                let rows = kept.users.values().cloned().map(|mut user| {
                    if bare {
                        user.as_object_mut().unwrap().retain(|key, _| !["customSchemas"].contains(&key.as_str()));
                    }
                    user
                });
                kept.listed(call, "users", 500, rows.collect())
            }
            ("GET", ["users", key]) => match kept.user(key) {
                Some(user) => Said::new(200, user.clone()),
                None if key.contains('@') && !key.ends_with("@orchard.example") => refused(403, "forbidden", "Not Authorized to access this resource/api"),
                None => missing("userKey"),
            },
            ("GET", ["groups"]) => {
                let rows: Vec<Value> = match call.query("userKey") {
                    "" => {
                        let name = call
                            .query("query")
                            .strip_prefix("name='")
                            .and_then(|rest| rest.strip_suffix('\''))
                            .map(|name| name.replace("\\'", "'").replace("\\\\", "\\"));
                        // A search by name also finds what begins like it.
                        let hit =
                            |group: &&Value| name.as_ref().is_none_or(|name| group["name"].as_str().unwrap().to_lowercase().starts_with(&name.to_lowercase()));
                        kept.groups.values().filter(hit).cloned().collect()
                    }
                    key => {
                        let known = kept.user(key).map(|user| user["id"].as_str().unwrap().to_owned()).or_else(|| kept.group(key));
                        let Some(id) = known else { return missing("userKey") };
                        kept.groups
                            .iter()
                            .filter(|(group, _)| kept.members.get(*group).is_some_and(|members| members.contains_key(&id)))
                            .map(|(_, group)| group.clone())
                            .collect()
                    }
                };
                kept.listed(call, "groups", 200, rows)
            }
            ("GET", ["groups", key]) => match kept.group(key) {
                Some(id) => Said::new(200, kept.groups[&id].clone()),
                None => missing("groupKey"),
            },
            ("GET", ["groups", group, "members"]) => {
                if !kept.groups.contains_key(*group) {
                    return missing("groupKey");
                }
                let derived = call.query("includeDerivedMembership") == "true";
                let members = if derived { kept.inside(group) } else { kept.members.get(*group).cloned().unwrap_or_default() };
                let rows = members.iter().map(|(id, (kind, role))| kept.member(id, kind, role)).collect();
                kept.listed(call, "members", 200, rows)
            }
            ("GET", ["groups", group, "members", key]) => {
                if !kept.groups.contains_key(*group) {
                    return missing("groupKey");
                }
                if !kept.users.contains_key(*key) && !kept.groups.contains_key(*key) && key.starts_with('9') {
                    return refused(400, "required", "Missing required field: memberKey");
                }
                let members = if kept.lag > 0 { &kept.before } else { &kept.members };
                let found = members.get(*group).and_then(|members| members.get(*key)).cloned();
                kept.lag = kept.lag.saturating_sub(1);
                match found {
                    Some((kind, role)) => Said::new(200, kept.member(key, &kind, &role)),
                    None => missing("memberKey"),
                }
            }
            ("POST", ["groups", group, "members"]) => {
                if !kept.groups.contains_key(*group) {
                    return missing("groupKey");
                }
                let body = call.json();
                let id = body["id"].as_str().unwrap_or_default().to_owned();
                if !kept.users.contains_key(&id) {
                    // What the service may do with an unknown key: take it as somebody from outside.
                    kept.write(group, &id, Some(("EXTERNAL".into(), "MEMBER".into())));
                    return Said::new(200, kept.member(&id, "EXTERNAL", "MEMBER"));
                }
                if kept.members.get(*group).is_some_and(|members| members.contains_key(&id)) {
                    return refused(409, "duplicate", "Member already exists.");
                }
                let role = body["role"].as_str().unwrap_or("MEMBER").to_owned();
                kept.write(group, &id, Some(("USER".into(), role.clone())));
                Said::new(200, kept.member(&id, "USER", &role))
            }
            ("DELETE", ["groups", group, "members", key]) => {
                if !kept.groups.contains_key(*group) {
                    return missing("groupKey");
                }
                if !kept.members.get(*group).is_some_and(|members| members.contains_key(*key)) {
                    return if kept.users.contains_key(*key) { missing("memberKey") } else { refused(400, "required", "Missing required field: memberKey") };
                }
                kept.write(group, key, None);
                Said::empty(204)
            }
            _ => Said::html(404),
        }
    }
}
