//! Pages and API.
pub mod api;
pub mod assets;
pub mod oidc;
pub mod pages;
pub mod proof;
pub mod view;
