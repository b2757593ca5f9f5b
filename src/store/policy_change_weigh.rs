//! What a proposed change would have made of stored requests.

use sqlx::FromRow;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A stored request that would have come out otherwise.
#[derive(Clone, Debug)]
pub struct NewMoved<'a> {
    /// The request.
    pub request: Uuid,
    /// Its role.
    pub role: Uuid,
    /// What becomes of it.
    pub turn: &'static str,
    /// What the rules it had say.
    pub was: &'a str,
    /// What the other rules say.
    pub becomes: &'a str,
}

/// Such a request, as a page lists it.
#[derive(Clone, Debug, FromRow)]
pub struct MovedRow {
    /// Its place in the list.
    pub position: i32,
    /// The request.
    pub request_id: Uuid,
    /// When it was made.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// For whom.
    pub beneficiary: String,
    /// The application's name.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// What becomes of it.
    pub turn: String,
    /// What the rules it had say.
    pub was: String,
    /// What the other rules say.
    pub becomes: String,
    /// Whether it was made as an emergency.
    pub emergency: bool,
}

/// Keeps what a what-if found, unless another has been kept before. Returns whether it was.
///
/// # Errors
/// When the database fails.
pub async fn keep(tx: &mut Tx, id: Uuid, summary: &str, moved: &[NewMoved<'_>]) -> Result<bool, StoreError> {
    let kept = sqlx::query("update policy_change set whatif = $2 where id = $1 and whatif is null").bind(id).bind(summary).execute(&mut **tx).await?;
    if kept.rows_affected() == 0 {
        return Ok(false);
    }
    for (part, at) in moved.chunks(5_000).zip(0i32..) {
        sqlx::query(
            "insert into policy_change_request (change_id, position, request_id, role_id, turn, was, becomes)
             select $1, $2 + m.n::int, m.request, m.role, m.turn, m.was, m.becomes
             from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[]) with ordinality as m(request, role, turn, was, becomes, n)",
        )
        .bind(id)
        .bind(at * 5_000)
        .bind(part.iter().map(|one| one.request).collect::<Vec<_>>())
        .bind(part.iter().map(|one| one.role).collect::<Vec<_>>())
        .bind(part.iter().map(|one| one.turn.to_owned()).collect::<Vec<_>>())
        .bind(part.iter().map(|one| one.was.to_owned()).collect::<Vec<_>>())
        .bind(part.iter().map(|one| one.becomes.to_owned()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

/// The requests of a change that take `turn` and ask for `role` (where given), in order of time, after `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn moved(db: &Db, id: Uuid, turn: Option<&str>, role: Option<Uuid>, after: i32, limit: i64) -> Result<Vec<MovedRow>, StoreError> {
    Ok(sqlx::query_as(
        "select m.position, m.request_id, q.created_at, p.display_name as beneficiary, a.name as application, r.name as role, m.turn, m.was, m.becomes, q.emergency_reason is not null as emergency
         from policy_change_request m join request q on q.id = m.request_id join person p on p.id = q.beneficiary_id
           join role r on r.id = m.role_id join application a on a.id = r.application_id
         where m.change_id = $1 and m.position > $4 and ($2::text is null or m.turn = $2) and ($3::uuid is null or m.role_id = $3)
         order by m.position limit $5",
    )
    .bind(id)
    .bind(turn)
    .bind(role)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
