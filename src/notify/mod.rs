//! Tells others, outside of Countersign.
pub mod folder;
pub mod post;
