//! Changing the rules: proposed, weighed, decided, carried out.
pub mod carry_out;
pub mod decide;
pub mod review;
pub mod submit;
pub mod weigh;
