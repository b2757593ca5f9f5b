//! What an auditor takes away.
pub mod canonical;
