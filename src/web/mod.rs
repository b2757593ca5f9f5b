//! Pages and API.
pub mod oidc;
