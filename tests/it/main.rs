//! Everything that needs a server, a database or a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod idp;
mod local;
mod oidc;
mod scim;
mod scim_real;
mod scripted;
