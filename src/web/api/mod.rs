//! JSON under /api/v1.
pub mod body;
pub mod caller;
pub mod catalog;
pub mod document;
pub mod events;
pub mod exports;
pub mod fields;
pub mod grants;
pub mod once;
pub mod page;
pub mod preview;
pub mod problem;
pub mod reference;
pub mod requests;
pub mod routes;
pub mod tokens;
