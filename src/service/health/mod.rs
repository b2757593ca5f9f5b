//! Dead ends: steps that nobody, or hardly anybody, can take.
pub mod ask;
pub mod check;
pub mod compare;
pub mod condition;
pub mod crowd;
pub mod fill;
pub mod keep;
