//! Evidence by the clock: made, due, sent.
pub mod due;
pub mod make;
pub mod places;
pub mod send;
