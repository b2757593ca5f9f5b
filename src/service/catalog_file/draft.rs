//! A catalog file with its names resolved.
//!
//! Every name that means nothing, or nothing that could work, becomes a fault with its place.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::domain::catalog::Risk;
use crate::domain::condition::{Condition, Operator, meant};
use crate::domain::drift::DriftRule;
use crate::domain::id::PersonId;
use crate::domain::person::GroupRef;
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, AutoRule, Escalation, Extension, Rule, Slot, Step, When};

use super::fillable;
use super::model::{AutoEntry, BindingEntry, CatalogFile, PolicyEntry, ProcedureEntry, ProfileEntry, SeparationEntry, SourceEntry, StepEntry};
use super::places::{Fault, Placed, distance};
use super::resolve::{Found, FoundGroup, FoundPerson, Resolved};

/// A person and the login by which the file names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Who.
    pub id: PersonId,
    /// As written.
    pub login: String,
}

/// An application as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationDraft {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its owner.
    pub owner: Owner,
    /// Keys and priorities of the policies that govern its roles.
    pub policies: Vec<(String, i32)>,
}

/// A role as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleDraft {
    /// Key of its application.
    pub application: String,
    /// Its key there.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it lets one do.
    pub description: String,
    /// Its owner.
    pub owner: Owner,
    /// Its risk.
    pub risk: Risk,
    /// Key of the directory.
    pub directory: String,
    /// The group that gives it.
    pub group: GroupRef,
    /// What happens to a member that no lease explains.
    pub drift: DriftRule,
    /// Keys and priorities of the policies that govern it itself.
    pub policies: Vec<(String, i32)>,
}

/// A separation rule as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeparationDraft {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// One set: `application/role`.
    pub a: Vec<String>,
    /// The other.
    pub b: Vec<String>,
    /// The procedure of its exceptions; none: there are none.
    pub procedure: Option<ApprovalProcedure>,
}

/// Everything a file wants. Versions are 0 and ids nil until it is compared with what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The applications.
    pub applications: Vec<ApplicationDraft>,
    /// Their roles.
    pub roles: Vec<RoleDraft>,
    /// The profiles.
    pub profiles: Vec<AccessProfile>,
    /// The procedures.
    pub procedures: Vec<ApprovalProcedure>,
    /// The policies; those whose profile or procedure is not described are left out.
    pub policies: Vec<AccessPolicy>,
    /// The separation rules.
    pub separation: Vec<SeparationDraft>,
    /// Keys and priorities of the default policies.
    pub defaults: Vec<(String, i32)>,
}

/// Looks every name up and collects what is wrong, in the order of the file.
pub fn draft(file: &CatalogFile, resolved: &Resolved) -> (Draft, Vec<Fault>) {
    let mut desk = Desk { resolved, faults: file.faults.clone() };
    let profiles: Vec<AccessProfile> = file.profiles.iter().map(|entry| desk.profile(entry)).collect();
    let procedures: Vec<ApprovalProcedure> = file.procedures.iter().map(|entry| desk.procedure(entry)).collect();
    let policies: Vec<AccessPolicy> = file.policies.iter().filter_map(|entry| desk.policy(entry, &profiles, &procedures)).collect();
    let open: BTreeMap<&str, bool> = file.policies.iter().map(|policy| (policy.key.value.as_str(), policy.applies_to.is_empty())).collect();
    let applications: Vec<ApplicationDraft> = file
        .applications
        .iter()
        .map(|entry| ApplicationDraft {
            key: entry.key.value.clone(),
            name: entry.name.clone(),
            description: entry.description.clone(),
            owner: desk.owner(&entry.owner),
            policies: desk.bound(&entry.policies, &open),
        })
        .collect();
    let defaults = desk.bound(&file.defaults, &open);
    let mut roles = Vec::with_capacity(file.roles.len());
    for entry in &file.roles {
        let application = applications.iter().find(|application| application.key == entry.application.value);
        desk.known("application", &entry.application, applications.iter().map(|application| application.key.as_str()));
        let policies = desk.bound(&entry.policies, &open);
        let governed = !policies.is_empty() || application.is_none_or(|application| !application.policies.is_empty()) || !defaults.is_empty();
        if !governed && !entry.key.value.is_empty() {
            desk.fault(&entry.key, format!("No policy governs “{}”; name one here, at its application, or in default_policies.", entry.key.value));
        }
        let owner = match (&entry.owner, application) {
            (Some(owner), _) => desk.owner(owner),
            (None, Some(application)) => application.owner.clone(),
            (None, None) => Owner { id: PersonId(Uuid::nil()), login: String::new() },
        };
        let directory = desk.directory(entry.directory.as_ref());
        roles.push(RoleDraft {
            application: entry.application.value.clone(),
            key: entry.key.value.clone(),
            name: entry.name.clone(),
            description: entry.description.clone(),
            owner,
            risk: entry.risk,
            group: desk.giving_group(&directory, &entry.group),
            directory,
            drift: entry.drift,
            policies,
        });
    }
    let offered: BTreeSet<String> = roles.iter().filter(|role| !role.key.is_empty()).map(|role| format!("{}/{}", role.application, role.key)).collect();
    let separation = file.separation.iter().filter_map(|entry| desk.separation(entry, &offered, &procedures)).collect();
    let draft = Draft { applications, roles, profiles, procedures, policies, separation, defaults };
    desk.faults.extend(fillable::faults(file, &draft, resolved));
    desk.faults.sort();
    desk.faults.dedup();
    (draft, desk.faults)
}

