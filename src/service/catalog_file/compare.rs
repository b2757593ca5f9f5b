//! What must change so that the catalog says the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::domain::drift::DriftRule;
use crate::domain::id::{PolicyVersionId, RoleId};
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, Extension};
use crate::domain::separation::SeparationRule;
use crate::evidence::canonical;
use crate::service::plan::{Change, Mark, Plan};
use crate::store::catalog::{ApplicationNow, Catalog, Latest, Parts, RoleNow};
use crate::store::catalog_write::{Versioned, Write};

use super::draft::{ApplicationDraft, Draft, RoleDraft};
use super::places::{Fault, Place};
use super::words;

/// Everything that has to change so that `current` becomes `draft`, added to the faults found so far. `mint` makes the ids of what
/// is new.
pub fn compare(draft: &Draft, faults: Vec<Fault>, current: &Catalog, mint: &mut dyn FnMut() -> Uuid) -> Plan {
    let plan = Plan { faults, ..Plan::default() };
    let mut planner = Planner { current, draft, mint, plan, policy_ids: BTreeMap::new(), role_ids: BTreeMap::new(), wanted: Vec::new() };
    planner.offers();
    let (profiles, procedures) = planner.versions();
    planner.policies(&profiles, &procedures);
    planner.separation(&procedures);
    planner.bindings();
    planner.gone();
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
    /// By `application/role`.
    role_ids: BTreeMap<String, RoleId>,
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
            self.role_ids.insert(format!("{}/{}", entry.application, entry.key), RoleId(id));
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
        let lines = |(name, about, owner): (&str, &str, &str), risk: &str, group: String, drift: &str, policies: String| {
            let mut lines = offer_lines(name, about, owner, policies);
            lines.extend([("risk".into(), risk.into()), ("group".into(), group)]);
            // What most roles do needs no line.
            lines.extend((drift != DriftRule::Alert.word()).then(|| ("drift".into(), drift.into())));
            lines
        };
        let otherwise = "those of its application";
        let wanted = lines(
            (&entry.name, &entry.description, &entry.owner.login),
            entry.risk.word(),
            format!("{} in {}", entry.group.name, entry.directory),
            entry.drift.word(),
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
            drift: entry.drift.word().into(),
            retired: false,
        };
        let title = format!("{}/{}  {}", entry.application, entry.key, entry.name);
        let Some(now) = now else {
            self.tell(Mark::Add, "role", title, words::all(&wanted));
            self.plan.writes.push(Write::Role(row));
            return;
        };
        let group = format!("{} in {}", now.group_name.as_deref().unwrap_or_default(), now.directory.as_deref().unwrap_or_default());
        let policies = self.policies_of(Some(id), None, otherwise);
        let before = lines((&now.name, &now.description, &now.owner_login), &now.risk, group.clone(), &now.drift, policies);
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
                self.restored(Versioned::Profile, now, &body.key, now.body.version);
                continue;
            }
            let body = AccessProfile { version: 1 + now.map_or(0, |now| now.body.version), ..body.clone() };
            let before = now.map(|now| words::profile(&now.body));
            self.version(Versioned::Profile, &body.key, body.version, before, words::profile(&body));
            let (id, version_id) = (now.map_or_else(|| (self.mint)(), |now| now.id), (self.mint)());
            profiles.insert(body.key.clone(), (version_id, body.version));
            let digest = self.digest(digest(&body));
            self.plan.writes.push(Write::Profile { id, version_id, digest, body });
        }
        for body in self.draft.procedures.iter().filter(|body| !body.key.is_empty()) {
            let now = self.current.procedures.iter().find(|now| now.body.key == body.key);
            if let Some(now) = now.filter(|now| same_procedure(&now.body, body)) {
                procedures.insert(body.key.clone(), (now.version_id, now.body.version));
                self.restored(Versioned::Procedure, now, &body.key, now.body.version);
                continue;
            }
            let body = ApprovalProcedure { version: 1 + now.map_or(0, |now| now.body.version), ..body.clone() };
            let before = now.map(|now| words::procedure(&now.body));
            self.version(Versioned::Procedure, &body.key, body.version, before, words::procedure(&body));
            let (id, version_id) = (now.map_or_else(|| (self.mint)(), |now| now.id), (self.mint)());
            procedures.insert(body.key.clone(), (version_id, body.version));
            let digest = self.digest(digest(&body));
            self.plan.writes.push(Write::Procedure { id, version_id, digest, body });
        }
        (profiles, procedures)
    }

    /// What was retired and is described again, in the words of its latest version.
    fn restored<T>(&mut self, what: Versioned, now: &Latest<T>, key: &str, version: i32) {
        if now.retired {
            self.tell(Mark::Add, word(what), format!("{key} v{version}"), vec!["described again, as it was".into()]);
            self.plan.writes.push(Write::Restore(what, now.id));
        }
    }

    /// What no file describes any more. What was decided by it keeps citing its versions.
    fn gone(&mut self) {
        let draft = self.draft;
        let current = self.current;
        let mut gone = |what: Versioned, id: Uuid, key: &str, version: i32, retired: bool, described: bool| {
            if !retired && !described {
                let detail = if what == Versioned::Separation { "keeps nothing apart any more" } else { "described no longer; what cites it stays as it is" };
                self.tell(Mark::Retire, word(what), format!("{key} v{version}"), vec![detail.into()]);
                self.plan.writes.push(Write::Retire(what, id));
            }
        };
        for Latest { id, body, retired, .. } in &current.profiles {
            gone(Versioned::Profile, *id, &body.key, body.version, *retired, draft.profiles.iter().any(|kept| kept.key == body.key));
        }
        for Latest { id, body, retired, .. } in &current.procedures {
            gone(Versioned::Procedure, *id, &body.key, body.version, *retired, draft.procedures.iter().any(|kept| kept.key == body.key));
        }
        for (Latest { id, body, retired, .. }, _) in &current.policies {
            gone(Versioned::Policy, *id, &body.key, body.version, *retired, draft.policies.iter().any(|kept| kept.key == body.key));
        }
        for (Latest { id, body, retired, .. }, _) in &current.separation {
            gone(Versioned::Separation, *id, &body.key, body.version, *retired, draft.separation.iter().any(|kept| kept.key == body.key));
        }
    }

    fn version(&mut self, what: Versioned, key: &str, version: i32, before: Option<Vec<words::Line>>, lines: Vec<words::Line>) {
        let what = word(what);
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
        for (Latest { id, body, .. }, _) in &self.current.policies {
            self.policy_ids.insert(body.key.clone(), *id);
        }
        for entry in self.draft.policies.iter().filter(|entry| !entry.key.is_empty()) {
            let Some(&(profile, profile_number)) = profiles.get(&entry.profile.key) else { continue };
            let mut body = entry.clone();
            body.profile.version = profile_number;
            let procedure = numbered(body.procedure.as_mut(), procedures);
            let extension = numbered(body.extension.as_mut().and_then(|rules| rules.procedure.as_mut()), procedures);
            let parts = Parts { profile, procedure, extension };
            let now = self.current.policies.iter().find(|(now, _)| now.body.key == entry.key);
            if let Some((now, with)) = now
                && *with == parts
                && same_policy(&now.body, &body)
            {
                self.restored(Versioned::Policy, now, &body.key, now.body.version);
                continue;
            }
            body.version = 1 + now.map_or(0, |(now, _)| now.body.version);
            body.id = PolicyVersionId((self.mint)());
            body.digest = self.digest(policy_digest(&body));
            let before = now.map(|(now, _)| words::policy(&now.body));
            self.version(Versioned::Policy, &body.key, body.version, before, words::policy(&body));
            let id = now.map_or_else(|| (self.mint)(), |(now, _)| now.id);
            self.policy_ids.insert(body.key.clone(), id);
            self.plan.writes.push(Write::Policy { id, parts, body: Box::new(body) });
        }
    }

    fn separation(&mut self, procedures: &Versions) {
        for entry in &self.draft.separation {
            let ids = |side: &[String]| side.iter().map(|role| self.role_ids.get(role).copied()).collect::<Option<BTreeSet<RoleId>>>();
            let (Some(a), Some(b)) = (ids(&entry.a), ids(&entry.b)) else { continue };
            let mut procedure = entry.procedure.clone();
            let procedure_version = numbered(procedure.as_mut(), procedures);
            let now = self.current.separation.iter().find(|(now, _)| now.body.key == entry.key);
            let mut body = SeparationRule {
                id: Uuid::nil(),
                key: entry.key.clone(),
                name: entry.name.clone(),
                version: 0,
                digest: String::new(),
                a: a.into_iter().collect(),
                b: b.into_iter().collect(),
                procedure,
            };
            if let Some((now, with)) = now
                && *with == procedure_version
                && (&now.body.name, &now.body.a, &now.body.b) == (&body.name, &body.a, &body.b)
            {
                self.restored(Versioned::Separation, now, &body.key, now.body.version);
                continue;
            }
            body.version = 1 + now.map_or(0, |(now, _)| now.body.version);
            body.id = (self.mint)();
            body.digest = self.digest(separation_digest(&body));
            let before = now.map(|(now, _)| self.separation_lines(&now.body));
            let lines = self.separation_lines(&body);
            self.version(Versioned::Separation, &body.key, body.version, before, lines);
            let id = now.map_or_else(|| (self.mint)(), |(now, _)| now.id);
            self.plan.writes.push(Write::Separation { id, procedure_version, body });
        }
    }

    fn separation_lines(&self, body: &SeparationRule) -> Vec<words::Line> {
        let named = |side: &[RoleId]| {
            let mut named: Vec<String> = side.iter().map(|role| self.role_name(*role)).collect();
            named.sort_unstable();
            named
        };
        words::separation(&body.name, &named(&body.a), &named(&body.b), body.procedure.as_ref())
    }

    /// `application/role`, of the file or of what is there.
    fn role_name(&self, id: RoleId) -> String {
        let drafted = self.role_ids.iter().find(|(_, of)| **of == id).map(|(name, _)| name.clone());
        drafted.or_else(|| self.current.role_key(id)).unwrap_or_else(|| id.to_string())
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

fn word(what: Versioned) -> &'static str {
    match what {
        Versioned::Profile => "profile",
        Versioned::Procedure => "procedure",
        Versioned::Policy => "policy",
        Versioned::Separation => "separation",
    }
}

