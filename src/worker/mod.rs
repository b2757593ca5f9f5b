//! The timetable and its loop.
