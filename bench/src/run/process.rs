//! What Linux tells about a process under `/proc` (`proc(5)`): its CPU time, its memory, what it wrote.

use std::fs;
use std::io;
use std::time::Duration;

/// Counters of a process, and what it holds, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// CPU time since its start, to a hundredth of a second.
    pub(crate) cpu: Duration,
    /// Bytes it caused to be written to disks, page cache included only once that is written back on its behalf.
    pub(crate) written_bytes: u64,
    /// Resident memory that no file stands behind.
    pub(crate) anonymous_bytes: u64,
}

/// Reads the counters of a process of our own user.
pub(crate) fn read(process_id: u32) -> io::Result<Reading> {
    let file = |name: &str| fs::read_to_string(format!("/proc/{process_id}/{name}"));
    let cpu = cpu_of_stat(&file("stat")?).ok_or_else(|| unexpected("stat"))?;
    let written_bytes = field(&file("io")?, "write_bytes:").ok_or_else(|| unexpected("io"))?;
    let anonymous = field(&file("status")?, "RssAnon:").ok_or_else(|| unexpected("status"))?;
    Ok(Reading { cpu, written_bytes, anonymous_bytes: anonymous * 1024 })
}

fn unexpected(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc/…/{name} does not hold what it should"))
}

/// Fields 14 and 15, in hundredths of a second. The program's name may hold blanks and brackets; field 3 begins
/// behind its last one.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "77 (a ) (b) S 1 77 77 0 -1 4194304 120 0 0 0 250 50 7 8 20 0 9 0 100 1 2";
        assert_eq!(cpu_of_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of_stat("77 (a"), None);
    }

    #[test]
    fn named_fields_are_found() {
        let status = "Name:\tx\nVmRSS:\t  900 kB\nRssAnon:\t     500 kB\n";
        assert_eq!(field(status, "RssAnon:"), Some(500));
        assert_eq!(field(status, "RssShmem:"), None);
    }

    #[test]
    fn our_own_process_can_be_read_and_its_memory_is_what_it_took() {
        let before = read(std::process::id()).unwrap();
        let taken = vec![1_u8; 64 << 20];
        let after = read(std::process::id()).unwrap();
        let grown = after.anonymous_bytes.saturating_sub(before.anonymous_bytes);
        assert!(grown >= taken.len() as u64 / 2, "{grown}");
        assert!(after.cpu >= before.cpu);
    }
}
