//! What Linux tells under `/proc` (`proc(5)`) about a process, its CPU time and its memory, and about a disk.
//!
//! What a process is charged for (`write_bytes` in `/proc/PID/io`) is not what a disk writes: an append of 8 KiB into a
//! piece of cache of 1 MiB was charged as 1 MiB. So what the device has written is read, by whomever: nothing else
//! should write to it meanwhile.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The unit of `/proc/diskstats`, whatever the device's own is.
const SECTOR_BYTES: u64 = 512;

/// Counters of a process, and what it holds, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// CPU time since its start, to a hundredth of a second.
    pub(crate) cpu: Duration,
    /// Bytes that the device under its data has written. 0 where there is none, as under a tmpfs.
    pub(crate) written_bytes: u64,
    /// Resident memory that no file stands behind.
    pub(crate) anonymous_bytes: u64,
}

/// Reads the counters of a process of our own user, and of the device that holds `data`.
pub(crate) fn read(process_id: u32, data: &Path) -> io::Result<Reading> {
    let file = |name: &str| fs::read_to_string(format!("/proc/{process_id}/{name}"));
    let cpu = cpu_of_stat(&file("stat")?).ok_or_else(|| unexpected("stat"))?;
    let device = fs::metadata(data)?.dev();
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let written_bytes = written_by(&fs::read_to_string("/proc/diskstats")?, device).unwrap_or(0);
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

/// Field 10 of a device's line, in bytes.
fn written_by(diskstats: &str, (major, minor): (u32, u32)) -> Option<u64> {
    let of_device = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let is_it = fields.first()?.parse() == Ok(major) && fields.get(1)?.parse() == Ok(minor);
        if is_it { fields.get(9)?.parse::<u64>().ok() } else { None }
    };
    Some(diskstats.lines().find_map(of_device)? * SECTOR_BYTES)
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
    fn a_device_is_found_by_its_numbers() {
        let diskstats =
            "   7       0 loop0 1 0 2 0 3 0 4 0 0 0 0\n 254       0 vda 5 6 7 8 9 10 2048 12 0 13 14 0 0\n";
        assert_eq!(written_by(diskstats, (254, 0)), Some(2048 * 512));
        assert_eq!(written_by(diskstats, (7, 1)), None);
    }

    #[test]
    fn named_fields_are_found() {
        let status = "Name:\tx\nVmRSS:\t  900 kB\nRssAnon:\t     500 kB\n";
        assert_eq!(field(status, "RssAnon:"), Some(500));
        assert_eq!(field(status, "RssShmem:"), None);
    }

    #[test]
    fn our_own_process_can_be_read_and_its_memory_is_what_it_took() {
        let before = read(std::process::id(), Path::new("/")).unwrap();
        let taken = vec![1_u8; 64 << 20];
        let after = read(std::process::id(), Path::new("/")).unwrap();
        let grown = after.anonymous_bytes.saturating_sub(before.anonymous_bytes);
        assert!(grown >= taken.len() as u64 / 2, "{grown}");
        assert!(after.cpu >= before.cpu);
    }
}
