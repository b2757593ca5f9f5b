//! Pages and API.
pub mod api;
pub mod assets;
pub mod client_address;
pub mod cookies;
pub mod cross_site;
pub mod door;
pub mod error;
pub mod guard;
pub mod headers;
pub mod layers;
pub mod oidc;
pub mod pages;
pub mod proof;
pub mod rate_limit;
pub mod state;
pub mod urls;
pub mod view;
