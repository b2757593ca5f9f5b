//! Tells others, outside of Countersign.
pub mod folder;
pub mod mail;
pub mod post;
pub mod share;
pub mod spool;
pub mod upload;
