//! Everything pages read; changes nothing.
pub mod access;
pub mod ask;
pub mod catalog;
pub mod directory;
pub mod find;
pub mod home;
pub mod log;
pub mod overview;
pub mod policy;
pub mod provisioning;
pub mod queue;
pub mod request;
pub mod role;
pub mod session;
pub mod shared;
pub mod token;
pub mod trace;
