//! Questions of approvers, and their answers.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::{PersonId, RequestId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// Writes a question about the open step and stops its clock with `left_s` seconds left; none: it has no limit.
///
/// # Errors
/// [`StoreError::Refused`] when one is open already.
#[allow(clippy::too_many_arguments, reason = "each is a column")]
pub async fn ask(
    tx: &mut Tx,
    id: Uuid,
    request: RequestId,
    step_no: i32,
    by: PersonId,
    question: &str,
    left_s: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("insert into request_question (id, request_id, step_no, asked_by, question, asked_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(id)
        .bind(request.0)
        .bind(step_no)
        .bind(by.0)
        .bind(question)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    sqlx::query("update request set status = 'needs_info', step_left_s = $2, step_due_at = null, remind_at = null where id = $1")
        .bind(request.0)
        .bind(left_s)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes the answer to the open question and who it is told to: who asked. None when no question is open.
///
/// # Errors
/// When the database fails.
pub async fn answer(tx: &mut Tx, request: RequestId, by: PersonId, answer: &str, now: DateTime<Utc>) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "update request_question set answered_by = $2, answer = $3, answered_at = $4 where request_id = $1 and answered_at is null returning asked_by",
    )
    .bind(request.0)
    .bind(by.0)
    .bind(answer)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?)
}

/// A question with its answer.
#[derive(Clone, Debug, FromRow)]
pub struct QuestionRow {
    /// Counted from 1.
    pub step_no: i32,
    /// Who asked.
    pub asked_by: String,
    /// What.
    pub question: String,
    /// When.
    pub asked_at: DateTime<Utc>,
    /// Who answered.
    pub answered_by: Option<String>,
    /// What.
    pub answer: Option<String>,
    /// When, or when it ended without an answer.
    pub answered_at: Option<DateTime<Utc>>,
}

/// The questions about a request, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_request(db: &Db, request: Uuid) -> Result<Vec<QuestionRow>, StoreError> {
    Ok(sqlx::query_as(
        "select q.step_no, p.display_name as asked_by, q.question, q.asked_at, a.display_name as answered_by, q.answer, q.answered_at
         from request_question q join person p on p.id = q.asked_by left join person a on a.id = q.answered_by where q.request_id = $1 order by q.asked_at, q.id",
    )
    .bind(request)
    .fetch_all(&db.pool)
    .await?)
}

/// Ends the open question without an answer and says who asked it. None when no question is open.
///
/// # Errors
/// When the database fails.
pub async fn lapse(tx: &mut Tx, request: RequestId, now: DateTime<Utc>) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("update request_question set answered_at = $2 where request_id = $1 and answered_at is null returning asked_by")
        .bind(request.0)
        .bind(now)
        .fetch_optional(&mut **tx)
        .await?)
}

/// Lets the clock of the open step go on.
///
/// # Errors
/// When the database fails.
pub async fn go_on(tx: &mut Tx, request: RequestId, due_at: Option<DateTime<Utc>>, remind_at: Option<DateTime<Utc>>) -> Result<(), StoreError> {
    sqlx::query("update request set status = 'pending', step_left_s = null, step_due_at = $2, remind_at = $3 where id = $1")
        .bind(request.0)
        .bind(due_at)
        .bind(remind_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
