//! Make, check and revoke the tokens of the API.
//!
//! A token is `cst_`, 64 hex digits of 256 random bits, and 8 hex digits of checksum (the first 32 bits of the SHA-256 of what
//! stands before), so that a typing error is told from a wrong token and a leak scanner can be sure of what it found. It is shown
//! once; its SHA-256 is kept.

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::clock;
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::{PersonId, TokenId};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::domain::scope::Scope;
use crate::evidence::canonical::hex;
pub use crate::store::token::TokenRow;
use crate::store::{event, person, token};

use super::commit::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::rights::{self, Groups};

/// What every token starts with.
const PREFIX: &str = "cst_";
/// The longest life of a token, in days.
pub const LONGEST_DAYS: i64 = 366;
/// The most live tokens of one person.
const MOST: i64 = 50;
/// Uses are recorded at most once in this time.
const USE_RECORDED: Duration = Duration::hours(1);

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// For whom.
    pub person: PersonId,
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// Words of its scopes, at least one.
    pub scopes: Vec<String>,
    /// When it expires: later than now, at most [`LONGEST_DAYS`] ahead.
    pub expires_at: DateTime<Utc>,
}

/// A token just made. The secret is shown once and kept nowhere.
#[derive(Clone)]
pub struct Made {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// The token itself.
    pub secret: String,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who calls, by a token that is good.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Whose token it is, with the rights of that person.
    pub by: By,
    /// What of that it may be used for.
    pub scopes: Vec<Scope>,
}

impl Bearer {
    /// Whether the token may be used for `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Why a token is not good. Whoever holds the text of a token may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadToken {
    /// Not the text of a token: cut off, mistyped, or something else.
    #[error("This is not a Countersign token: it starts with cst_ and has 76 characters. Copy it again, whole.")]
    Malformed,
    /// No such token.
    #[error("There is no such token.")]
    Unknown,
    /// Past its end.
    #[error("This token has expired; make a new one.")]
    Expired,
    /// Revoked.
    #[error("This token was revoked; make a new one.")]
    Revoked,
    /// Its person is not active in the directory.
    #[error("Whose token this is, is no longer active in the directory.")]
    NotActive,
}

