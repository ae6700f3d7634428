//! Reading records out of a stream of bytes.
//!
//! Invariants:
//! - What is pushed is kept only until its record is whole: at most [`RECORD_BYTES_MAX`] and the last piece.
//! - Every decision depends on bytes and their order, never on where a piece ends.
//! - A record that does not end within the bound, or before the input does, is broken: it is named, and reading goes
//!   on where the next one can begin, which may be within the bytes that were taken for its own.
//! - However many records are broken, reading goes on. Looking for the next one costs up to the bound each time; where
//!   that has cost [`LOOKED_PER_BYTE_MAX`] times the input, what was looked through is left out with the broken record.
//! - Only an input of which nothing is of the format is given up: after [`FORMAT_PROBLEMS_MAX`] problems, or at its end.
//!
//! Next: [`json`], [`csv`], [`sql`] and [`crate::avro`]; [`window`] for what they look through.

mod csv;
mod json;
mod lost;
mod sql;
mod window;

use std::collections::VecDeque;
use std::fmt::Write;

pub(crate) use self::window::Window;
use crate::avro;
use crate::fields::Fields;
use crate::salon::{Kind, Record};

/// The longest record that is read: as long as what one command may keep.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// An input in which so many records are broken before any is whole is of another format.
pub const FORMAT_PROBLEMS_MAX: u64 = 100_000;
/// How often each byte may be looked at again behind broken records, on average, and how many bytes beside that.
const LOOKED_PER_BYTE_MAX: u64 = 16;
const LOOKED_BYTES_FREE: u64 = 64 << 20;

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
    /// A stable code: `record-malformed`, `record-too-long`, `record-cut-short`, `record-invalid`, `format-unknown`.
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
    /// Something of the format was read: a record, or a head that says what the records are.
    pub(crate) of_format: bool,
    /// Why the input is given up. Nothing further is read.
    given_up: Option<String>,
    /// Bytes that were looked through for the end of records that have none.
    looked: u64,
}

impl Found {
    pub(crate) fn problem(&mut self, problem: Problem) {
        self.items.push_back(Err(problem));
    }

    /// A problem after which there is no going on.
    pub(crate) fn fatal(&mut self, problem: Problem) {
        self.given_up = Some(problem.detail.clone());
        self.problem(problem);
    }

    /// A broken record, for whose end so many bytes were looked through. Returns how many of them to leave out: the
    /// first, or all of them once looking through them again would take longer than an input is worth.
    pub(crate) fn broken(&mut self, mut problem: Problem, looked: usize) -> usize {
        self.looked = self.looked.saturating_add(looked as u64);
        let free = LOOKED_BYTES_FREE.saturating_add(problem.place.byte.saturating_mul(LOOKED_PER_BYTE_MAX));
        let left_out = if self.looked <= free { 1 } else { looked.max(1) };
        if left_out > 1 {
            let _ = write!(problem.detail, "; it is left out with the {left_out} bytes from there on");
        }
        self.problem(problem);
        left_out
    }

    /// The record that these fields make, and the customer within it, who comes first.
    pub(crate) fn fields(&mut self, place: Place, fields: &Fields<'_>, kind: Option<Kind>) {
        if let Some(customer) = &fields.customer {
            self.record(place, customer.record(Some(Kind::Customer)));
        }
        self.record(place, fields.record(kind));
    }

    fn record(&mut self, place: Place, record: Result<Record, String>) {
        self.of_format = true;
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
    format: Format,
    /// Problems before anything of the format.
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
        Reader { window, source, found: Found::default(), format, problems: 0 }
    }

