//! One verb per file: load, decide, commit.
pub mod look;
