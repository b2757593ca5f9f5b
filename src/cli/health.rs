//! `countersign healthcheck`: is the server on this machine ready?

use std::process::ExitCode;
use std::time::Duration;

use countersign::config::Purpose;

use super::failure::Failure;
use super::wire::{self, Chosen};

/// Asks `/readyz` at the configured address; succeeds exactly if the answer is 200 within 5 seconds.
pub async fn run(chosen: &Chosen) -> Result<ExitCode, Failure> {
    let settings = wire::settings(chosen.config.as_deref(), if chosen.demo { Purpose::Demo } else { Purpose::Tool })?;
    let mut address = settings.server.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
    let answer = client.get(format!("http://{address}/readyz")).send().await?;
    let ready = answer.status().is_success();
    if !ready {
        eprintln!("not ready: {}", answer.text().await?);
    }
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
