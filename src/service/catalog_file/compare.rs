//! What must change so that the catalog says the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::domain::id::PolicyVersionId;
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource};
use crate::evidence::canonical;
use crate::service::plan::{Change, Mark, Plan};
use crate::store::catalog::{ApplicationNow, Catalog, Latest, RoleNow};
use crate::store::catalog_write::Write;

use super::draft::{ApplicationDraft, Draft, RoleDraft};
use super::places::{Fault, Place};
use super::words;

/// Everything that has to change so that `current` becomes `draft`, added to the faults found so far. `mint` makes the ids of what
/// is new.
pub fn compare(draft: &Draft, faults: Vec<Fault>, current: &Catalog, mint: &mut dyn FnMut() -> Uuid) -> Plan {
    let plan = Plan { faults, ..Plan::default() };
    let mut planner = Planner { current, draft, mint, plan, policy_ids: BTreeMap::new(), wanted: Vec::new() };
    planner.offers();
    let (profiles, procedures) = planner.versions();
    planner.policies(&profiles, &procedures);
    planner.bindings();
    planner.plan
}

/// Key, id of the latest version and its number, of profiles or procedures.
type Versions = BTreeMap<String, (Uuid, i32)>;

struct Planner<'a> {
    current: &'a Catalog,
    draft: &'a Draft,
    mint: &'a mut dyn FnMut() -> Uuid,
    plan: Plan,
    policy_ids: BTreeMap<String, Uuid>,
    wanted: Vec<Wanted<'a>>,
}

/// A binding as it is to be: of a role, of an application, or (neither) a default one; the key of its policy, its priority.
type Wanted<'a> = (Option<Uuid>, Option<Uuid>, &'a str, i32);

impl<'a> Planner<'a> {
    fn tell(&mut self, mark: Mark, what: &'static str, title: String, details: Vec<String>) {
        self.plan.changes.push(Change { mark, what, title, details });
    }

    fn policies_of(&self, role: Option<Uuid>, application: Option<Uuid>, otherwise: &str) -> String {
        let bound = self.current.bindings.iter().filter(|binding| binding.role_id == role && binding.application_id == application);
        words::bindings(bound.map(|binding| (binding.policy.as_str(), binding.priority)), otherwise)
    }

    /// Applications and roles: made, changed, retired.
    fn offers(&mut self) {
        let mut kept = BTreeSet::new();
        let mut ids: BTreeMap<&str, Uuid> = BTreeMap::new();
        for entry in self.draft.applications.iter().filter(|entry| !entry.key.is_empty()) {
            let now = self.current.applications.iter().find(|now| now.key == entry.key);
            let id = now.map_or_else(|| (self.mint)(), |now| now.id);
            kept.insert(id);
            ids.entry(&entry.key).or_insert(id);
            self.wanted.extend(entry.policies.iter().map(|(policy, priority)| (None, Some(id), policy.as_str(), *priority)));
            self.application(entry, now, id);
        }
        let gone: Vec<&ApplicationNow> = self.current.applications.iter().filter(|now| !kept.contains(&now.id) && !now.retired).collect();
        for now in gone {
            self.tell(Mark::Retire, "application", format!("{}  {}", now.key, now.name), vec!["no longer offered, with all its roles".into()]);
            self.plan.writes.push(Write::RetireApplication(now.id));
        }
        let mut offered = BTreeSet::new();
        for entry in self.draft.roles.iter().filter(|entry| !entry.key.is_empty()) {
            let Some(application) = ids.get(entry.application.as_str()).copied() else { continue };
            let now = self.current.roles.iter().find(|now| now.application_id == application && now.key == entry.key);
            let id = now.map_or_else(|| (self.mint)(), |now| now.id);
            offered.insert(id);
            self.wanted.extend(entry.policies.iter().map(|(policy, priority)| (Some(id), None, policy.as_str(), *priority)));
            self.role(entry, now, id, application);
        }
        let gone: Vec<&RoleNow> = self.current.roles.iter().filter(|now| !offered.contains(&now.id) && !now.retired).collect();
        for now in gone {
            let application = self.current.applications.iter().find(|application| application.id == now.application_id).map_or("", |a| &a.key);
            let title = format!("{application}/{}  {}", now.key, now.name);
            self.tell(Mark::Retire, "role", title, vec!["no longer offered; what was granted runs to its end".into()]);
            self.plan.writes.push(Write::RetireRole(now.id));
        }
    }

