//! Records as CSV (RFC 4180), the names of whose fields stand in the first line, in any order.
//!
//! Commas, semicolons and tabs separate: which, is told by the header. Quotation marks are taken as strictly as the
//! RFC has them, since a mark that is missing would else swallow the records behind it.

use std::borrow::Cow;

use super::window::BYTE_ORDER_MARK;
use super::{Found, Problem, RECORD_BYTES_MAX, Window};
use crate::fields::{Field, Fields, Value, kind_of};
use crate::salon::Kind;

/// Most columns that a file may have.
const COLUMNS_MAX: usize = 256;

/// Reads records as CSV.
#[derive(Debug)]
pub(super) struct Csv {
    kind: Option<Kind>,
    begun: bool,
    separator: u8,
    /// What each column holds; none before the header is read.
    columns: Option<Vec<Option<Field>>>,
    row: Row,
    /// The rest of this line is left out.
    skipping: bool,
}

/// A row that has been looked through up to `at`.
#[derive(Debug, Default)]
struct Row {
    at: usize,
    state: State,
    /// Where the fields end, and whether they are quoted.
    fields: Vec<(usize, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// Behind a mark that closes the field or is one of two.
    Mark,
}

enum Cut {
    /// At this line break, or at the end.
    Whole(usize),
    Malformed(&'static str),
    TooLong,
}

impl Csv {
    pub(super) fn new(kind: Option<Kind>) -> Self {
        Csv { kind, begun: false, separator: b',', columns: None, row: Row::default(), skipping: false }
    }

    pub(super) fn advance(&mut self, window: &mut Window, found: &mut Found) -> bool {
        if !self.begun && !self.begin(window, found) {
            return false;
        }
        if self.skipping {
            let rest = window.rest();
            let end = rest.iter().position(|byte| *byte == b'\n');
            window.take(end.map_or(rest.len(), |end| end + 1));
            self.skipping = end.is_none();
            return end.is_some();
        }
        if window.rest().is_empty() {
            return false;
        }
        let cut = match self.row.look(window.rest(), self.separator) {
            Some(cut) => cut,
            None if !window.has_ended() => return false,
            None if self.row.state == State::Quoted => {
                found.problem(Problem::cut_short(window.place()));
                self.skip();
                return true;
            }
            None => {
                let end = window.rest().len();
                self.row.end_field(end);
                Cut::Whole(end)
            }
        };
        match cut {
            Cut::Whole(end) => {
                let fits = self.whole(end, window, found);
                if !fits && window.rest()[..end].contains(&b'\n') {
                    // Marks that are missing in two rows have made one of all between them, which is read again.
                    self.skip();
                } else {
                    window.take(end + 1);
                    self.row.clear();
                }
            }
            Cut::Malformed(why) => {
                found.problem(Problem::malformed(window.place(), why));
                self.skip();
            }
            Cut::TooLong => {
                found.problem(Problem::too_long(window.place()));
                self.skip();
            }
        }
        true
    }

    /// Looks at the first line for what separates. Returns false when it is not whole yet.
    fn begin(&mut self, window: &mut Window, found: &mut Found) -> bool {
        let rest = window.rest();
        let line_end = rest.iter().take(RECORD_BYTES_MAX).position(|byte| *byte == b'\n');
        if line_end.is_none() && !window.has_ended() && rest.len() < RECORD_BYTES_MAX {
            return false;
        }
        let header = &rest[..line_end.unwrap_or(rest.len().min(RECORD_BYTES_MAX))];
        let separator = header.iter().find(|byte| matches!(byte, b',' | b';' | b'\t'));
        self.separator = *separator.unwrap_or(&b',');
        let too_long = line_end.is_none() && header.len() == RECORD_BYTES_MAX;
        let mark = if rest.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        window.take(mark);
        self.begun = true;
        if too_long {
            found.fatal(Problem::too_long(window.place()));
        }
        true
    }

    /// The row at hand is broken; the next line may be whole.
    fn skip(&mut self) {
        self.row.clear();
        self.skipping = true;
    }

