//! Reading records out of a stream of bytes.
//!
//! Invariants:
//! - What is pushed is kept only until its record is whole: at most [`RECORD_BYTES_MAX`] and the last piece.
//! - Every decision depends on bytes and their order, never on where a piece ends.
//! - A record that does not end within the bound, or before the input does, is broken: it is named, and reading goes
//!   on where the next one can begin, which may be within the bytes that were taken for its own.
//! - After [`PROBLEMS_MAX`] problems of form the input is taken for something else, and reading stops: looking for
//!   the next record costs up to the bound each time.
//!
//! Next: [`json`], [`csv`], [`sql`] and [`crate::avro`]; [`window`] for what they look through.

mod csv;
mod json;
mod lost;
mod sql;
mod window;

use std::collections::VecDeque;

pub(crate) use self::window::Window;
use crate::avro;
use crate::fields::Fields;
use crate::salon::{Kind, Record};

/// The longest record that is read: as long as what one command may keep.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// After so many problems reading stops.
pub const PROBLEMS_MAX: u64 = 10_000;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// An array of objects, an object with such arrays in it, or one object behind the other.
    Json,
    /// RFC 4180 with a header; separated by commas, semicolons or tabs.
    Csv,
    /// A dump: `CREATE TABLE` and `INSERT INTO … VALUES (…), (…);`.
    Sql,
    /// An Avro object container file, plain or deflated.
    Avro,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 4] = [Format::Json, Format::Csv, Format::Sql, Format::Avro];

    /// The name, which is the usual extension too.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Sql => "sql",
            Format::Avro => "avro",
        }
    }

    /// Reads a name or an extension; `ndjson` and `jsonl` are JSON too.
    pub fn from_name(name: &str) -> Option<Format> {
        let name = name.to_ascii_lowercase();
        match &*name {
            "ndjson" | "jsonl" => Some(Format::Json),
            _ => Format::ALL.into_iter().find(|format| format.as_str() == name),
        }
    }

    /// Reads a media type, parameters and all.
    pub fn from_media_type(media_type: &str) -> Option<Format> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match &*essence {
            "application/json" | "application/x-ndjson" | "application/jsonl" => Format::Json,
            "text/csv" | "text/tab-separated-values" => Format::Csv,
            "application/sql" | "application/x-sql" | "text/x-sql" => Format::Sql,
            "application/avro" | "avro/binary" | "application/vnd.apache.avro" => Format::Avro,
            _ => return None,
        })
    }

    /// What the beginning of the content looks like. Text that is neither JSON nor SQL is taken for CSV.
    pub fn of_content(beginning: &[u8]) -> Format {
        const STATEMENTS: [&[u8]; 9] =
            [b"--", b"/*", b"insert", b"create", b"begin", b"start", b"set", b"drop", b"pragma"];
        if beginning.starts_with(avro::MAGIC) {
            return Format::Avro;
        }
        let text = beginning.strip_prefix(window::BYTE_ORDER_MARK).unwrap_or(beginning).trim_ascii_start();
        let begins = |word: &&[u8]| {
            let same = text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
            same && !text.get(word.len()).is_some_and(|next| matches!(next, b',' | b';' | b'\t' | b'_'))
        };
        match text.first() {
            Some(b'{' | b'[') => Format::Json,
            _ if STATEMENTS.iter().any(begins) => Format::Sql,
            _ => Format::Csv,
        }
    }
}

/// Where something stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1; none where there are no lines.
    pub line: Option<u64>,
    /// How many bytes stand before it.
    pub byte: u64,
}

/// A record that could not be read, or something that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it begins.
    pub place: Place,
    /// A stable code: `record-malformed`, `record-too-long`, `record-cut-short`, `record-invalid`, `format-unknown`,
    /// `too-many-problems`.
    pub code: &'static str,
    /// A sentence for a person.
    pub detail: String,
}

impl Problem {
    pub(crate) fn new(place: Place, code: &'static str, detail: impl Into<String>) -> Self {
        Problem { place, code, detail: detail.into() }
    }

    pub(crate) fn malformed(place: Place, detail: impl Into<String>) -> Self {
        Problem::new(place, "record-malformed", detail)
    }

    pub(crate) fn too_long(place: Place) -> Self {
        let detail = format!("does not end within {RECORD_BYTES_MAX} bytes");
        Problem::new(place, "record-too-long", detail)
    }

    pub(crate) fn cut_short(place: Place) -> Self {
        Problem::new(place, "record-cut-short", "the input ends within it")
    }

    pub(crate) fn invalid(place: Place, detail: impl Into<String>) -> Self {
        Problem::new(place, "record-invalid", detail)
    }
}

/// What is read: a record with its place, or what was wrong there.
pub(crate) type Item = Result<(Place, Record), Problem>;

/// Where a format puts what it finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    items: VecDeque<Item>,
    /// Nothing further is read.
    stopped: bool,
}

impl Found {
    pub(crate) fn problem(&mut self, problem: Problem) {
        self.items.push_back(Err(problem));
    }

    /// A problem after which there is no going on.
    pub(crate) fn fatal(&mut self, problem: Problem) {
        self.problem(problem);
        self.stopped = true;
    }

