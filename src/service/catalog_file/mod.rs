//! The catalog file: read, placed, resolved, put in words.
pub mod compare;
pub mod condition;
pub mod draft;
pub mod fillable;
pub mod model;
pub mod places;
pub mod read;
pub mod read_policy;
pub mod read_procedure;
pub mod resolve;
pub mod since;
pub mod words;
pub mod write;
