//! The rules, pure.
pub mod act;
pub mod approval;
pub mod catalog;
pub mod condition;
pub mod deadline;
pub mod decide;
pub mod delegation;
pub mod drift;
pub mod eligibility;
pub mod event;
pub mod grant;
pub mod id;
pub mod measure;
#[cfg(test)]
mod model;
pub mod person;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod request;
#[cfg(test)]
pub mod samples;
pub mod schedule;
pub mod scope;
pub mod secret;
pub mod separation;
pub mod slot;
pub mod span;
pub mod story;