struct Desk<'a> {
    resolved: &'a Resolved,
    faults: Vec<Fault>,
}

impl Desk<'_> {
    fn fault<T>(&mut self, of: &Placed<T>, sentence: String) {
        self.faults.push(Fault::at(of.at, sentence));
    }

    /// Reports a key that nothing has; an empty one has been reported before.
    fn known<'k>(&mut self, what: &str, key: &Placed<String>, keys: impl Iterator<Item = &'k str>) -> bool {
        let keys: BTreeSet<&str> = keys.filter(|key| !key.is_empty()).collect();
        if key.value.is_empty() || keys.contains(key.value.as_str()) {
            return true;
        }
        let near = keys.iter().map(|known| (distance(&key.value, known), *known)).min().filter(|(apart, _)| *apart <= 2);
        let hint = near.map_or_else(String::new, |(_, known)| format!("; did you mean “{known}”?"));
        self.fault(key, format!("There is no {what} “{}” in this file{}", key.value, if hint.is_empty() { ".".into() } else { hint }));
        false
    }

    fn person(&mut self, login: &Placed<String>) -> Option<FoundPerson> {
        if login.value.is_empty() {
            return None;
        }
        let directory = &self.resolved.directory;
        match self.resolved.people.get(&login.value) {
            Some(Found::One(person)) if person.active => return Some(person.clone()),
            Some(Found::One(person)) => {
                let sentence = format!("{} (“{}”) is disabled in directory {directory}; name somebody who is active.", person.name, login.value);
                self.fault(login, sentence);
            }
            Some(Found::Several) => self.fault(login, format!("Several people in directory {directory} are called “{}”; a login must name one.", login.value)),
            _ => self.fault(login, format!("There is nobody called “{}” in directory {directory}.", login.value)),
        }
        None
    }

    fn owner(&mut self, login: &Placed<String>) -> Owner {
        let id = self.person(login).map_or(PersonId(Uuid::nil()), |person| person.id);
        Owner { id, login: login.value.clone() }
    }

    /// Key of the directory that is meant; the home directory where none is written, and empty after a fault.
    fn directory(&mut self, written: Option<&Placed<String>>) -> String {
        let home = &self.resolved.directory;
        let Some(written) = written.filter(|written| written.value != *home) else { return home.clone() };
        if self.resolved.others.contains(&written.value) {
            return written.value.clone();
        }
        let connected = match self.resolved.others.as_slice() {
            [] => format!("the one that is connected is “{home}”"),
            others => format!("those that are connected are “{home}”, “{}”", others.join("”, “")),
        };
        self.fault(written, format!("There is no directory “{}”; {connected}.", written.value));
        String::new()
    }

    fn group(&mut self, name: &Placed<String>) -> Option<GroupRef> {
        self.group_in(&self.resolved.directory, name)
    }

    /// What was found of a group; none for a directory that is not there, of which has been told.
    fn found(&self, directory: &str, name: &str) -> Option<&Found<FoundGroup>> {
        if directory == self.resolved.directory { self.resolved.groups.get(name) } else { self.resolved.elsewhere.get(directory)?.get(name) }
    }

    fn group_in(&mut self, directory: &str, name: &Placed<String>) -> Option<GroupRef> {
        if name.value.is_empty() || directory.is_empty() {
            return None;
        }
        match self.found(directory, &name.value) {
            Some(Found::One(group)) => return Some(GroupRef { reference: group.reference.clone(), name: group.name.clone() }),
            Some(Found::Several) => {
                self.fault(name, format!("Several groups in directory {directory} are called “{}”; write the reference of the one that is meant.", name.value));
            }
            _ => self.fault(name, format!("There is no group “{}” in directory {directory}.", name.value)),
        }
        None
    }

    /// The group that gives a role: its membership must be changeable.
    fn giving_group(&mut self, directory: &str, name: &Placed<String>) -> GroupRef {
        if let Some(Found::One(group)) = self.found(directory, &name.value)
            && let Some(why) = &group.read_only
        {
            self.fault(name, format!("Membership of group “{}” cannot be changed: {}.", group.name, why.trim_end_matches('.')));
        }
        self.group_in(directory, name).unwrap_or_else(|| GroupRef { reference: String::new(), name: name.value.clone() })
    }

    fn conditions(&mut self, conditions: &[Placed<Condition>]) -> Vec<Condition> {
        conditions.iter().map(|condition| self.condition(condition)).collect()
    }

    /// The groups and people that it names by their references, with what they are called beside it.
    fn condition(&mut self, written: &Placed<Condition>) -> Condition {
        let mut condition = written.value.clone();
        let named = |name: &String| Placed { value: name.clone(), at: written.at };
        let found: Vec<Option<(String, String)>> = match condition.operator {
            Operator::MemberOf | Operator::NotMemberOf => {
                let one = |name: &String| {
                    let (directory, bare) = self.resolved.place_of(name);
                    let (directory, called) = (directory.to_owned(), if directory == self.resolved.directory { "" } else { &name[..=directory.len()] });
                    let group = self.group_in(&directory, &named(&bare.to_owned()))?;
                    Some((meant(&directory, &group.reference), format!("{called}{}", group.name)))
                };
                condition.values.iter().map(one).collect()
            }
            Operator::ReportsTo => condition
                .values
                .iter()
                .map(|login| self.person(&named(login)).map(|person| (meant(&self.resolved.directory, &person.reference), login.clone())))
                .collect(),
            _ => return condition,
        };
        // Where one was not found there is a fault, and the draft goes no further.
        let kept = found.into_iter().zip(&condition.values).map(|(found, name)| found.unwrap_or_else(|| (String::new(), name.clone())));
        (condition.values, condition.called) = kept.unzip();
        condition
    }

    fn profile(&mut self, entry: &ProfileEntry) -> AccessProfile {
        let rules = entry.rules.iter().map(|rule| Rule { effect: rule.effect, conditions: self.conditions(&rule.conditions) }).collect();
        AccessProfile { key: entry.key.value.clone(), name: entry.name.clone(), version: 0, rules }
    }

    fn source(&mut self, source: &Placed<SourceEntry>) -> ApproverSource {
        match &source.value {
            SourceEntry::Person(login) => {
                let found = self.person(&Placed { value: login.clone(), at: source.at });
                let (id, name) = found.map_or_else(|| (PersonId(Uuid::nil()), login.clone()), |person| (person.id, person.name));
                ApproverSource::Person { id, name }
            }
            SourceEntry::Group(name) => {
                let found = self.group(&Placed { value: name.clone(), at: source.at });
                let group = found.unwrap_or_else(|| GroupRef { reference: String::new(), name: name.clone() });
                ApproverSource::Group { reference: group.reference, name: group.name }
            }
            SourceEntry::Manager => ApproverSource::Manager,
            SourceEntry::ManagersManager => ApproverSource::ManagersManager,
            SourceEntry::ApplicationOwner => ApproverSource::ApplicationOwner,
            SourceEntry::RoleOwner => ApproverSource::RoleOwner,
        }
    }

    fn sources(&mut self, sources: &[Placed<SourceEntry>]) -> Vec<ApproverSource> {
        sources.iter().map(|source| self.source(source)).collect()
    }

    fn procedure(&mut self, entry: &ProcedureEntry) -> ApprovalProcedure {
        let steps = entry.steps.iter().map(|step| self.step(step)).collect();
        let (distinct_people, reassign) = (entry.distinct_people, entry.reassign);
        ApprovalProcedure { key: entry.key.value.clone(), name: entry.name.clone(), version: 0, distinct_people, reassign, steps }
    }

    fn step(&mut self, entry: &StepEntry) -> Step {
        let when = When { conditions: self.conditions(&entry.when.conditions), risks: entry.when.risks.clone(), longer_than: entry.when.longer_than };
        let slots = entry.slots.iter().map(|slot| Slot { approvals: slot.approvals, sources: self.sources(&slot.sources) }).collect();
        let escalation = entry.escalation.as_ref().map(|to| Escalation { sources: self.sources(&to.sources), time_limit: to.time_limit });
        Step { name: entry.name.clone(), when, time_limit: entry.time_limit, remind_every: entry.remind_every, escalation, slots }
    }

    fn auto_rule(&mut self, entry: &AutoEntry) -> AutoRule {
        AutoRule {
            name: entry.name.clone(),
            verdict: entry.verdict,
            conditions: self.conditions(&entry.conditions),
            risks: entry.risks.clone(),
            at_most: entry.at_most,
            longer_than: entry.longer_than,
        }
    }

    /// The procedure of this key, if one is named; the outer none after a fault.
    fn named(&mut self, key: Option<&Placed<String>>, procedures: &[ApprovalProcedure]) -> Option<Option<ApprovalProcedure>> {
        let Some(key) = key else { return Some(None) };
        self.known("procedure", key, procedures.iter().map(|procedure| procedure.key.as_str()));
        procedures.iter().find(|procedure| procedure.key == key.value).cloned().map(Some)
    }

    fn policy(&mut self, entry: &PolicyEntry, profiles: &[AccessProfile], procedures: &[ApprovalProcedure]) -> Option<AccessPolicy> {
        let applies_to = self.conditions(&entry.applies_to);
        let auto_rules = entry.auto_rules.iter().map(|rule| self.auto_rule(rule)).collect();
        self.known("profile", &entry.profile, profiles.iter().map(|profile| profile.key.as_str()));
        let procedure = self.named(entry.procedure.as_ref(), procedures);
        let extended_by = self.named(entry.extension.as_ref().and_then(|rules| rules.procedure.as_ref()), procedures);
        let extension = match (&entry.extension, extended_by?) {
            (Some(rules), procedure) => Some(Extension { maximum: rules.maximum, last_percent: rules.last_percent, most: rules.most, procedure }),
            (None, _) => None,
        };
        Some(AccessPolicy {
            id: Uuid::nil().into(),
            key: entry.key.value.clone(),
            name: entry.name.clone(),
            version: 0,
            digest: String::new(),
            applies_to,
            profile: profiles.iter().find(|profile| profile.key == entry.profile.value && !profile.key.is_empty())?.clone(),
            procedure: procedure?,
            auto_rules,
            durations: entry.durations.clone()?,
            future_start: entry.future_start,
            justification: entry.justification.clone(),
            ticket: entry.ticket.clone(),
            fields: entry.fields.clone(),
            extension,
            on_behalf: entry.on_behalf.clone(),
            emergency: entry.emergency.clone(),
            comment_to_deny: entry.comment_to_deny,
            eligibility_lost: entry.eligibility_lost,
        })
    }

    /// The rule with its roles checked; none after a fault.
    fn separation(&mut self, entry: &SeparationEntry, offered: &BTreeSet<String>, procedures: &[ApprovalProcedure]) -> Option<SeparationDraft> {
        let mut all_known = true;
        for role in entry.a.iter().chain(&entry.b) {
            all_known &= self.known("role", role, offered.iter().map(String::as_str));
        }
        let procedure = self.named(entry.procedure.as_ref(), procedures)?;
        let names = |side: &[Placed<String>]| side.iter().map(|role| role.value.clone()).collect();
        let draft = SeparationDraft { key: entry.key.value.clone(), name: entry.name.clone(), a: names(&entry.a), b: names(&entry.b), procedure };
        (all_known && !draft.key.is_empty()).then_some(draft)
    }

    /// The bindings with their keys checked, first one first. One that is for everybody ends the list: what follows it is never reached.
    fn bound(&mut self, bindings: &[BindingEntry], open: &BTreeMap<&str, bool>) -> Vec<(String, i32)> {
        let mut sorted: Vec<&BindingEntry> = bindings.iter().filter(|binding| !binding.policy.value.is_empty()).collect();
        sorted.sort_by_key(|binding| binding.priority);
        let mut everybody: Option<&str> = None;
        for binding in &sorted {
            let known = self.known("policy", &binding.policy, open.keys().copied());
            if let Some(before) = everybody {
                let policy = &binding.policy.value;
                self.fault(&binding.policy, format!("“{policy}” is never reached: “{before}” comes before it and is for everybody. Put it first."));
            } else if known && open.get(binding.policy.value.as_str()) == Some(&true) {
                everybody = Some(&binding.policy.value);
            }
        }
        sorted.into_iter().map(|binding| (binding.policy.value.clone(), binding.priority)).collect()
    }
}
