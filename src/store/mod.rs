//! All SQL, one file per noun.
pub mod catalog;
pub mod db;
pub mod error;
pub mod event;
pub mod grant;
pub mod person;
pub mod policy;
pub mod request;
pub mod target;
pub mod timetable;
// pub mod grant;
// pub mod person;
// pub mod policy;
// pub mod request;
// pub mod target;
// pub mod timetable;
pub mod export;