    fn application(&mut self, entry: &ApplicationDraft, now: Option<&ApplicationNow>, id: Uuid) {
        let policies = words::bindings(pairs(&entry.policies), "the default ones");
        let lines = offer_lines(&entry.name, &entry.description, &entry.owner.login, policies);
        let row = ApplicationNow {
            id,
            key: entry.key.clone(),
            name: entry.name.clone(),
            description: entry.description.clone(),
            owner_id: entry.owner.id.0,
            owner_login: entry.owner.login.clone(),
            retired: false,
        };
        let title = format!("{}  {}", entry.key, entry.name);
        let Some(now) = now else {
            self.tell(Mark::Add, "application", title, words::all(&lines));
            self.plan.writes.push(Write::Application(row));
            return;
        };
        let before = offer_lines(&now.name, &now.description, &now.owner_login, self.policies_of(None, Some(id), "the default ones"));
        let mut told = words::differences(&before, &lines);
        same_login_somebody_else(&mut told, now.owner_id == row.owner_id, &now.owner_login, &row.owner_login);
        if now.retired {
            told.insert(0, "offered again".into());
        }
        if !told.is_empty() {
            self.tell(Mark::Change, "application", title, told);
        }
        if (ApplicationNow { owner_login: row.owner_login.clone(), ..now.clone() }) != row {
            self.plan.writes.push(Write::Application(row));
        }
    }

    fn role(&mut self, entry: &RoleDraft, now: Option<&RoleNow>, id: Uuid, application_id: Uuid) {
        let lines = |name: &str, about: &str, owner: &str, risk: &str, group: String, policies: String| {
            let mut lines = offer_lines(name, about, owner, policies);
            lines.extend([("risk".into(), risk.into()), ("group".into(), group)]);
            lines
        };
        let otherwise = "those of its application";
        let wanted = lines(
            &entry.name,
            &entry.description,
            &entry.owner.login,
            entry.risk.word(),
            format!("{} in {}", entry.group.name, entry.directory),
            words::bindings(pairs(&entry.policies), otherwise),
        );
        let row = RoleNow {
            id,
            application_id,
            key: entry.key.clone(),
            name: entry.name.clone(),
            description: entry.description.clone(),
            owner_id: entry.owner.id.0,
            owner_login: entry.owner.login.clone(),
            risk: entry.risk.word().into(),
            directory: Some(entry.directory.clone()),
            group_reference: Some(entry.group.reference.clone()),
            group_name: Some(entry.group.name.clone()),
            retired: false,
        };
        let title = format!("{}/{}  {}", entry.application, entry.key, entry.name);
        let Some(now) = now else {
            self.tell(Mark::Add, "role", title, words::all(&wanted));
            self.plan.writes.push(Write::Role(row));
            return;
        };
        let group = format!("{} in {}", now.group_name.as_deref().unwrap_or_default(), now.directory.as_deref().unwrap_or_default());
        let before = lines(&now.name, &now.description, &now.owner_login, &now.risk, group.clone(), self.policies_of(Some(id), None, otherwise));
        let mut told = words::differences(&before, &wanted);
        same_login_somebody_else(&mut told, now.owner_id == row.owner_id, &now.owner_login, &row.owner_login);
        if now.group_reference != row.group_reference && now.group_name == row.group_name {
            told.push(format!("group: {group} is another group of the same name now"));
        }
        if now.retired {
            told.insert(0, "offered again".into());
        }
        if !told.is_empty() {
            self.tell(Mark::Change, "role", title, told);
        }
        if (RoleNow { owner_login: row.owner_login.clone(), ..now.clone() }) != row {
            self.plan.writes.push(Write::Role(row));
        }
    }

