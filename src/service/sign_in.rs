//! Turns what a provider vouches for into a session.
//!
//! An identity (issuer, subject) is linked to one person of the directory once, by a claim, and from then on by ids
//! alone: who later gets the same login or address is somebody else. Rights are never part of a session; [`who`] looks
//! them up for every request.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::clock::new_id;
use crate::directory::facts::{PersonFacts, ReadError, clean};
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::{PersonId, SessionId};
use crate::store::error::StoreError;
use crate::store::session::{self, NewSession};
use crate::store::{event, identity};

use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::learn::{self, Source};
use super::rights::{self, Rights};
use super::{fetch, token};

/// How long a sign-in may take at the provider.
const ATTEMPT_LASTS: TimeDelta = TimeDelta::minutes(10);
/// How far behind the note of a session's last use may be.
const NOTED_EVERY: TimeDelta = TimeDelta::seconds(60);

/// How people come in.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Key of the directory that people are looked up in.
    pub directory: String,
    /// The claim that says who somebody is, such as `preferred_username` or `email`.
    pub claim: String,
    /// What the claim is in the directory: `user_name`, `email`, `external_id`, `id` or an attribute.
    pub attribute: String,
    /// Whether an address counts that the provider does not call verified.
    pub trust_unverified_email: bool,
    /// A session ends when unused for so long.
    pub idle: TimeDelta,
    /// The same for administrators and auditors.
    pub idle_privileged: TimeDelta,
    /// A session ends after so long in any case.
    pub absolute: TimeDelta,
    /// Which groups make administrators and auditors.
    pub rights: Rights,
}

impl Rules {
    /// The usual limits: 30 minutes unused, 15 for administrators and auditors, 12 hours in any case.
    pub fn new(directory: &str, claim: &str, attribute: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            claim: claim.to_owned(),
            attribute: attribute.to_owned(),
            trust_unverified_email: false,
            idle: TimeDelta::minutes(30),
            idle_privileged: TimeDelta::minutes(15),
            absolute: TimeDelta::hours(12),
            rights: Rights::default(),
        }
    }
}

/// What a provider vouches for; every signature and claim is checked already.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// The issuer.
    pub issuer: String,
    /// The subject: never empty, at most 255 bytes.
    pub subject: String,
    /// The provider's session, where it names one.
    pub sid: Option<String>,
    /// When the person last proved who they are.
    pub auth_time: Option<DateTime<Utc>>,
    /// The ID token itself, for signing out.
    pub id_token: String,
    /// Every claim of the ID token, and those of userinfo that it lacks.
    pub claims: Map<String, Value>,
}

