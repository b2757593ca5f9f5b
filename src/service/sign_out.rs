//! Ends sessions: one's own, here, elsewhere or at the provider.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::{PersonId, SessionId};
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::session::{self, Ended};

use super::ctx::Ctx;
use super::error::ServiceError;
use super::sign_in::Viewer;
use super::token;

/// How long a logout token is remembered after it was taken: longer than any is good.
const REMEMBERED: TimeDelta = TimeDelta::minutes(30);

/// What a provider says of a session that ended there; every signature and claim is checked already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The issuer.
    pub issuer: String,
    /// The token's own id.
    pub jti: String,
    /// The session there; there is one, or a subject.
    pub sid: Option<String>,
    /// Who it was there.
    pub subject: Option<String>,
}

/// What became of a provider's word that a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// So many sessions ended here; none, when there was none.
    Ended(usize),
    /// The same was said before.
    Replayed,
}

/// Ends what began with a session at the provider that has ended there (OpenID Connect Back-Channel Logout 1.0, section 2.7): each once.
///
/// # Errors
/// When the database fails; the sessions then go on, and the provider may say it again.
pub async fn by_provider(ctx: &Ctx, said: &Farewell) -> Result<Followed, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    if !session::take_logout_token(&mut tx, &said.issuer, &token::digest(&said.jti), ctx.clock.now() + REMEMBERED).await? {
        return Ok(Followed::Replayed);
    }
    let ended = session::end_at_provider(&mut tx, &said.issuer, said.sid.as_deref(), said.subject.as_deref()).await?;
    event::append(&mut tx, &events(&ended, Actor::System, Channel::Web, "signed_out_at_provider")).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Followed::Ended(ended.len()))
}

/// Ends the session with this cookie. Returns whether there was one, and its ID token for the provider.
///
/// # Errors
/// When the database fails; the session then goes on.
pub async fn out(ctx: &Ctx, cookie: &str) -> Result<Option<Option<String>>, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let ended = session::end_by_token(&mut tx, &token::digest(cookie)).await?;
    let id_token = ended.as_ref().map(|ended| ended.id_token.clone());
    finish(tx, ended.into_iter().collect(), "signed_out").await?;
    Ok(id_token)
}

/// Ends one of the viewer's own sessions. Returns whether there was such a one, and its ID token for the provider.
///
/// # Errors
/// When the database fails.
pub async fn one(ctx: &Ctx, viewer: &Viewer, session: SessionId) -> Result<Option<Option<String>>, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let ended = session::end_of_person(&mut tx, viewer.person, Some(session), None).await?;
    let id_token = ended.first().map(|ended| ended.id_token.clone());
    finish(tx, ended, if session == viewer.session { "signed_out" } else { "ended_elsewhere" }).await?;
    Ok(id_token)
}

/// Ends all of the viewer's sessions but the one in use. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn others(ctx: &Ctx, viewer: &Viewer) -> Result<usize, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let ended = session::end_of_person(&mut tx, viewer.person, None, Some(viewer.session)).await?;
    let count = ended.len();
    finish(tx, ended, "ended_elsewhere").await?;
    Ok(count)
}

/// One of the viewer's own sessions.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its id.
    pub id: SessionId,
    /// The browser, as it calls itself.
    pub user_agent: Option<String>,
    /// Where it called from when it began.
    pub address: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
}

/// The viewer's live sessions, latest use first.
///
/// # Errors
/// When the database fails.
pub async fn list(ctx: &Ctx, viewer: &Viewer) -> Result<Vec<Own>, ServiceError> {
    let rows = session::of_person(&ctx.db, viewer.person, ctx.clock.now()).await?;
    let own = |row: session::Listed| Own {
        id: SessionId(row.id),
        user_agent: row.user_agent,
        address: row.address,
        created_at: row.created_at,
        seen_at: row.seen_at,
        expires_at: row.expires_at,
    };
    Ok(rows.into_iter().map(own).collect())
}

async fn finish(mut tx: Tx, ended: Vec<Ended>, reason: &str) -> Result<(), ServiceError> {
    if let Some(first) = ended.first() {
        let actor = Actor::Person { id: PersonId(first.person_id), name: first.display_name.clone() };
        event::append(&mut tx, &events(&ended, actor, Channel::Web, reason)).await?;
    }
    Ok(tx.commit().await.map_err(StoreError::from)?)
}

fn events(ended: &[Ended], actor: Actor, channel: Channel, reason: &str) -> Vec<Event> {
    let event = |ended: &Ended| Event {
        actor: actor.clone(),
        channel,
        subject: Subject { person: Some(PersonId(ended.person_id)), ..Subject::default() },
        fact: Fact::SessionEnded { reason: reason.to_owned() },
    };
    ended.iter().map(event).collect()
}