    /// Takes the next bytes. What was whole before should have been taken out: it is what bounds the memory.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.found.given_up.is_none() {
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
                if item.is_err() && !self.found.of_format {
                    self.doubt();
                }
                return Some(item);
            }
            if self.found.given_up.is_some() {
                return None;
            }
            if !self.advance() && self.found.items.is_empty() {
                if self.window.has_ended() && self.problems > 0 && !self.found.of_format {
                    self.found.given_up =
                        Some(format!("nothing in it is a record as {}", self.format.as_str()));
                }
                return None;
            }
        }
    }

    /// Why the input is not of the format, once that is known: nothing further is read of it.
    pub fn given_up(&self) -> Option<&str> {
        self.found.given_up.as_deref()
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

    /// Counts a problem of an input in which nothing was of the format yet.
    fn doubt(&mut self) {
        self.problems += 1;
        if self.problems >= FORMAT_PROBLEMS_MAX {
            let format = self.format.as_str();
            let why = format!("the first {FORMAT_PROBLEMS_MAX} things in it are no records as {format}");
            self.found.given_up.get_or_insert(why);
        }
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

    /// What is read of an input: how many records and how many problems, and why it was given up.
    fn read(format: Format, input: &[u8]) -> (u64, u64, Option<String>) {
        let mut reader = Reader::new(format, None);
        let (mut records, mut problems) = (0, 0);
        let mut take = |reader: &mut Reader| {
            while let Some(item) = reader.next() {
                *(if item.is_ok() { &mut records } else { &mut problems }) += 1;
            }
        };
        for piece in input.chunks(64 * 1024) {
            reader.push(piece);
            take(&mut reader);
        }
        reader.end();
        take(&mut reader);
        (records, problems, reader.given_up().map(str::to_owned))
    }

    #[test]
    fn an_input_of_another_format_is_given_up() {
        let lines = |count: u64| b"{no record\n".repeat(count as usize);
        let (records, problems, why) = read(Format::Json, &lines(FORMAT_PROBLEMS_MAX * 2));
        assert_eq!((records, problems), (0, FORMAT_PROBLEMS_MAX));
        assert!(why.expect("it is given up").contains("no records as json"));
        let (_, problems, why) = read(Format::Json, &lines(3));
        assert!(problems == 3 && why.is_some_and(|why| why.contains("nothing in it")));
        assert_eq!(read(Format::Json, b""), (0, 0, None));
        let long = "id,name\n1,Ann\n".repeat(100_000);
        for (format, input) in [
            (Format::Csv, "name\nAnn\n"),
            (Format::Sql, "no dump"),
            (Format::Sql, "id;name\n1;Ann\n"),
            (Format::Sql, &long),
            (Format::Avro, "no Avro"),
        ] {
            let (records, _, why) = read(format, input.as_bytes());
            assert!(records == 0 && why.is_some(), "{format:?}: {why:?}");
        }
    }

    #[test]
    fn however_many_records_are_broken_the_rest_is_read() {
        const BROKEN: u64 = FORMAT_PROBLEMS_MAX + 7;
        let broken = |broken: &str| broken.repeat(BROKEN as usize);
        let object =
            |id: &str| format!("{{\"id\":\"{id}\",\"name\":\"Ann\",\"createdAt\":\"2024-01-01\"}}\n");
        let row = |id: &str| format!("('{id}', 'Ann', '2024-01-01'),\n");
        let insert = "INSERT INTO customers (id, name, created_at) VALUES\n";
        for (format, input) in [
            (Format::Json, object("a") + &broken("{\"id\":\"O\"Brien\"}\n") + &object("z")),
            (
                Format::Csv,
                format!("id,name,created_at\na,Ann,2024-01-01\n{}z,Zoe,2024-01-01", broken("b,\"Bo\"b,\n")),
            ),
            (
                Format::Sql,
                format!("{insert}{}{}{}", row("a"), broken("('O'Brien', 'b', '2024-01-01'),\n"), row("z")),
            ),
        ] {
            let (records, problems, why) = read(format, input.as_bytes());
            // The statement ends with a comma.
            let more = u64::from(format == Format::Sql);
            assert_eq!((records, problems, why), (2, BROKEN + more, None), "{format:?}");
        }
    }

    #[test]
    fn what_is_made_to_be_looked_through_again_and_again_costs_little_more_than_its_length() {
        // Each row opens a comment that nothing closes, so that the end of each is looked for as far as it may be.
        let input = format!("INSERT INTO customers (id) VALUES\n{}", "(/*\n".repeat(2_000_000));
        let mut reader = Reader::new(Format::Sql, None);
        let mut problems = 0;
        for piece in input.as_bytes().chunks(64 * 1024) {
            reader.push(piece);
            problems += std::iter::from_fn(|| reader.next()).count();
        }
        let most = LOOKED_BYTES_FREE + LOOKED_PER_BYTE_MAX * input.len() as u64 + RECORD_BYTES_MAX as u64;
        assert!(reader.found.looked <= most + input.len() as u64, "{}", reader.found.looked);
        assert!(problems > 100, "{problems}");
    }
}
