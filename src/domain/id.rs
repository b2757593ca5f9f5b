//! Ids as types: a request's is not a grant's.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A person, as Countersign knows them.
    PersonId,
    /// An application of the catalog.
    ApplicationId,
    /// A role: one level of access in one application.
    RoleId,
    /// One immutable version of an access policy.
    PolicyVersionId,
    /// One person's ask for one role.
    RequestId,
    /// A lease: one person holds one role over a span of time.
    GrantId,
    /// One membership of one person in one group of a directory.
    TargetId,
    /// A signed-in browser.
    SessionId,
    /// A bearer token of the API.
    TokenId,
}
