//! Separation rules: which name a role, and their bodies.
//!
//! Which versions are current is asked of the database every time; what a version says never changes, so it is read once and shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::id::RoleId;
use crate::domain::separation::SeparationRule;

use super::db::Db;
use super::error::StoreError;
use super::policy::{KEPT, Kept};
use super::policy_parts::{lost, procedures};

/// The versions read so far. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Separations(Arc<Mutex<Kept<SeparationRule>>>);

/// The ids of the latest versions of the separation rules that name the role `r` and are not retired, as an array.
macro_rules! naming {
    () => {
        "array(
           select v.id from separation_rule_role n join separation_rule_version v on v.id = n.rule_version_id join separation_rule s on s.id = v.rule_id
           where n.role_id = r.id and s.retired_at is null
             and v.version = (select max(version) from separation_rule_version l where l.rule_id = v.rule_id)
           group by v.id, s.key order by s.key)"
    };
}
pub(super) use naming;

impl Separations {
    /// The latest versions of the rules that name `role`, in order of their keys.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn of_role(&self, db: &Db, role: RoleId) -> Result<Vec<Arc<SeparationRule>>, StoreError> {
        let ids: Option<Vec<Uuid>> =
            sqlx::query_scalar(concat!("select ", naming!(), " from role r where r.id = $1")).bind(role.0).fetch_optional(&db.pool).await?;
        self.versions(db, &ids.unwrap_or_default()).await
    }

    /// The latest versions of all rules, in order of their keys.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn current(&self, db: &Db) -> Result<Vec<Arc<SeparationRule>>, StoreError> {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "select v.id from separation_rule s
             cross join lateral (select id from separation_rule_version where rule_id = s.id order by version desc limit 1) v
             where s.retired_at is null order by s.key",
        )
        .fetch_all(&db.pool)
        .await?;
        self.versions(db, &ids).await
    }

    /// These versions, in the order given, whether they are current or not.
    ///
    /// # Errors
    /// When there is no such version, or the database does not answer.
    pub async fn versions(&self, db: &Db, ids: &[Uuid]) -> Result<Vec<Arc<SeparationRule>>, StoreError> {
        let mut found: HashMap<Uuid, Arc<SeparationRule>> = HashMap::with_capacity(ids.len());
        let mut missing = Vec::new();
        {
            let mut kept = self.lock();
            for id in ids {
                match kept.get(*id) {
                    Some(body) => drop(found.insert(*id, body)),
                    None => missing.push(*id),
                }
            }
        }
        if !missing.is_empty() {
            let mut connection = db.pool.acquire().await?;
            for body in rules(&mut connection, &missing).await? {
                found.insert(body.id, self.lock().keep(body.id, body, KEPT));
            }
        }
        ids.iter().map(|id| found.get(id).cloned().ok_or_else(|| lost("separation rule", *id))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept<SeparationRule>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[derive(sqlx::FromRow)]
struct RuleRow {
    id: Uuid,
    key: String,
    version: i32,
    name: String,
    procedure_version_id: Option<Uuid>,
    digest: String,
    a: Vec<Uuid>,
    b: Vec<Uuid>,
}

/// The bodies of these versions, in order of their keys and numbers.
///
/// # Errors
/// When the database does not answer, or cites what is not there.
pub(super) async fn rules(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<SeparationRule>, StoreError> {
    let rows: Vec<RuleRow> = sqlx::query_as(
        "select v.id, s.key, v.version, v.name, v.procedure_version_id, v.digest,
                array(select role_id from separation_rule_role where rule_version_id = v.id and side = 'a' order by role_id) as a,
                array(select role_id from separation_rule_role where rule_version_id = v.id and side = 'b' order by role_id) as b
         from separation_rule_version v join separation_rule s on s.id = v.rule_id where v.id = any($1) order by s.key, v.version",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let procedure_ids: Vec<Uuid> = rows.iter().filter_map(|row| row.procedure_version_id).collect();
    let procedures = procedures(connection, &procedure_ids).await?;
    rows.into_iter()
        .map(|row| {
            let procedure = row.procedure_version_id.map(|id| procedures.get(&id).cloned().ok_or_else(|| lost("procedure", id))).transpose()?;
            Ok(SeparationRule {
                id: row.id,
                key: row.key,
                name: row.name,
                version: row.version,
                digest: row.digest,
                a: row.a.into_iter().map(RoleId).collect(),
                b: row.b.into_iter().map(RoleId).collect(),
                procedure,
            })
        })
        .collect()
}