    /// New versions of profiles and procedures, and the latest ones after that.
    fn versions(&mut self) -> (Versions, Versions) {
        let (mut profiles, mut procedures) = (Versions::new(), Versions::new());
        for body in self.draft.profiles.iter().filter(|body| !body.key.is_empty()) {
            let now = self.current.profiles.iter().find(|now| now.body.key == body.key);
            if let Some(now) = now.filter(|now| now.body.name == body.name && now.body.rules == body.rules) {
                profiles.insert(body.key.clone(), (now.version_id, now.body.version));
                continue;
            }
            let body = AccessProfile { version: 1 + now.map_or(0, |now| now.body.version), ..body.clone() };
            let before = now.map(|now| words::profile(&now.body));
            self.version("profile", &body.key, body.version, before, words::profile(&body));
            let (id, version_id) = (now.map_or_else(|| (self.mint)(), |now| now.id), (self.mint)());
            profiles.insert(body.key.clone(), (version_id, body.version));
            let digest = self.digest(digest(&body));
            self.plan.writes.push(Write::Profile { id, version_id, digest, body });
        }
        for body in self.draft.procedures.iter().filter(|body| !body.key.is_empty()) {
            let now = self.current.procedures.iter().find(|now| now.body.key == body.key);
            if let Some(now) = now.filter(|now| same_procedure(&now.body, body)) {
                procedures.insert(body.key.clone(), (now.version_id, now.body.version));
                continue;
            }
            let body = ApprovalProcedure { version: 1 + now.map_or(0, |now| now.body.version), ..body.clone() };
            let before = now.map(|now| words::procedure(&now.body));
            self.version("procedure", &body.key, body.version, before, words::procedure(&body));
            let (id, version_id) = (now.map_or_else(|| (self.mint)(), |now| now.id), (self.mint)());
            procedures.insert(body.key.clone(), (version_id, body.version));
            let digest = self.digest(digest(&body));
            self.plan.writes.push(Write::Procedure { id, version_id, digest, body });
        }
        (profiles, procedures)
    }

    fn version(&mut self, what: &'static str, key: &str, version: i32, before: Option<Vec<words::Line>>, lines: Vec<words::Line>) {
        match before {
            None => self.tell(Mark::Add, what, format!("{key} v{version}"), words::all(&lines)),
            Some(before) => {
                let mut told = words::differences(&before, &lines);
                if told.is_empty() {
                    told.push("the same words, but a person or group behind a name is another one now".into());
                }
                self.tell(Mark::Change, what, format!("{key} v{} -> v{version}", version - 1), told);
            }
        }
    }

    fn policies(&mut self, profiles: &Versions, procedures: &Versions) {
        for (Latest { id, body, .. }, ..) in &self.current.policies {
            self.policy_ids.insert(body.key.clone(), *id);
        }
        for entry in self.draft.policies.iter().filter(|entry| !entry.key.is_empty()) {
            let Some(&(profile_version, profile_number)) = profiles.get(&entry.profile.key) else { continue };
            let procedure = entry.procedure.as_ref().and_then(|procedure| procedures.get(&procedure.key)).copied();
            let now = self.current.policies.iter().find(|(now, ..)| now.body.key == entry.key);
            let mut body = entry.clone();
            body.profile.version = profile_number;
            if let (Some(inner), Some((_, number))) = (&mut body.procedure, procedure) {
                inner.version = number;
            }
            let procedure_version = procedure.map(|(id, _)| id);
            if let Some((now, with_profile, with_procedure)) = now
                && *with_profile == profile_version
                && *with_procedure == procedure_version
                && same_policy(&now.body, &body)
            {
                continue;
            }
            body.version = 1 + now.map_or(0, |(now, ..)| now.body.version);
            body.id = PolicyVersionId((self.mint)());
            body.digest = self.digest(policy_digest(&body));
            let before = now.map(|(now, ..)| words::policy(&now.body));
            self.version("policy", &body.key, body.version, before, words::policy(&body));
            let id = now.map_or_else(|| (self.mint)(), |(now, ..)| now.id);
            self.policy_ids.insert(body.key.clone(), id);
            self.plan.writes.push(Write::Policy { id, profile_version, procedure_version, body: Box::new(body) });
        }
    }

