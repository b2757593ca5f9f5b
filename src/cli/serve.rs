//! `countersign serve`.
use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;

pub async fn run(_config: Option<&Path>, _demo: bool) -> Result<ExitCode, Failure> {
    Err(Failure("not yet".into()))
}
