//! Which rules hold for which role, all in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::catalog::{Risk, Role};
use crate::domain::decide::{Ask, Decision, Rules, decide};
use crate::domain::id::RoleId;
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::AccessPolicy;
use crate::domain::separation::SeparationRule;
use crate::store::catalog::{self, BindingNow, Catalog, Latest};
use crate::store::catalog_write::{Versioned, Write};

use super::catalog_file::model::CatalogFile;
use super::catalog_file::read::read;
use super::ctx::Ctx;
use super::error::ServiceError;
use super::plan::{self, Plan};

/// A role that is offered, and what it is held against.
#[derive(Clone, Debug)]
pub struct RoleRules {
    /// The role.
    pub role: Role,
    /// `application/role`.
    pub key: String,
    /// The policies that may govern it, in the order in which they are tried.
    pub policies: Vec<Arc<AccessPolicy>>,
    /// Every separation rule that names it, in order of their keys.
    pub separation: Vec<Arc<SeparationRule>>,
}

/// Every role that is offered with its rules.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// By key.
    pub roles: Vec<RoleRules>,
    places: HashMap<RoleId, usize>,
}

/// What a catalog file would make of the rules.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// The file with its places.
    pub file: CatalogFile,
    /// What would change, and what is wrong with it.
    pub plan: Plan,
    /// The rules in force.
    pub now: RuleBook,
    /// The rules as they would be.
    pub then: RuleBook,
}

/// A policy with its priority.
type Prioritised = (i32, Arc<AccessPolicy>);

impl RoleRules {
    /// Decides on `ask`, as it was at `now`.
    pub fn decide(&self, person: &PersonSnapshot, ask: &Ask, now: chrono::DateTime<chrono::Utc>) -> Decision {
        let policies: Vec<&AccessPolicy> = self.policies.iter().map(|policy| &**policy).collect();
        let separation: Vec<&SeparationRule> = self.separation.iter().map(|rule| &**rule).collect();
        decide(Rules { policies: &policies, separation: &separation }, person, ask, now)
    }

    /// The policy that `decision` says governs.
    pub fn governing(&self, decision: &Decision) -> Option<&Arc<AccessPolicy>> {
        self.policies.iter().find(|policy| Some(policy.id) == decision.policy)
    }
}

/// The rules in force.
///
/// # Errors
/// When the database fails.
pub async fn current(ctx: &Ctx) -> Result<RuleBook, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    Ok(RuleBook::of(&catalog::whole(&mut tx).await?))
}

/// The rules in force, and as the catalog file `text` would make them. Changes nothing. With a fault the second are not to be relied on.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory or the database does not answer.
pub async fn proposed(ctx: &Ctx, text: &str) -> Result<Proposed, ServiceError> {
    let file = read(text);
    let resolved = plan::ask(&ctx.db, &ctx.directories, &file).await?;
    let mut tx = ctx.db.begin().await?;
    let current = catalog::whole(&mut tx).await?;
    drop(tx);
    let plan = plan::plan(&file, &current, &resolved, &mut new_id);
    let now = RuleBook::of(&current);
    let then = RuleBook::of(&after(current, &plan.writes));
    Ok(Proposed { file, plan, now, then })
}

impl RuleBook {
    /// The rules that `catalog` says.
    pub fn of(catalog: &Catalog) -> Self {
        let policies: HashMap<&str, Arc<AccessPolicy>> =
            catalog.policies.iter().map(|(latest, _)| (latest.body.key.as_str(), Arc::new(latest.body.clone()))).collect();
        let mut rules: Vec<Arc<SeparationRule>> =
            catalog.separation.iter().filter(|(latest, _)| !latest.retired).map(|(latest, _)| Arc::new(latest.body.clone())).collect();
        rules.sort_by(|a, b| a.key.cmp(&b.key));
        let mut bound: BTreeMap<(Option<Uuid>, Option<Uuid>), Vec<Prioritised>> = BTreeMap::new();
        for binding in &catalog.bindings {
            if let Some(policy) = policies.get(binding.policy.as_str()) {
                bound.entry((binding.role_id, binding.application_id)).or_default().push((binding.priority, policy.clone()));
            }
        }
        for list in bound.values_mut() {
            list.sort_by_key(|(priority, _)| *priority);
        }
        let mut roles = Vec::new();
        for row in catalog.roles.iter().filter(|row| !row.retired) {
            let Some(application) = catalog.applications.iter().find(|application| application.id == row.application_id && !application.retired) else {
                continue;
            };
            let (Some(directory), Some(group_reference)) = (row.directory.clone(), row.group_reference.clone()) else { continue };
            // Of the role over of its application over the default; the nearest that there is counts alone.
            let levels = [(Some(row.id), None), (None, Some(row.application_id)), (None, None)];
            let list = levels.iter().find_map(|level| bound.get(level));
            let id = RoleId(row.id);
            roles.push(RoleRules {
                role: Role {
                    id,
                    application: application.id.into(),
                    application_name: application.name.clone(),
                    application_owner: application.owner_id.into(),
                    name: row.name.clone(),
                    owner: row.owner_id.into(),
                    risk: Risk::parse(&row.risk).unwrap_or(Risk::Critical),
                    directory,
                    group_reference,
                },
                key: format!("{}/{}", application.key, row.key),
                policies: list.into_iter().flatten().map(|(_, policy)| policy.clone()).collect(),
                separation: rules.iter().filter(|rule| rule.names(id)).cloned().collect(),
            });
        }
        Self::with(roles)
    }

