//! What every part of the demo directory shares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Duration, Utc};

use super::key::Key;
use super::register::{PersonAt, Register};
use super::shelf::{Secret, Shelf};
use crate::clock::Clock;

/// How long a sign-in lasts at the provider.
const SESSION: Duration = Duration::hours(12);
/// How long an access token works, and an ID token is valid.
pub const TOKEN: Duration = Duration::minutes(10);
/// How long a code may be exchanged (OAuth 2.0, RFC 6749 §4.1.2: at most ten minutes).
pub const CODE: Duration = Duration::seconds(60);
/// Most sessions, codes and tokens kept at once, each.
const MOST: usize = 100_000;

/// The one relying party that is registered.
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// Where it may be answered, compared exactly.
    pub redirect_uris: Vec<String>,
    /// Where it may send people after signing out, compared exactly.
    pub post_logout_redirect_uris: Vec<String>,
    /// `form-action` sources: where a form may lead to by a redirect.
    pub origins: String,
}

/// Somebody who chose who they are.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub person: PersonAt,
    /// When they chose.
    pub since: DateTime<Utc>,
    /// The `sid` claim; not the name of the session in the cookie.
    pub id: String,
}

/// What a code stands for.
#[derive(Clone, Debug)]
pub struct Code {
    /// Where the code was sent.
    pub redirect_uri: String,
    /// PKCE's challenge (RFC 7636 §4.2), S256.
    pub challenge: String,
    /// What the relying party wants to find again in the ID token.
    pub nonce: Option<String>,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// Who signed in, and when.
    pub session: Session,
    /// When the code was made.
    pub made: DateTime<Utc>,
    /// Set by the first exchange: the access token that was given, if one was.
    pub spent: Option<Option<String>>,
}

/// What an access token stands for.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who.
    pub person: PersonAt,
    /// What was asked for.
    pub scopes: Vec<String>,
}

/// Sessions, codes and tokens; a restart forgets them.
pub struct Memory {
    /// By the cookie's value.
    pub sessions: Shelf<Session>,
    /// By themselves; kept for as long as a token, so that a replay can take the token back.
    pub codes: Shelf<Code>,
    /// By themselves.
    pub tokens: Shelf<Access>,
}

/// The directory, the provider, and what both go by.
pub struct Site {
    /// `http://127.0.0.1:PORT`
    pub issuer: String,
    /// `http://127.0.0.1:PORT/scim/v2`
    pub scim_base: String,
    /// People and groups.
    pub register: Arc<Register>,
    /// What time it is.
    pub clock: Clock,
    /// Who may use SCIM.
    pub scim_token: Secret,
    /// Who may use OpenID Connect.
    pub client: Client,
    /// What ID tokens are signed with.
    pub key: Key,
    memory: Mutex<Memory>,
}

impl Site {
    /// A site that remembers nothing yet.
    pub fn new(issuer: String, register: Arc<Register>, clock: Clock, scim_token: Secret, client: Client, key: Key) -> Self {
        let memory = Memory { sessions: Shelf::new(SESSION, MOST), codes: Shelf::new(TOKEN, MOST), tokens: Shelf::new(TOKEN, MOST) };
        Self { scim_base: format!("{issuer}/scim/v2"), issuer, register, clock, scim_token, client, key, memory: Mutex::new(memory) }
    }

    /// Sessions, codes and tokens, for a moment.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the person may sign in.
    pub fn is_active(&self, person: PersonAt) -> bool {
        self.register.read().people[person].person.active
    }

    /// The session that a cookie names, unless it is over or its person has been disabled.
    pub fn session(&self, cookie: Option<&str>) -> Option<Session> {
        let session = self.memory().sessions.get(cookie?, self.clock.now()).cloned()?;
        self.is_active(session.person).then_some(session)
    }
}