    /// The record that these fields make, and the customer within it, who comes first.
    pub(crate) fn fields(&mut self, place: Place, fields: &Fields<'_>, kind: Option<Kind>) {
        if let Some(customer) = &fields.customer {
            self.record(place, customer.record(Some(Kind::Customer)));
        }
        self.record(place, fields.record(kind));
    }

    fn record(&mut self, place: Place, record: Result<Record, String>) {
        self.items
            .push_back(record.map(|record| (place, record)).map_err(|why| Problem::invalid(place, why)));
    }
}

/// Reads the records of one input: bytes are pushed, and what is whole is taken out.
///
/// ```
/// use maitred_connectors::{Format, Reader, salon::Record};
///
/// let mut reader = Reader::new(Format::Csv, None);
/// reader.push(b"id,name,created_at\nc1,Ann,2024-01-01");
/// reader.end();
/// let (place, record) = reader.next().expect("one is there").expect("it is whole");
/// assert!(place.line == Some(2) && matches!(record, Record::Customer(customer) if customer.name == "Ann"));
/// assert!(reader.next().is_none());
/// ```
#[derive(Debug)]
pub struct Reader {
    window: Window,
    source: Source,
    found: Found,
    problems: u64,
}

#[derive(Debug)]
enum Source {
    Json(json::Json),
    Csv(csv::Csv),
    Sql(sql::Sql),
    Avro(Box<avro::Container>),
}

impl Reader {
    /// A reader of records of `kind`, or of the kind that each record's fields tell.
    pub fn new(format: Format, kind: Option<Kind>) -> Self {
        let source = match format {
            Format::Json => Source::Json(json::Json::new(kind)),
            Format::Csv => Source::Csv(csv::Csv::new(kind)),
            Format::Sql => Source::Sql(sql::Sql::new(kind)),
            Format::Avro => Source::Avro(Box::new(avro::Container::new(kind))),
        };
        let window = Window::new(format != Format::Avro);
        Reader { window, source, found: Found::default(), problems: 0 }
    }

    /// Takes the next bytes. What was whole before should have been taken out: it is what bounds the memory.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.found.stopped {
            self.window.push(bytes);
        }
    }

    /// The input is over.
    pub fn end(&mut self) {
        self.window.end();
    }

    /// The next record with its place, or the next problem; `None` until there is more.
    #[expect(clippy::should_implement_trait, reason = "after `None` there can be more")]
    pub fn next(&mut self) -> Option<Result<(Place, Record), Problem>> {
        loop {
            if let Some(item) = self.found.items.pop_front() {
                return Some(self.counted(item));
            }
            if self.found.stopped || !self.advance() && self.found.items.is_empty() {
                return None;
            }
        }
    }

    /// Whether a problem was met after which nothing further is read.
    pub fn is_stopped(&self) -> bool {
        self.found.stopped
    }

    /// Goes on through the window. Returns false when more bytes are needed, or none will come.
    fn advance(&mut self) -> bool {
        let (window, found) = (&mut self.window, &mut self.found);
        match &mut self.source {
            Source::Json(json) => json.advance(window, found),
            Source::Csv(csv) => csv.advance(window, found),
            Source::Sql(sql) => sql.advance(window, found),
            Source::Avro(avro) => avro.advance(window, found),
        }
    }

    fn counted(&mut self, item: Item) -> Item {
        let Err(problem) = &item else { return item };
        // A record that was read and is wrong costs no search for the next one.
        if problem.code == "record-invalid" {
            return item;
        }
        self.problems += 1;
        if self.problems < PROBLEMS_MAX {
            return item;
        }
        let place = problem.place;
        self.found.items.clear();
        self.found.stopped = true;
        let detail =
            format!("the {PROBLEMS_MAX}th problem: is this really of that format? Nothing further is read");
        Err(Problem::new(place, "too-many-problems", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_name_media_type_and_content() {
        assert_eq!(Format::from_name("NDJSON"), Some(Format::Json));
        assert_eq!(Format::from_name("xml"), None);
        assert_eq!(Format::from_media_type("Text/CSV; charset=utf-8"), Some(Format::Csv));
        assert_eq!(Format::from_media_type("application/octet-stream"), None);
        for (content, format) in [
            (&b"Obj\x01\x04"[..], Format::Avro),
            (b"\xef\xbb\xbf [", Format::Json),
            (b"{\"id\":1}", Format::Json),
            (b"-- a dump\nCREATE", Format::Sql),
            (b"\n insert INTO", Format::Sql),
            (b"id,name", Format::Csv),
            (b"set_id;name", Format::Csv),
            (b"", Format::Csv),
        ] {
            assert_eq!(Format::of_content(content), format, "{}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn an_input_of_another_format_is_given_up() {
        let mut reader = Reader::new(Format::Json, None);
        reader.push(&b"{no record\n".repeat(PROBLEMS_MAX as usize * 2));
        reader.end();
        let mut problems = Vec::new();
        while let Some(item) = reader.next() {
            problems.push(item.expect_err("there is no record").code);
        }
        assert_eq!(problems.len() as u64, PROBLEMS_MAX);
        assert_eq!(problems.last(), Some(&"too-many-problems"));
        assert!(reader.is_stopped());
    }
}
