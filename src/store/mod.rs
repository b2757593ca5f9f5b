//! All SQL, one file per noun.
pub mod catalog;
pub mod db;
pub mod drift;
pub mod error;
pub mod event;
pub mod export;
pub mod grant;
pub mod local;
pub mod local_binaries;
pub mod local_error;
pub mod local_folder;
pub mod local_postmaster;
pub mod person;
pub mod policy;
pub mod request;
pub mod target;
pub mod timetable;
