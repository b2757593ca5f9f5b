//! The timetable and its loop.
pub mod run;
pub mod step;
