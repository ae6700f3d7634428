//! What the server has acknowledged, kept in a file, and read back after a crash.
//!
//! The file holds a line `external-id version` per acknowledged write, written as its answer is read and by one
//! write each, so that it tells no more and hardly less than the server has promised. A last line without its end
//! was cut off when the load tester itself was killed, and does not count.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::LoadError;
use super::answer::Answer;
use super::generator::Workload;
use super::judge::number_after;
use super::tally::{Outcome, Outcomes};
use super::target::{RequestTemplate, Target};

/// Most records that are read back: they are held in memory.
const RECORDS_MAX: usize = 20_000_000;
/// Problems that are named; the rest is counted.
const NAMED_MAX: usize = 20;
/// Bytes of an appointment that are looked at for its version.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// The file that acknowledged writes are appended to.
#[derive(Debug)]
pub(super) struct Acknowledged(Mutex<File>);

impl Acknowledged {
    /// Opens the file, keeping what it already holds.
    pub(super) fn append_to(path: &Path) -> Result<Self, LoadError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(|file| Acknowledged(Mutex::new(file))).map_err(|error| LoadError::file(path, &error))
    }

    /// Appends a line. False if that failed.
    pub(super) fn add(&self, external_id: &[u8], version: u64) -> bool {
        let mut line = Vec::with_capacity(external_id.len() + 24);
        line.extend_from_slice(external_id);
        line.push(b' ');
        super::records::push_number(&mut line, version);
        line.push(b'\n');
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).is_ok()
    }
}

/// Reads the file back: the newest version acknowledged of each record, sorted by external id.
pub(super) fn read(path: &Path) -> Result<Vec<(String, u64)>, LoadError> {
    let file = File::open(path).map_err(|error| LoadError::file(path, &error))?;
    let mut reader = BufReader::new(file);
    let mut newest: HashMap<String, u64> = HashMap::new();
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        reader.read_line(&mut line).map_err(|error| LoadError::file(path, &error))?;
        let Some(whole) = line.strip_suffix('\n') else { break };
        let parsed = whole.split_once(' ').and_then(|(id, version)| Some((id, version.parse::<u64>().ok()?)));
        let Some((id, version)) = parsed else {
            return Err(LoadError::Invalid(format!("{}: line {number} is no `id version`", path.display())));
        };
        let known = newest.entry(id.to_owned()).or_default();
        *known = version.max(*known);
        if newest.len() > RECORDS_MAX {
            return Err(LoadError::Invalid(format!("{}: more than {RECORDS_MAX} records", path.display())));
        }
    }
    let mut records: Vec<_> = newest.into_iter().collect();
    records.sort_unstable();
    Ok(records)
}

/// Reads every acknowledged record back.
#[derive(Debug)]
pub(super) struct Verification {
    request: RequestTemplate,
    records: Vec<(String, u64)>,
    problems: AtomicU64,
    named: Mutex<Vec<String>>,
}

impl Verification {
    pub(super) fn new(target: &Target, records: Vec<(String, u64)>) -> Result<Self, LoadError> {
        Ok(Verification {
            request: target.tenant_request("GET", "appointments/")?,
            records,
            problems: AtomicU64::new(0),
            named: Mutex::default(),
        })
    }

    /// Records to be read back.
    pub(super) fn records(&self) -> u64 {
        self.records.len() as u64
    }

    /// What was found missing or older than acknowledged: a line each, and one more for those beyond the first few.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut lines = self.named.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unnamed = self.problems.load(Ordering::Relaxed) - lines.len() as u64;
        if unnamed > 0 {
            lines.push(format!("and {unnamed} more"));
        }
        lines
    }

    fn problem(&self, text: String) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < NAMED_MAX {
            named.push(text);
        }
    }
}

impl Workload for Verification {
    fn request(&self, number: u64, out: &mut Vec<u8>, _scratch: &mut Vec<u8>) {
        self.request.write(out, self.records[number as usize].0.as_bytes(), b"");
    }

    fn judge(&self, number: u64, answer: Answer<'_>) -> Outcomes {
        let (id, acknowledged) = &self.records[number as usize];
        let mut outcomes = Outcomes::default();
        let outcome = match (answer.status, number_after(answer.body, b"\"version\":")) {
            (200, Some(version)) if version >= *acknowledged => Outcome::Found,
            (200, Some(version)) => {
                self.problem(format!("{id}: version {version} is there, {acknowledged} was acknowledged"));
                Outcome::IgnoredStale
            }
            (200, None) => {
                self.problem(format!("{id}: the answer tells no version"));
                Outcome::Other
            }
            (status, _) => {
                self.problem(format!("{id}: status {status}, version {acknowledged} was acknowledged"));
                Outcome::of_error_status(status)
            }
        };
        outcomes.add(outcome, 1);
        outcomes
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("maitred-load-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn verification(records: &[(&str, u64)]) -> Verification {
        let target = Target { url: "http://h".to_owned(), tenant: "t".to_owned(), key: None };
        let records = records.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect();
        Verification::new(&target, records).unwrap()
    }

    #[test]
    fn what_was_appended_is_read_back_with_its_newest_version() {
        let folder = Folder::new("append");
        let path = folder.0.join("acknowledged");
        let file = Acknowledged::append_to(&path).unwrap();
        assert!(file.add(b"b", 1) && file.add(b"a", 3) && file.add(b"a", 2));
        drop(file);
        assert!(Acknowledged::append_to(&path).unwrap().add(b"b", 7));
        assert_eq!(read(&path).unwrap(), [("a".to_owned(), 3), ("b".to_owned(), 7)]);
    }

    #[test]
    fn a_cut_off_last_line_does_not_count_and_any_other_is_refused() {
        let folder = Folder::new("cut");
        let path = folder.0.join("acknowledged");
        std::fs::write(&path, "a 12\nb 1").unwrap();
        assert_eq!(read(&path).unwrap(), [("a".to_owned(), 12)]);
        std::fs::write(&path, "a\nb 1\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }

    #[test]
    fn missing_older_and_unreadable_records_are_problems() {
        let verification = verification(&[("a", 2), ("b", 2), ("c", 2), ("d", 2), ("e", 2)]);
        let answers: [(u16, &[u8]); 5] = [
            (200, br#"{"external_id":"a","version":2}"#),
            (200, br#"{"external_id":"b","version":3}"#),
            (200, br#"{"external_id":"c","version":1}"#),
            (404, b"{}"),
            (200, b"{}"),
        ];
        for (number, (status, body)) in answers.into_iter().enumerate() {
            verification.judge(number as u64, Answer { status, body });
        }
        assert_eq!(
            verification.problems(),
            [
                "c: version 1 is there, 2 was acknowledged",
                "d: status 404, version 2 was acknowledged",
                "e: the answer tells no version"
            ]
        );
    }

    #[test]
    fn problems_beyond_the_first_are_counted() {
        let verification = verification(&[("a", 1)]);
        for _ in 0..NAMED_MAX + 5 {
            verification.judge(0, Answer { status: 404, body: b"" });
        }
        let problems = verification.problems();
        assert_eq!((problems.len(), problems[NAMED_MAX].as_str()), (NAMED_MAX + 1, "and 5 more"));
    }
}
