//! One file per command, and what they share.
pub mod catalog;
pub mod connect;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod failure;
pub mod health;
pub mod key;
pub mod log;
pub mod logs;
pub mod replay;
pub mod rule_test;
pub mod serve;
pub mod token;
pub mod verify;
pub mod what_if;
pub mod wire;
