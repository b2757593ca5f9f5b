//! Countersign: ask for access, approve, provision, end and prove it.
pub mod clock;
pub mod config;
pub mod demo;
pub mod directory;
pub mod domain;
pub mod evidence;
pub mod service;
pub mod store;
pub mod web;
pub mod worker;
