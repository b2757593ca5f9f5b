//! What the page My data shows and hands out.

use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};

use crate::domain::event::{Event, Fact, Subject};
use crate::service::commit::commit;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::event;
use crate::store::look_me::{self, Mark};

/// How many of those who looked are shown.
const LOOKED: i64 = 100;
/// Rows read at once.
const PAGE: i64 = 500;

/// What is recorded about the viewer.
#[derive(Clone, Debug)]
pub struct Me {
    /// What the directory said: attribute and value.
    pub said: Vec<(String, String)>,
    /// When it said so.
    pub seen_at: DateTime<Utc>,
    /// What else there is, and how much of it.
    pub amounts: Vec<(&'static str, i64)>,
    /// Who else looked, newest first: when, who, at what.
    pub looked: Vec<(DateTime<Utc>, String, String)>,
}

/// What is recorded about `by`.
///
/// # Errors
/// [`ServiceError::Missing`] for somebody who is not there; when the database fails.
pub async fn me(ctx: &Ctx, by: &By) -> Result<Me, ServiceError> {
    let row = look_me::described(&ctx.db, by.person.0).await?.ok_or(ServiceError::Missing)?;
    let mut said = vec![("name".to_owned(), row.display_name), ("login".to_owned(), row.user_name)];
    said.extend(row.email.map(|email| ("address".to_owned(), email)));
    said.push(("directory".to_owned(), row.directory));
    said.push(("id there".to_owned(), row.reference));
    for (name, values) in row.attributes.as_object().into_iter().flatten() {
        let values: Vec<&str> = values.as_array().into_iter().flatten().filter_map(|value| value.as_str()).collect();
        said.push((name.replace('_', " "), values.join(", ")));
    }
    let amounts = look_me::amounts(&ctx.db, by.person.0).await?;
    let amounts = vec![
        ("requests by you or for you", amounts.requests),
        ("accesses that you have or had", amounts.grants),
        ("decisions of yours on others' requests", amounts.approvals),
        ("notices to you", amounts.notices),
        ("sign-ins that last", amounts.sessions),
        ("API tokens", amounts.tokens),
        ("events about you or by you", amounts.events),
    ];
    let looked = look_me::looked(&ctx.db, by.person.0, LOOKED).await?.into_iter().map(|row| (row.at, row.who, row.what)).collect();
    Ok(Me { said, seen_at: row.seen_at, amounts, looked })
}

/// Everything recorded about `by` as lines of JSON, piece by piece; that it was taken is in the log before the first.
///
/// # Errors
/// When the database fails; later failures break the stream off.
pub async fn take(ctx: &Ctx, by: &By) -> Result<impl Stream<Item = Result<String, ServiceError>> + Send + 'static, ServiceError> {
    let person = by.person;
    let fact = Fact::EvidenceExported { file: "data.jsonl".into(), mode: "raw".into(), filters: format!("person {person}") };
    let subject = Subject { person: Some(person), ..Subject::default() };
    let mut tx = ctx.db.begin().await?;
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject, fact }]).await?;
    commit(tx).await?;
    Ok(stream::try_unfold((ctx.clone(), Mark::default()), move |(ctx, mark)| async move {
        let piece = look_me::lines(&ctx.db, person.0, &mark, PAGE).await?;
        Ok::<_, ServiceError>(piece.map(|(text, next)| (text, (ctx, next))))
    }))
}
