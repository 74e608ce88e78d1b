//! Processes of this machine: whether one is still the one that was started, and what it takes.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

/// How often it is looked whether a process has ended, or is in the ring, until a deadline: most are no children of
/// this one, all write to files, and nobody tells.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When a process began, as the system says it, if it is there.
#[cfg(target_os = "linux")]
pub(super) fn beginning(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which is in brackets, may have any character; after it come the state and, as the 20th, the time.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let is_over = matches!(fields.next()?, "Z" | "X");
    fields.nth(18).filter(|_| !is_over).map(str::to_owned)
}

/// How much memory a process takes, in KiB, if the system says it.
#[cfg(target_os = "linux")]
pub(super) fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// When a process began, as the system says it, if it is there.
#[cfg(not(target_os = "linux"))]
pub(super) fn beginning(pid: u32) -> Option<String> {
    said_by_ps("lstart=", pid)
}

/// How much memory a process takes, in KiB, if the system says it.
#[cfg(not(target_os = "linux"))]
pub(super) fn memory(pid: u32) -> Option<u64> {
    said_by_ps("rss=", pid)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn said_by_ps(what: &str, pid: u32) -> Option<String> {
    let output = std::process::Command::new("ps").args(["-o", what, "-p", &pid.to_string()]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}

/// Ends a process at once.
pub(super) fn kill(pid: u32) -> anyhow::Result<()> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not the number of a process")?;
    kill_process(number, Signal::KILL).with_context(|| format!("cannot end the process {pid}"))
}

/// Waits until something has ended that `is_there` knows.
pub(super) async fn wait_until_gone(
    what: &str,
    time_max: Duration,
    is_there: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + time_max;
    while is_there() {
        if deadline <= Instant::now() {
            bail!("{what} has not ended within {} s", time_max.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
