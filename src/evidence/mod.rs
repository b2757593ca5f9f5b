//! What an auditor takes away.
pub mod bundle;
pub mod canonical;
pub mod columns;
pub mod csv;
pub mod leaf;
pub mod line;
pub mod manifest;
pub mod merkle;
pub mod note;
pub mod rotation;
pub mod rows;
pub mod time;
pub mod verify;
pub mod zip;
