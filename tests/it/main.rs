//! Everything that needs a server, a database or a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod admin_doctor;
mod api;
mod apply;
mod day;
mod defects;
mod demo;
mod demo_scim;
mod demo_sign_in;
mod door;
mod export;
mod faulty;
mod house;
mod idp;
mod life;
mod local;
mod oidc;
mod refuses;
mod scim;
mod scim_real;
mod scripted;
mod sign_in_real;
mod source;
mod statements;
mod world;
