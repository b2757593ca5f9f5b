//! Processor time of processes, from `/proc` (Linux).

use std::time::Duration;

/// Clock ticks per second in `/proc/PID/stat`: fixed to 100 for user space on Linux.
const TICKS: u64 = 100;

/// Parent and processor time (user and system, of the process itself) of a process; none when it is gone.
fn stat(pid: u32) -> Option<(u32, Duration)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some((fields.get(1)?.parse().ok()?, Duration::from_millis(ticks * 1000 / TICKS)))
}

/// The process that started `pid`.
pub fn parent(pid: u32) -> Option<u32> {
    stat(pid).map(|(parent, _)| parent)
}

/// Processor time of `pid` so far.
pub fn of(pid: u32) -> Duration {
    stat(pid).map(|(_, used)| used).unwrap_or_default()
}

/// Processor time so far of everything that `pid` started and that still runs.
pub fn of_children(pid: u32) -> Duration {
    let Ok(all) = std::fs::read_dir("/proc") else { return Duration::ZERO };
    all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(stat).filter(|(parent, _)| *parent == pid).map(|(_, used)| used).sum()
}

/// `VmRSS` and `VmHWM` of `pid` in MB: resident now, and at most so far.
pub fn memory(pid: u32) -> Option<(f64, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |name: &str| -> Option<f64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(rest.trim().trim_end_matches(" kB").trim().parse::<f64>().ok()? / 1024.0)
    };
    Some((line("VmRSS:")?, line("VmHWM:")?))
}