/// The browser that signs in.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// How it calls itself.
    pub user_agent: Option<String>,
    /// Where it calls from.
    pub address: Option<String>,
    /// The session cookie that it still had; that session ends.
    pub old_token: Option<String>,
}

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct Started {
    /// For the cookie; kept nowhere.
    pub token: String,
    /// When the session ends in any case.
    pub expires_at: DateTime<Utc>,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The person reads why.
    #[error("{0}")]
    Refused(String),
    /// Something is down, or broken.
    #[error(transparent)]
    Failed(#[from] ServiceError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// A sign-in that is under way at the provider.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Must be in the ID token.
    pub nonce: String,
    /// Goes with the code.
    pub pkce_verifier: String,
    /// Where the person wanted to go: a path of ours.
    pub next: String,
}

/// Remembers a sign-in that goes to the provider now. `browser` is the cookie that must come back with the answer.
///
/// # Errors
/// When the database fails.
pub async fn begin(ctx: &Ctx, state: &str, browser: &str, attempt: Attempt) -> Result<(), ServiceError> {
    let now = ctx.clock.now();
    let Attempt { nonce, pkce_verifier, next } = attempt;
    let attempt = session::Attempt { nonce, pkce_verifier, next };
    let (state, browser) = (token::digest(state), token::digest(browser));
    Ok(session::begin(&ctx.db, &state, &browser, &attempt, now, now + ATTEMPT_LASTS).await?)
}

/// Takes the sign-in that this answer belongs to: once, in time, and only for the browser that began it.
///
/// # Errors
/// When the database fails.
pub async fn take(ctx: &Ctx, state: &str, browser: &str) -> Result<Option<Attempt>, ServiceError> {
    let (state, browser) = (token::digest(state), token::digest(browser));
    let attempt = session::take(&ctx.db, &state, &browser, ctx.clock.now()).await?;
    Ok(attempt.map(|session::Attempt { nonce, pkce_verifier, next }| Attempt { nonce, pkce_verifier, next }))
}

/// Makes a session for whom the provider vouches, and ends the one this browser had.
///
/// # Errors
/// [`Denied::Refused`] with a sentence (and an event) when nobody, or nobody active, is behind the identity.
pub async fn start(ctx: &Ctx, rules: &Rules, vouched: &Vouched, browser: &Browser) -> Result<Started, Denied> {
    let outcome = admit(ctx, rules, vouched, browser).await;
    if let Err(Denied::Refused(reason)) = &outcome {
        refused(ctx, &vouched.issuer, &vouched.subject, reason).await?;
    }
    outcome
}

/// Writes into the log that somebody was not let in.
///
/// # Errors
/// When the database fails.
pub async fn refused(ctx: &Ctx, issuer: &str, subject: &str, reason: &str) -> Result<(), ServiceError> {
    let known = identity::find(&ctx.db, issuer, subject).await?;
    let fact = Fact::SessionRefused { issuer: issuer.to_owned(), subject: subject.to_owned(), reason: reason.to_owned() };
    let subject = Subject { person: known.map(|linked| PersonId(linked.person_id)), ..Subject::default() };
    let mut tx = ctx.db.begin().await?;
    event::append(&mut tx, &[Event { actor: Actor::System, channel: Channel::Web, subject, fact }]).await?;
    Ok(tx.commit().await.map_err(StoreError::from)?)
}

async fn admit(ctx: &Ctx, rules: &Rules, vouched: &Vouched, browser: &Browser) -> Result<Started, Denied> {
    let linked = identity::find(&ctx.db, &vouched.issuer, &vouched.subject).await?;
    let facts = match &linked {
        Some(linked) => known(ctx, linked).await?,
        None => Some(recognise(ctx, rules, vouched).await?),
    };
    let groups = rules.rights.groups(ctx).await;
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let directory = linked.as_ref().map_or(rules.directory.as_str(), |linked| linked.directory.as_str());
    let (person, name, reference, groups_now) = match (&linked, facts) {
        (_, Some(facts)) => {
            let person = learn::one(&mut tx, ctx, directory, &facts, Source::Read, now).await?;
            let groups: Vec<String> = facts.groups.into_iter().map(|group| group.reference).collect();
            (person, facts.display_name, facts.reference, groups)
        }
        (Some(linked), None) => (PersonId(linked.person_id), linked.display_name.clone(), linked.reference.clone(), Vec::new()),
        // `recognise` answers with facts or refuses.
        (None, None) => return Err(Denied::Refused("It is not clear who you are here.".into())),
    };
    let by = Actor::Person { id: person, name: name.clone() };
    let about = |fact| Event { actor: by.clone(), channel: Channel::Web, subject: Subject { person: Some(person), ..Subject::default() }, fact };
    if linked.is_none() {
        // A claim says who somebody is once; a second account that says the same may be somebody who chose that name.
        let Some((whose, new)) = identity::link(&mut tx, &vouched.issuer, &vouched.subject, person, now).await? else {
            return Err(Denied::Refused(format!(
                "Your sign-in worked, but \u{201c}{name}\u{201d} already signs in here with another account of the same provider. Sign in with that account; an administrator has to find out why there are two."
            )));
        };
        if whose != person.0 {
            return Err(Denied::Refused("This sign-in already belongs to somebody else. Sign in again.".into()));
        }
        if new {
            let fact = Fact::IdentityLinked { issuer: vouched.issuer.clone(), subject: vouched.subject.clone(), reference };
            event::append(&mut tx, &[about(fact)]).await?;
        }
    }
    if let Some(old) = &browser.old_token
        && let Some(ended) = session::end_by_token(&mut tx, &token::digest(old)).await?
    {
        let fact = Fact::SessionEnded { reason: "signed_in_again".into() };
        let whose = PersonId(ended.person_id);
        let actor = Actor::Person { id: whose, name: ended.display_name };
        let subject = Subject { person: Some(whose), ..Subject::default() };
        event::append(&mut tx, &[Event { actor, channel: Channel::Web, subject, fact }]).await?;
    }
    let cookie = token::random();
    let has_rights = groups.of(directory, &groups_now) != (false, false);
    let expires_at = now + rules.absolute;
    let new = NewSession {
        id: SessionId(new_id()),
        token_hash: token::digest(&cookie),
        person,
        issuer: vouched.issuer.clone(),
        subject: vouched.subject.clone(),
        sid: vouched.sid.clone(),
        id_token: Some(vouched.id_token.clone()),
        auth_time: vouched.auth_time,
        idle_until: (now + if has_rights { rules.idle_privileged } else { rules.idle }).min(expires_at),
        expires_at,
        user_agent: browser.user_agent.clone(),
        address: browser.address.clone(),
    };
    session::insert(&mut tx, &new, now).await?;
    event::append(&mut tx, &[about(Fact::SessionStarted { issuer: vouched.issuer.clone() })]).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Started { token: cookie, expires_at })
}

/// Somebody who was here before, as the directory describes them now; `None` when it cannot be asked but called them
/// active when it last was.
async fn known(ctx: &Ctx, linked: &identity::Linked) -> Result<Option<PersonFacts>, Denied> {
    match fetch::directory(ctx, &linked.directory)?.person(&linked.reference).await {
        Ok(Some(facts)) if facts.active => Ok(Some(facts)),
        Ok(Some(_)) => Err(switched_off()),
        Ok(None) => Err(Denied::Refused("The directory does not know you any more, so you cannot sign in.".into())),
        Err(error) if linked.status == "active" => {
            tracing::warn!(directory = linked.directory, why = %error, "somebody signs in while the directory cannot be asked");
            Ok(None)
        }
        Err(error) => Err(Denied::Failed(ServiceError::Unavailable(error.to_string()))),
    }
}

