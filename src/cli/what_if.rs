//! `countersign plan --what-if`: the past under other rules.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::domain::span::Seconds;
use countersign::evidence::csv::{self, Mode};
use countersign::service::again::Progress;
use countersign::service::ctx::Ctx;
use countersign::service::look::find;
use countersign::service::rule_book::RuleBook;
use countersign::service::what_if::{Turn, WhatIf, what_if};
use tokio::task::JoinHandle;

use super::failure::Failure;

/// How many roles are shown.
const ROLES: usize = 20;

/// A line on a terminal that says how far a run is; nothing elsewhere.
pub struct Line(Option<JoinHandle<()>>);

impl Line {
    /// Shows `progress` until [`Line::end`].
    pub fn begin(what: &'static str, progress: &Progress) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let progress = progress.clone();
        Self(Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let (done, all) = progress.seen();
                let percent = (done * 100).checked_div(all).unwrap_or(100);
                eprint!("\r{what} {done} of {all} ({percent} %)");
                let _ = std::io::stderr().flush();
            }
        })))
    }

    /// Takes the line away.
    pub fn end(self) {
        if let Some(task) = self.0 {
            task.abort();
            eprint!("\r{:60}\r", "");
        }
    }
}

/// Decides the requests of the last `days` again under `book` and prints what would come out otherwise; each of them into the CSV
/// file `each`, if there is one.
pub async fn run(ctx: &Ctx, book: RuleBook, days: Seconds, each: Option<&Path>) -> Result<(), Failure> {
    let to = ctx.clock.now();
    let progress = Progress::default();
    let line = Line::begin("Decided", &progress);
    let found = what_if(ctx, Arc::new(book), (to - chrono::Duration::seconds(days.0), to), &progress).await;
    line.end();
    let found = found?;
    print(&found, days);
    if let Some(path) = each {
        save(ctx, &found, path).await?;
        println!("\nEach request that comes out otherwise: {}", path.display());
    }
    Ok(())
}

fn print(found: &WhatIf, days: Seconds) {
    println!("What if: {} requests of the last {days}, decided again under these rules", found.counts.all());
    for (turn, _, words) in Turn::ALL {
        let count = found.counts.of(turn);
        if count > 0 || turn == Turn::Unchanged {
            println!("  {count:>8}  {words}");
        }
    }
    if found.unreadable > 0 {
        println!("  {:>8}  cannot be read; see countersign replay", found.unreadable);
    }
    let changed: Vec<_> = found.roles.iter().filter(|role| role.changed() > 0).collect();
    for role in changed.iter().take(ROLES) {
        let counts: Vec<String> =
            Turn::ALL.iter().filter(|(turn, ..)| role.counts.of(*turn) > 0).map(|(turn, _, words)| format!("{} {words}", role.counts.of(*turn))).collect();
        let key = if role.key.is_empty() { format!("role {} (not offered)", role.role) } else { role.key.clone() };
        println!("  {key}: {}", counts.join(", "));
    }
    if changed.len() > ROLES {
        println!("  and {} more roles", changed.len() - ROLES);
    }
}

async fn save(ctx: &Ctx, found: &WhatIf, path: &Path) -> Result<(), Failure> {
    let keys: HashMap<_, _> = found.roles.iter().map(|role| (role.role, role.key.as_str())).collect();
    let mut out = Vec::new();
    let header = ["request_id", "beneficiary_id", "beneficiary_name", "role", "change", "then", "now"];
    csv::record(header.map(Some), Mode::Raw, &mut out);
    for part in found.moved.chunks(1_000) {
        let ids: Vec<_> = part.iter().map(|moved| moved.beneficiary).collect();
        let names = find::names(ctx, &ids).await?;
        for moved in part {
            let (request, beneficiary) = (moved.request.to_string(), moved.beneficiary.to_string());
            let name = names.get(&moved.beneficiary).map(String::as_str);
            let role = keys.get(&moved.role).copied();
            let cells = [Some(request.as_str()), Some(&beneficiary), name, role, Some(moved.turn.word()), Some(&moved.then), Some(&moved.now)];
            csv::record(cells, Mode::Raw, &mut out);
        }
    }
    std::fs::write(path, out).map_err(|error| Failure(format!("{} cannot be written: {error}", path.display())))
}
