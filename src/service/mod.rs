//! One verb per file: load, decide, commit.
pub mod answer;
pub mod ask;
pub mod commit;
pub mod ctx;
pub mod deliver;
pub mod end;
pub mod error;
pub mod fetch;
pub mod heartbeat;
pub mod lapse;
pub mod preview;
pub mod resolve;
pub mod sweep;
pub mod sync;
pub mod view_request;
pub mod withdraw;
pub mod look;