    /// These roles.
    pub fn with(mut roles: Vec<RoleRules>) -> Self {
        roles.sort_by(|a, b| a.key.cmp(&b.key));
        let places = roles.iter().enumerate().map(|(at, rules)| (rules.role.id, at)).collect();
        Self { roles, places }
    }

    /// The role's rules, if it is offered.
    pub fn role(&self, id: RoleId) -> Option<&RoleRules> {
        self.places.get(&id).and_then(|at| self.roles.get(*at))
    }

    /// The rules of the role `application/role`, if it is offered.
    pub fn by_key(&self, key: &str) -> Option<&RoleRules> {
        self.roles.binary_search_by(|rules| rules.key.as_str().cmp(key)).ok().and_then(|at| self.roles.get(at))
    }
}

/// `catalog` with `writes` done to it, as the store would.
fn after(mut catalog: Catalog, writes: &[Write]) -> Catalog {
    let mut keys: HashMap<Uuid, String> = catalog.policies.iter().map(|(latest, _)| (latest.id, latest.body.key.clone())).collect();
    for write in writes {
        match write {
            Write::Application(row) => {
                catalog.applications.retain(|there| there.id != row.id);
                catalog.applications.push(catalog::ApplicationNow { retired: false, ..row.clone() });
            }
            Write::RetireApplication(id) => catalog.applications.iter_mut().filter(|row| row.id == *id).for_each(|row| row.retired = true),
            Write::Role(row) => {
                catalog.roles.retain(|there| there.id != row.id);
                catalog.roles.push(catalog::RoleNow { retired: false, ..row.clone() });
            }
            Write::RetireRole(id) => catalog.roles.iter_mut().filter(|row| row.id == *id).for_each(|row| row.retired = true),
            // A policy holds the bodies of its profile and procedures.
            Write::Profile { .. } | Write::Procedure { .. } => {}
            Write::Policy { id, parts, body } => {
                keys.insert(*id, body.key.clone());
                catalog.policies.retain(|(there, _)| there.id != *id);
                catalog.policies.push((latest(*id, body.id.0, (**body).clone()), *parts));
            }
            Write::Separation { id, procedure_version, body } => {
                catalog.separation.retain(|(there, _)| there.id != *id);
                catalog.separation.push((latest(*id, body.id, body.clone()), *procedure_version));
            }
            Write::Retire(what, id) => retired(&mut catalog, *what, *id, true),
            Write::Restore(what, id) => retired(&mut catalog, *what, *id, false),
            Write::Bind { id, policy_id, role_id, application_id, priority } => {
                let policy = keys.get(policy_id).cloned().unwrap_or_default();
                catalog.bindings.push(BindingNow { id: *id, policy, role_id: *role_id, application_id: *application_id, priority: *priority });
            }
            Write::Unbind(id) => catalog.bindings.retain(|binding| binding.id != *id),
        }
    }
    catalog
}

fn latest<T>(id: Uuid, version_id: Uuid, body: T) -> Latest<T> {
    Latest { id, version_id, retired: false, body }
}

fn retired(catalog: &mut Catalog, what: Versioned, id: Uuid, retired: bool) {
    match what {
        Versioned::Separation => catalog.separation.iter_mut().filter(|(there, _)| there.id == id).for_each(|(there, _)| there.retired = retired),
        // What no longer governs is no longer bound.
        Versioned::Profile | Versioned::Procedure | Versioned::Policy => {}
    }
}