/// Somebody who signs in for the first time: the one active person whom the claim means.
async fn recognise(ctx: &Ctx, rules: &Rules, vouched: &Vouched) -> Result<PersonFacts, Denied> {
    let value = match vouched.claims.get(&rules.claim) {
        Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => {
            return Err(Denied::Refused(format!(
                "Your sign-in worked, but the provider does not tell your {}, so it is not clear who you are here. An administrator has to let the provider send it.",
                rules.claim
            )));
        }
    };
    if rules.claim == "email" && !rules.trust_unverified_email && !is_true(vouched.claims.get("email_verified")) {
        return Err(Denied::Refused("Your sign-in worked, but the provider has not verified your address, so it does not show who you are here.".into()));
    }
    let found = fetch::directory(ctx, &rules.directory)?.find_person(&rules.attribute, &value).await;
    // For people and the log only from here on.
    let value: String = clean(&value).chars().take(100).collect();
    match found {
        Ok(Some(facts)) if facts.active => Ok(facts),
        Ok(Some(_)) => Err(switched_off()),
        Ok(None) => Err(Denied::Refused(format!(
            "Your sign-in worked, but nobody in the directory has the {} \u{201c}{value}\u{201d}. An administrator has to mend your record there.",
            rules.attribute.replace('_', " ")
        ))),
        Err(ReadError::Several { .. }) => Err(Denied::Refused(format!(
            "Your sign-in worked, but more than one person in the directory has the {} \u{201c}{value}\u{201d}, so it is not clear which one you are. An administrator has to mend the records there.",
            rules.attribute.replace('_', " ")
        ))),
        Err(error) => Err(Denied::Failed(ServiceError::Unavailable(error.to_string()))),
    }
}

fn switched_off() -> Denied {
    Denied::Refused("Your account is switched off in the directory, so you cannot sign in.".into())
}

/// True, or the text "true" that some providers send.
fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// Who is signed in, and what they may do at this moment. Made for one request and not kept.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The session.
    pub session: SessionId,
    /// Who.
    pub person: PersonId,
    /// Key of their directory.
    pub directory: String,
    /// Their immutable id there.
    pub reference: String,
    /// Name for people.
    pub name: String,
    /// Address.
    pub email: Option<String>,
    /// A member of the administrators' group.
    pub is_administrator: bool,
    /// A member of the auditors' group.
    pub is_auditor: bool,
    /// Is, or was, asked to approve.
    pub is_approver: bool,
    /// Requests that wait for them.
    pub queue_count: i64,
    /// Reviews of emergencies that they owe, because they were skipped.
    pub reviews: i64,
    /// What they were told and have not put aside.
    pub notices: i64,
    /// When they last proved who they are, for acts that want that fresh.
    pub auth_time: Option<DateTime<Utc>>,
    /// When the session ends in any case.
    pub expires_at: DateTime<Utc>,
}

impl Viewer {
    /// As the one who acts.
    pub fn by(&self, channel: Channel) -> By {
        By { person: self.person, name: self.name.clone(), token: None, channel, is_administrator: self.is_administrator, is_auditor: self.is_auditor }
    }
}

/// Who holds this session cookie now; `None` when it is nobody's, over, or its person is not active. Whom the directory was last
/// seen to describe 24 hours ago or earlier is neither administrator nor auditor. One query.
///
/// # Errors
/// When the database fails.
pub async fn who(ctx: &Ctx, rules: &Rules, cookie: &str) -> Result<Option<Viewer>, ServiceError> {
    if cookie.len() != 43 {
        return Ok(None);
    }
    let groups = rules.rights.groups(ctx).await;
    let now = ctx.clock.now();
    let held = session::held(&ctx.db, &token::digest(cookie), (now, rights::stale(now)), &groups.administrators, &groups.auditors).await?;
    let Some(held) = held else { return Ok(None) };
    let idle = if held.is_administrator || held.is_auditor { rules.idle_privileged } else { rules.idle };
    // Again by today's rights: they may have grown since the limit was written.
    if now >= held.seen_at + idle + NOTED_EVERY {
        return Ok(None);
    }
    if now - held.seen_at >= NOTED_EVERY {
        session::touch(&ctx.db, SessionId(held.session_id), now, now + idle).await?;
    }
    Ok(Some(Viewer {
        session: SessionId(held.session_id),
        person: PersonId(held.person_id),
        directory: held.directory,
        reference: held.reference,
        name: held.display_name,
        email: held.email,
        is_administrator: held.is_administrator,
        is_auditor: held.is_auditor,
        is_approver: held.is_approver,
        queue_count: held.queue_count,
        reviews: held.reviews,
        notices: held.notices,
        auth_time: held.auth_time,
        expires_at: held.expires_at,
    }))
}