/// What [`authenticate`] can come to besides a [`Bearer`].
#[derive(Debug, Error)]
pub enum NotAuthenticated {
    /// The token is not good.
    #[error(transparent)]
    Bad(#[from] BadToken),
    /// It could not be looked up.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Makes a token; `by` may be the person or an operator at the command line.
///
/// # Errors
/// [`Refusal::Faults`] naming every field that is wrong, [`Refusal::NotActive`] for a person who is not active.
pub async fn create(ctx: &Ctx, by: &Actor, channel: Channel, new: &NewToken) -> Result<Made, ServiceError> {
    let now = ctx.clock.now();
    let name = new.name.trim();
    let scopes = check(name, &new.scopes, new.expires_at, now).map_err(Refusal::Faults)?;
    let person = person::by_id(&ctx.db, new.person).await?.ok_or(ServiceError::Missing)?;
    if !person.is_active() {
        return Err(Refusal::NotActive.into());
    }
    let secret = compose(&rand::random());
    let id = TokenId(clock::new_id());
    let mut tx = ctx.db.begin().await?;
    if token::count_live(&mut tx, new.person, now).await? >= MOST {
        let sentence = format!("There are {MOST} tokens already; revoke one that is no longer used.");
        return Err(Refusal::Faults(vec![FieldFault { field: "name".into(), sentence }]).into());
    }
    let words: Vec<&'static str> = scopes.iter().map(|scope| scope.word()).collect();
    token::insert(
        &mut tx,
        &token::NewToken { id, hash: &hash(&secret), person: new.person, name, scopes: &words, created_at: now, expires_at: new.expires_at },
    )
    .await?;
    let fact = Fact::TokenCreated { name: name.into(), scopes: words.iter().map(|word| word.to_string()).collect(), expires_at: new.expires_at };
    event::append(&mut tx, &[about(by, channel, new.person, fact)]).await?;
    commit(tx).await?;
    Ok(Made { id, name: name.into(), secret, expires_at: new.expires_at })
}

/// Who holds the token `text`; `groups` are those whose members are administrators and auditors, if the directory
/// was seen to say so in the last 24 hours. Records the use at most once an hour.
///
/// # Errors
/// [`BadToken`] when it is not good, [`ServiceError`] when that cannot be found out.
pub async fn authenticate(ctx: &Ctx, groups: &Groups, text: &str) -> Result<Bearer, NotAuthenticated> {
    if !is_token(text) {
        return Err(BadToken::Malformed.into());
    }
    let now = ctx.clock.now();
    let row = token::by_hash(&ctx.db, &hash(text)).await.map_err(ServiceError::from)?.ok_or(BadToken::Unknown)?;
    if row.revoked_at.is_some() {
        return Err(BadToken::Revoked.into());
    }
    if row.expires_at <= now {
        return Err(BadToken::Expired.into());
    }
    if row.person_status != "active" {
        return Err(BadToken::NotActive.into());
    }
    let fresh = row.person_seen_at > rights::stale(now);
    let (administers, audits) = groups.of(&row.person_directory, &row.person_groups);
    let bearer = Bearer {
        by: By {
            person: PersonId(row.person_id),
            name: row.person_name,
            token: Some(TokenId(row.id)),
            channel: Channel::Api,
            is_administrator: fresh && administers,
            is_auditor: fresh && audits,
        },
        scopes: row.scopes.iter().filter_map(|word| Scope::parse(word)).collect(),
    };
    if row.last_used_at.is_none_or(|last| last <= now - USE_RECORDED) {
        let mut tx = ctx.db.begin().await.map_err(ServiceError::from)?;
        if token::used(&mut tx, TokenId(row.id), now, now - USE_RECORDED).await.map_err(ServiceError::from)? {
            let used = about(&bearer.by.actor(), Channel::Api, bearer.by.person, Fact::TokenUsed { name: row.name });
            event::append(&mut tx, &[used]).await.map_err(ServiceError::from)?;
        }
        commit(tx).await?;
    }
    Ok(bearer)
}

/// Tokens, newest first, after the one `after`, at most `limit`; of `person`, or with `None` of everybody (an administrator's list).
///
/// # Errors
/// When the database cannot be reached.
pub async fn list(ctx: &Ctx, person: Option<PersonId>, after: Option<Uuid>, limit: i64) -> Result<Vec<TokenRow>, ServiceError> {
    Ok(token::list(&ctx.db, person, after, limit).await?)
}

/// Revokes a token: its person may, an administrator may, and the command line. Revoking twice is no fault.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none that `by` may revoke.
pub async fn revoke(ctx: &Ctx, by: &Actor, is_administrator: bool, channel: Channel, id: TokenId) -> Result<(), ServiceError> {
    let row = token::by_id(&ctx.db, id).await?.ok_or(ServiceError::Missing)?;
    let may = match by.person() {
        None => true,
        Some(person) => is_administrator || person.0 == row.person_id,
    };
    if !may {
        return Err(ServiceError::Missing);
    }
    let mut tx = ctx.db.begin().await?;
    if token::revoke(&mut tx, id, ctx.clock.now()).await? {
        event::append(&mut tx, &[about(by, channel, PersonId(row.person_id), Fact::TokenRevoked { name: row.name })]).await?;
    }
    commit(tx).await?;
    Ok(())
}

fn about(by: &Actor, channel: Channel, person: PersonId, fact: Fact) -> Event {
    Event { actor: by.clone(), channel, subject: Subject { person: Some(person), ..Subject::default() }, fact }
}

/// Everything that is wrong with a new token, or its scopes in order.
fn check(name: &str, scopes: &[String], expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<Vec<Scope>, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, sentence: String| faults.push(FieldFault { field: field.into(), sentence });
    let length = name.chars().count();
    if length == 0 || length > 100 || name.chars().any(char::is_control) {
        fault("name", "Say what the token is for, in 1 to 100 characters on one line.".into());
    }
    let known: String = Scope::ALL.iter().map(|(_, word, _)| *word).collect::<Vec<_>>().join(", ");
    let mut read = Vec::new();
    match scopes.iter().find(|word| Scope::parse(word).is_none()) {
        Some(word) => fault("scopes", format!("{:?} is not a scope; these are: {known}.", word.chars().take(40).collect::<String>())),
        None if scopes.is_empty() => fault("scopes", format!("Choose at least one scope of: {known}.")),
        None => read = scopes.iter().filter_map(|word| Scope::parse(word)).collect(),
    }
    read.sort_unstable();
    read.dedup();
    if expires_at <= now || expires_at > now + Duration::days(LONGEST_DAYS) {
        fault("expires_at", format!("A token expires between now and {LONGEST_DAYS} days from now."));
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

/// The text of a token with these random bits.
fn compose(bits: &[u8; 32]) -> String {
    let body = format!("{PREFIX}{}", hex(bits));
    let sum = checksum(&body);
    body + &sum
}

fn checksum(body: &str) -> String {
    hex(&Sha256::digest(body.as_bytes())[..4])
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether `text` has the form and the checksum of a token; says nothing of whether it is good.
pub fn is_token(text: &str) -> bool {
    let shape = text.len() == PREFIX.len() + 72
        && text.starts_with(PREFIX)
        && text.bytes().skip(PREFIX.len()).all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    shape && text.split_at_checked(text.len() - 8).is_some_and(|(body, sum)| checksum(body) == sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_known_by_its_prefix_and_checksum() {
        let text = compose(&[7; 32]);
        assert_eq!(text.len(), 76);
        assert!(text.starts_with("cst_0707") && is_token(&text));
        for other in ["", "cst_", "Bearer", &text[..75], &text.to_uppercase(), &format!("{text}0"), &text.replace("cst_", "cst-"), &"é".repeat(38)] {
            assert!(!is_token(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn one_mistyped_character_is_always_noticed(bits: [u8; 32], at in 4_usize..76, other in "[0-9a-f]") {
            let text = compose(&bits);
            let mut typed = text.clone();
            typed.replace_range(at..=at, &other);
            prop_assert_eq!(is_token(&typed), typed == text);
        }

        #[test]
        fn any_text_at_all_can_be_checked(text: String) {
            is_token(&text);
        }
    }

    #[test]
    fn every_fault_of_a_new_token_is_named() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let faults = check("", &["admin".into()], now + Duration::days(400), now).err().unwrap_or_default();
        assert_eq!(faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["name", "scopes", "expires_at"]);
        assert!(check("a\0b", &["events:read".into()], now + Duration::days(1), now).is_err());
        assert!(check("a", &[], now + Duration::days(1), now).is_err());
        assert!(check("a", &["events:read".into()], now, now).is_err());
        let twice = ["events:read".to_string(), "catalog:read".into(), "events:read".into()];
        assert_eq!(check("a", &twice, now + Duration::days(366), now), Ok(vec![Scope::CatalogRead, Scope::EventsRead]));
    }
}