/// Gives `procedure` the number of its latest version, and returns the id of that.
fn numbered(procedure: Option<&mut ApprovalProcedure>, procedures: &Versions) -> Option<Uuid> {
    let procedure = procedure?;
    let (id, number) = procedures.get(&procedure.key).copied()?;
    procedure.version = number;
    Some(id)
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
    for step in &mut body.steps {
        step.slots.iter_mut().flat_map(|slot| &mut slot.sources).for_each(bare);
        step.escalation.iter_mut().flat_map(|to| &mut to.sources).for_each(bare);
    }
    body
}

fn same_procedure(a: &ApprovalProcedure, b: &ApprovalProcedure) -> bool {
    nameless(a) == nameless(b)
}

/// Whether two policies say the same, their profile and procedures apart: those are compared by version.
fn same_policy(a: &AccessPolicy, b: &AccessPolicy) -> bool {
    let bare = |body: &AccessPolicy| {
        let extension = body.extension.clone().map(|rules| Extension { procedure: None, ..rules });
        let (profile, digest) = (AccessProfile { rules: Vec::new(), version: 0, ..body.profile.clone() }, String::new());
        AccessPolicy { id: a.id, version: 0, digest, profile, procedure: None, extension, ..body.clone() }
    };
    bare(a) == bare(b)
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

/// SHA-256, hex, over the canonical JSON (RFC 8785) of a version of a separation rule with its procedure, everything but the id and
/// the digest itself.
///
/// # Errors
/// When the version has no canonical form.
pub fn separation_digest(body: &SeparationRule) -> Result<String, canonical::Error> {
    let mut value = serde_json::to_value(body)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("id");
        fields.remove("digest");
    }
    digest(&value)
}
