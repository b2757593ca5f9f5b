//! What an auditor takes away.
pub mod canonical;
pub mod columns;
pub mod csv;
