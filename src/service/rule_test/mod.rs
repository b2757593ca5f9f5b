//! Tests of the rules, as configuration.
pub mod read;
pub mod run;
