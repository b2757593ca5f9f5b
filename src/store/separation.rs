//! Separation rules.

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

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::separation::SeparationRule;

use super::db::Db;
use super::error::StoreError;

/// The versions read so far. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Separations;

impl Separations {
    /// These versions, in the order given.
    ///
    /// # Errors
    /// When there is no such version, or the database does not answer.
    pub async fn versions(&self, _db: &Db, _ids: &[Uuid]) -> Result<Vec<Arc<SeparationRule>>, StoreError> {
        Ok(vec![])
    }
}