    /// Takes a row. Returns false where it has more or fewer fields than the header.
    fn whole(&mut self, end: usize, window: &Window, found: &mut Found) -> bool {
        let bytes = &window.rest()[..end];
        let place = window.place();
        if bytes.trim_ascii().is_empty() {
            return true;
        }
        let texts = self.row.texts(bytes);
        match &self.columns {
            None => match columns(&texts) {
                Ok(columns) => {
                    self.columns = Some(columns);
                    found.of_format = true;
                }
                Err(why) => found.fatal(Problem::new(place, "format-unknown", why)),
            },
            Some(columns) if columns.len() != texts.len() => {
                let detail = format!("it has {} fields, and the header {}", texts.len(), columns.len());
                found.problem(Problem::malformed(place, detail));
                return false;
            }
            Some(columns) => {
                let mut fields = Fields::default();
                for (field, bytes) in columns.iter().zip(texts) {
                    let Some(field) = field else { continue };
                    let text = match bytes {
                        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
                        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
                    };
                    let Some(text) = text else {
                        found.problem(Problem::malformed(place, "it is not UTF-8"));
                        return true;
                    };
                    fields.set(*field, Value::Text(text));
                }
                // What kind it is, the columns say, empty or not.
                let kind = self.kind.or_else(|| kind_of(|field| columns.contains(&Some(field))));
                found.fields(place, &fields, kind);
            }
        }
        true
    }
}

fn columns(names: &[Cow<'_, [u8]>]) -> Result<Vec<Option<Field>>, String> {
    if names.len() > COLUMNS_MAX {
        return Err(format!("the header has {} columns, and the most is {COLUMNS_MAX}", names.len()));
    }
    let columns: Vec<_> =
        names.iter().map(|name| std::str::from_utf8(name.trim_ascii()).ok().and_then(Field::of)).collect();
    if !columns.contains(&Some(Field::Id)) {
        return Err("the first line names no column `id`: a header is needed".into());
    }
    Ok(columns)
}

impl Row {
    fn clear(&mut self) {
        self.at = 0;
        self.state = State::FieldStart;
        self.fields.clear();
    }

    /// Goes on through the row; `None` when more bytes are needed.
    fn look(&mut self, bytes: &[u8], separator: u8) -> Option<Cut> {
        while let Some(byte) = bytes.get(self.at).copied() {
            if self.at >= RECORD_BYTES_MAX {
                return Some(Cut::TooLong);
            }
            match (self.state, byte) {
                (State::FieldStart, b'"') => self.state = State::Quoted,
                (State::Quoted, b'"') => self.state = State::Mark,
                (State::Quoted, _) => {}
                (State::Mark, b'"') => self.state = State::Quoted,
                (_, b'\n') => {
                    self.end_field(self.at);
                    return Some(Cut::Whole(self.at));
                }
                // Before a line break; anything else behind it is looked at next.
                (_, b'\r') => {}
                (_, byte) if byte == separator => {
                    self.end_field(self.at);
                    self.state = State::FieldStart;
                }
                (State::Mark, _) => return Some(Cut::Malformed("something follows a quoted field")),
                (State::Plain, b'"') => {
                    return Some(Cut::Malformed("a quotation mark stands within a field that is not quoted"));
                }
                (State::FieldStart | State::Plain, _) => self.state = State::Plain,
            }
            self.at += 1;
        }
        None
    }

    fn end_field(&mut self, at: usize) {
        // A row of separators alone must not grow without bound beside its bytes.
        if self.fields.len() <= COLUMNS_MAX {
            self.fields.push((at, self.state == State::Mark));
        }
    }

    /// The fields' contents.
    fn texts<'a>(&self, bytes: &'a [u8]) -> Vec<Cow<'a, [u8]>> {
        let mut start = 0;
        let text = |&(end, quoted): &(usize, bool)| {
            let field = &bytes[start..end];
            start = end + 1;
            if !quoted {
                return Cow::Borrowed(field.strip_suffix(b"\r").unwrap_or(field));
            }
            let field = field.strip_suffix(b"\r").unwrap_or(field);
            let inner = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\""));
            let inner = inner.unwrap_or(field);
            if inner.contains(&b'"') { Cow::Owned(without_doubles(inner)) } else { Cow::Borrowed(inner) }
        };
        self.fields.iter().map(text).collect()
    }
}

/// Each two marks as one.
fn without_doubles(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut second = false;
    for byte in bytes {
        second = *byte == b'"' && !second;
        if !second || *byte != b'"' {
            out.push(*byte);
        }
    }
    out
}
