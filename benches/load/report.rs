//! The figures as a table, with the bars beside them.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::Outcome;
use crate::database;
use crate::floor::{CONCURRENCY, Floor};
use crate::measure::Figures;

/// One load at one concurrency.
#[derive(Debug)]
pub struct Row {
    /// What was done.
    pub name: &'static str,
    /// How it went.
    pub figures: Figures,
    /// Processor time of the server (with the demo directory in it) for each, in ms.
    pub ours: f64,
    /// Processor time of Postgres for each, in ms.
    pub theirs: f64,
    /// Resident memory of the server right after, in MB.
    pub memory: f64,
}

/// One file taken away.
#[derive(Debug)]
pub struct Export {
    /// Its name.
    pub file: &'static str,
    /// Records without the header.
    pub rows: usize,
    /// Bytes.
    pub bytes: usize,
    /// How long it took.
    pub took: Duration,
    /// Resident memory of the server right after, in MB.
    pub memory: f64,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Report {
    seconds: f64,
    machine: String,
    postgres: String,
    company: String,
    /// From start to ready.
    pub starts: Vec<Duration>,
    /// Resident memory before any load, in MB.
    pub memory_at_rest: f64,
    /// Most resident memory at any time, in MB.
    pub memory_most: f64,
    rows: Vec<Row>,
    /// Files taken away.
    pub exports: Vec<Export>,
    /// What Postgres alone does.
    pub floors: Vec<Floor>,
    counts: Vec<String>,
    /// Acts that went well before anything was measured.
    warm: Vec<(&'static str, usize)>,
}

/// Acts per second that the bar asks for, at 16 at once.
fn bar(name: &str) -> f64 {
    match name {
        "submit" | "submit, approved at once" => 1_000.0,
        "approve" => 500.0,
        _ => 2_000.0,
    }
}

fn said(good: bool) -> &'static str {
    if good { "reached" } else { "**missed**" }
}

impl Report {
    /// An empty report about this machine.
    pub async fn new(seconds: f64) -> Outcome<Self> {
        let line = |file: &str, key: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            text.lines()
                .find_map(|line| line.strip_prefix(key))
                .map(|rest| rest.trim_start_matches([' ', '\t', ':', '=']).trim_matches('"').trim().to_owned())
                .unwrap_or_default()
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let gb = line("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0 / 1024.0;
        let machine = format!(
            "{cores} cores of {}, {gb:.0} GB, {}, Linux {}",
            line("/proc/cpuinfo", "model name"),
            line("/etc/os-release", "PRETTY_NAME"),
            std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim()
        );
        let mut connection = database::connect(database::MEASURED).await?;
        let settings: Vec<(String, String)> = sqlx::query_as(
            "select name, current_setting(name) from unnest(array['server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size']) name",
        )
        .fetch_all(&mut connection)
        .await?;
        let postgres = settings.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
        let counts: Vec<(String, i64)> = sqlx::query_as(
            "select 'people', count(*) from person union all select 'roles', count(*) from role union all select 'requests', count(*) from request
             union all select 'leases', count(*) from access_grant union all select 'events', count(*) from audit_event",
        )
        .fetch_all(&mut connection)
        .await?;
        let company = counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
        Ok(Self {
            seconds,
            machine,
            postgres,
            company,
            starts: vec![],
            memory_at_rest: f64::NAN,
            memory_most: f64::NAN,
            rows: vec![],
            exports: vec![],
            floors: vec![],
            counts: vec![],
            warm: vec![],
        })
    }

    /// Notes a row and shows it.
    pub fn add(&mut self, row: Row) {
        let f = &row.figures;
        println!(
            "{:<22} c={:<3} {:>7.0}/s  p50 {:>7.2} ms  p99 {:>7.2} ms  cpu {:.3} + {:.3} ms  {:>3.0} MB  good {} bad {} {}",
            row.name,
            f.concurrency,
            f.rate(),
            f.percentile(50.0),
            f.percentile(99.0),
            row.ours,
            row.theirs,
            row.memory,
            f.good,
            f.bad,
            f.first_fault.as_deref().map(|fault| fault.chars().take(300).collect::<String>()).unwrap_or_default()
        );
        self.rows.push(row);
    }

    /// Notes acts that count but are not measured.
    pub fn warmed_up(&mut self, name: &'static str, good: usize) {
        self.warm.push((name, good));
    }

    /// How many acts of this name went well in all.
    pub fn good(&self, name: &str) -> usize {
        let measured: usize = self.rows.iter().filter(|row| row.name == name).map(|row| row.figures.good).sum();
        let before: usize = self.warm.iter().filter(|(warm, _)| *warm == name).map(|(_, good)| good).sum();
        measured + before
    }

    /// Notes how long the last of so many memberships took to reach the directory, after the last answer.
    pub fn delivered(&mut self, memberships: usize, after: Duration) {
        let line = format!("{memberships} memberships: the last in the directory {:.1} s after the last answer", after.as_secs_f64());
        println!("{line}");
        self.counts.push(line);
    }

    /// Notes whether two counts that must agree do.
    pub fn held_against(&mut self, one: &str, ours: usize, other: &str, theirs: i64) {
        let line = format!("{one}: {ours}; {other}: {theirs} ({})", if ours as i64 == theirs { "agree" } else { "**disagree**" });
        println!("{line}");
        self.counts.push(line);
    }

    fn floor(&self, name: &str) -> Option<f64> {
        self.floors.iter().find(|floor| floor.name == name).map(|floor| floor.rate)
    }

    /// Writes the report to `path` and to standard output.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        let text = self.text()?;
        std::fs::write(path, &text)?;
        println!("\n{text}");
        Ok(())
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        writeln!(out, "# What Countersign does in a second\n")?;
        writeln!(
            out,
            "`script/bench`: {} s for each figure. Machine: {}. Postgres on the same machine over a Unix socket: {}. Company: {}.",
            self.seconds, self.machine, self.postgres, self.company
        )?;
        writeln!(
            out,
            "The load generator (`benches/load`, HTTP/1.1 keep-alive, forms and cookies as a browser sends them) shares the cores. The identity provider is the demo directory in the server's process; every decision looks people up there over SCIM.\n"
        )?;
        writeln!(
            out,
            "| what | at once | per second | p50 ms | p99 ms | not answered well | cpu server + Postgres, ms each | memory MB | floor per second | of the floor |"
        )?;
        writeln!(out, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.rows {
            let f = &row.figures;
            let floor = self.floor(row.name).filter(|_| f.concurrency == CONCURRENCY);
            writeln!(
                out,
                "| {} | {} | {:.0} | {:.2} | {:.2} | {} | {:.2} + {:.2} | {:.0} | {} | {} |",
                row.name,
                f.concurrency,
                f.rate(),
                f.percentile(50.0),
                f.percentile(99.0),
                f.bad,
                row.ours,
                row.theirs,
                row.memory,
                floor.map_or_else(String::new, |floor| format!("{floor:.0}")),
                floor.map_or_else(String::new, |floor| format!("{:.2}", f.rate() / floor)),
            )?;
        }
        writeln!(out, "\n| export | rows | MB | rows per second | memory MB | `COPY` of the same statement | of it |\n|---|---:|---:|---:|---:|---:|---:|")?;
        for export in &self.exports {
            let rate = export.rows as f64 / export.took.as_secs_f64();
            let floor = self.floor(export.file);
            writeln!(
                out,
                "| {}.csv | {} | {:.0} | {rate:.0} | {:.0} | {} | {} |",
                export.file,
                export.rows,
                export.bytes as f64 / 1e6,
                export.memory,
                floor.map_or_else(String::new, |floor| format!("{floor:.0}")),
                floor.map_or_else(String::new, |floor| format!("{:.2}", rate / floor)),
            )?;
        }
        writeln!(out, "\n## Bars\n")?;
        self.bars(&mut out)?;
        for line in &self.counts {
            writeln!(out, "- {line}")?;
        }
        writeln!(out, "\n## Floors\n")?;
        for floor in &self.floors {
            writeln!(out, "- {}: {:.0}/s by `{}`", floor.name, floor.rate, floor.command)?;
        }
        Ok(out)
    }

    fn bars(&self, out: &mut String) -> std::fmt::Result {
        for row in self.rows.iter().filter(|row| row.figures.concurrency == CONCURRENCY) {
            let (rate, p99, bar) = (row.figures.rate(), row.figures.percentile(99.0), bar(row.name));
            let is_page = bar >= 2_000.0;
            let quick = if is_page { format!(", p99 {p99:.1} ms of at most 50 ({})", said(p99 < 50.0)) } else { String::new() };
            writeln!(out, "- {}: {rate:.0}/s of at least {bar:.0} ({}, {:+.0} %){quick}", row.name, said(rate >= bar), (rate / bar - 1.0) * 100.0)?;
        }
        let rate_of =
            |name: &str| self.rows.iter().find(|row| row.name == name && row.figures.concurrency == CONCURRENCY).map(|row| row.figures.percentile(50.0));
        if let (Some(newest), Some(deep)) = (rate_of("log page, newest"), rate_of("log page, deep")) {
            writeln!(out, "- log page: deep p50 {deep:.2} ms, newest {newest:.2} ms ({})", said(deep <= newest * 1.1))?;
        }
        for export in &self.exports {
            if let Some(floor) = self.floor(export.file) {
                let part = export.rows as f64 / export.took.as_secs_f64() / floor;
                writeln!(out, "- {}.csv: {:.2} of COPY's rate, of at least 0.5 ({})", export.file, part, said(part >= 0.5))?;
            }
        }
        writeln!(
            out,
            "- memory: {:.0} MB at rest, {:.0} MB at most, of less than 100 ({})",
            self.memory_at_rest,
            self.memory_most,
            said(self.memory_most < 100.0)
        )?;
        let mut starts = self.starts.clone();
        starts.sort();
        let (best, worst) = (starts.first().copied().unwrap_or_default(), starts.last().copied().unwrap_or_default());
        writeln!(
            out,
            "- start to ready with this database: {:.2} to {:.2} s in {} starts, of less than 1 ({})",
            best.as_secs_f64(),
            worst.as_secs_f64(),
            starts.len(),
            said(worst.as_secs_f64() < 1.0)
        )
    }
}