    /// Bindings that come and go. They are told with the role or application they belong to, the default ones here.
    fn bindings(&mut self) {
        self.wanted.extend(self.draft.defaults.iter().map(|(policy, priority)| (None, None, policy.as_str(), *priority)));
        let otherwise = "none";
        let (before, now) = (self.policies_of(None, None, otherwise), words::bindings(pairs(&self.draft.defaults), otherwise));
        let (mark, title) = match (before == otherwise, now == otherwise) {
            (true, _) => (Mark::Add, now.clone()),
            (false, true) => (Mark::Retire, before.clone()),
            (false, false) => (Mark::Change, format!("{before} -> {now}")),
        };
        if before != now {
            self.tell(mark, "default policies", title, vec![]);
        }
        let there: BTreeSet<Wanted<'_>> = self.current.bindings.iter().map(|b| (b.role_id, b.application_id, b.policy.as_str(), b.priority)).collect();
        let wanted: BTreeSet<Wanted<'_>> = self.wanted.iter().copied().collect();
        for binding in &self.current.bindings {
            if !wanted.contains(&(binding.role_id, binding.application_id, binding.policy.as_str(), binding.priority)) {
                self.plan.writes.push(Write::Unbind(binding.id));
            }
        }
        for (role_id, application_id, policy, priority) in wanted.difference(&there) {
            if let Some(policy_id) = self.policy_ids.get(*policy).copied() {
                self.plan.writes.push(Write::Bind { id: (self.mint)(), policy_id, role_id: *role_id, application_id: *application_id, priority: *priority });
            }
        }
    }

    /// The digest, or a fault where there can be none.
    fn digest(&mut self, digest: Result<String, canonical::Error>) -> String {
        digest.unwrap_or_else(|error| {
            self.plan.faults.push(Fault::at(Place { line: 1, column: 1 }, format!("This catalog has no canonical form: {error}.")));
            String::new()
        })
    }
}

fn pairs(policies: &[(String, i32)]) -> impl Iterator<Item = (&str, i32)> {
    policies.iter().map(|(policy, priority)| (policy.as_str(), *priority))
}

fn offer_lines(name: &str, description: &str, owner: &str, policies: String) -> Vec<words::Line> {
    vec![("name".into(), name.into()), ("description".into(), description.into()), ("owner".into(), owner.into()), ("policies".into(), policies)]
}

/// A login can be given to somebody else; then the words stay and the owner does not.
fn same_login_somebody_else(told: &mut Vec<String>, same_person: bool, before: &str, now: &str) {
    if !same_person && before == now {
        told.push(format!("owner: {now} is somebody else now"));
    }
}

/// A procedure without the names that people and groups had when it was made.
fn nameless(body: &ApprovalProcedure) -> ApprovalProcedure {
    let bare = |source: &mut ApproverSource| match source {
        ApproverSource::Person { name, .. } | ApproverSource::Group { name, .. } => name.clear(),
        _ => {}
    };
    let mut body = ApprovalProcedure { version: 0, ..body.clone() };
    for slot in body.steps.iter_mut().flat_map(|step| &mut step.slots) {
        bare(&mut slot.source);
        slot.fallback.iter_mut().for_each(bare);
    }
    body
}

fn same_procedure(a: &ApprovalProcedure, b: &ApprovalProcedure) -> bool {
    nameless(a) == nameless(b)
}

/// Whether two policies say the same, their profile and procedure apart.
fn same_policy(a: &AccessPolicy, b: &AccessPolicy) -> bool {
    let own = AccessPolicy { id: a.id, version: a.version, digest: a.digest.clone(), profile: a.profile.clone(), procedure: a.procedure.clone(), ..b.clone() };
    own == *a
}

fn digest<T: Serialize>(body: &T) -> Result<String, canonical::Error> {
    Ok(canonical::digest(&canonical::canonical(body)?))
}

/// SHA-256, hex, over the canonical JSON (RFC 8785) of a version with its profile and procedure, everything but the id and the
/// digest itself. Whoever reads a version back can check it.
///
/// # Errors
/// When the version has no canonical form.
pub fn policy_digest(body: &AccessPolicy) -> Result<String, canonical::Error> {
    let mut value = serde_json::to_value(body)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("id");
        fields.remove("digest");
    }
    digest(&value)
}
