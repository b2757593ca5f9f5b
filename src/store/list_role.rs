//! Roles as a list to choose from.

use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A role that is offered.
#[derive(Clone, Debug, FromRow)]
pub struct RoleListed {
    /// Its id.
    pub id: Uuid,
    /// Its key within the application.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it lets one do.
    pub description: String,
    /// `low`, `elevated` or `critical`.
    pub risk: String,
    /// Its provisioning method.
    pub method: String,
    /// Its application.
    pub application_id: Uuid,
    /// The application's key.
    pub application_key: String,
    /// The application's name.
    pub application: String,
    /// Who owns the role.
    pub owner_id: Uuid,
    /// The owner's name.
    pub owner: String,
}

/// The columns of [`RoleListed`], with the rest of the statement.
macro_rules! roles {
    ($rest:literal) => {
        concat!(
            "select r.id, r.key, r.name, r.description, r.risk, r.method, r.application_id, a.key as application_key, a.name as application, r.owner_id, o.display_name as owner ",
            "from role r join application a on a.id = r.application_id join person o on o.id = r.owner_id ",
            "where r.retired_at is null and a.retired_at is null and r.method = 'idp_group' ",
            $rest
        )
    };
}

/// Offered roles that hold every one of `words`, by name, after the role `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn search(db: &Db, words: &[String], application: Option<Uuid>, after: Option<Uuid>, limit: i64) -> Result<Vec<RoleListed>, StoreError> {
    let patterns: Vec<String> = words.iter().map(|word| pattern(word)).collect();
    Ok(sqlx::query_as(roles!(
        "and ($1::uuid is null or r.application_id = $1) and r.search like all ($2)
         and ($3::uuid is null or (r.name, r.id) > (select n.name, n.id from role n where n.id = $3)) order by r.name, r.id limit $4"
    ))
    .bind(application)
    .bind(patterns)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// The role, if it is offered.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: Uuid) -> Result<Option<RoleListed>, StoreError> {
    Ok(sqlx::query_as(roles!("and r.id = $1")).bind(id).fetch_optional(&db.pool).await?)
}

/// A `like` pattern for text that holds `word`, whatever characters it has.
pub(super) fn pattern(word: &str) -> String {
    let mut pattern = String::from("%");
    for c in word.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_word_is_looked_for_as_it_stands() {
        assert_eq!(super::pattern("Read_50%\\"), "%read\\_50\\%\\\\%");
    }
}
