//! Makes roles of groups that are there already.
pub mod choose;
pub mod list;
pub mod rules;
