//! Records out of a dump in SQL: the rows of `INSERT INTO … VALUES`, as [`crate::Writer`] and the usual tools write
//! them.
//!
//! ```sql
//! CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT NOT NULL);     -- its columns, for inserts without a list
//! INSERT INTO customers (id, name) VALUES
//!   ('c1', 'O''Brien'),                                                 -- a record a row
//!   ('c2', 'Ann');
//! ```
//!
//! A text has its marks doubled. Backslashes escape only in `E'…'`, and in statements with a name in backticks, which
//! only MySQL writes. All other statements are left out. A table that has no `id`, or holds neither kind, is named
//! once and its rows are left out; so are the rows of a COPY of PostgreSQL, which are no SQL.

mod row;
mod skip;
mod table;
mod token;

use self::skip::Within;
use self::table::{Rows, Tables};
use self::token::{Token, TokenKind, token};
use super::lost::Lost;
use super::{Found, Problem, RECORD_BYTES_MAX, Window};
use crate::salon::Kind;

/// Longest word by which the beginning of a line, or the end of the rows, is known, and the byte behind it.
const KEYWORD_BYTES_MAX: usize = 10;
/// The deepest nesting of brackets in a row.
const DEPTH_MAX: u32 = 32;
/// What statements of a dump begin with.
const STATEMENTS: [&[u8]; 24] = [
    b"ALTER",
    b"ANALYZE",
    b"BEGIN",
    b"COMMENT",
    b"COMMIT",
    b"COPY",
    b"CREATE",
    b"DELETE",
    b"DO",
    b"DROP",
    b"END",
    b"GRANT",
    b"INSERT",
    b"LOCK",
    b"PRAGMA",
    b"REVOKE",
    b"ROLLBACK",
    b"SELECT",
    b"SET",
    b"START",
    b"TRUNCATE",
    b"UNLOCK",
    b"UPDATE",
    b"USE",
];
/// What the rows of a COPY end with.
const COPY_END: &[u8] = b"\n\\.";

/// Reads the rows of a dump.
#[derive(Debug)]
pub(super) struct Sql {
    kind: Option<Kind>,
    state: State,
    within: Within,
    tables: Tables,
    lost: Option<Lost>,
}

#[derive(Debug)]
enum State {
    /// Between statements.
    Statements,
    /// Within a statement, before its rows.
    Statement(Scan),
    /// Before, between or behind rows.
    Rows(Rows),
    /// Within a row.
    Row(Rows, Scan),
    /// Up to the end of the statement.
    Rest,
    /// Up to the end of the rows of a COPY.
    Copied,
}

/// Tokens that begin with the rest of the input and have been read up to `at`.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    depth: u32,
    tokens: Vec<Token>,
}

/// Where something ends.
enum Cut {
    /// With this token.
    At(Token),
    /// Before this byte, with which another begins.
    Unclosed(usize),
    Malformed(&'static str),
    TooLong,
    /// The input ends within it.
    Short,
}

impl Sql {
    pub(super) fn new(kind: Option<Kind>) -> Self {
        let (state, within) = (State::Statements, Within::default());
        Sql { kind, state, within, tables: Tables::default(), lost: None }
    }

    pub(super) fn advance(&mut self, window: &mut Window, found: &mut Found) -> bool {
        if let Some(lost) = self.lost {
            return self.find(lost, window);
        }
        match std::mem::replace(&mut self.state, State::Statements) {
            State::Statements => {
                let (blanks, more) = self.within.blanks(window.rest(), window.has_ended());
                window.take(blanks);
                if more {
                    self.state = State::Statement(Scan::default());
                }
                more
            }
            State::Statement(scan) => self.statement(scan, window, found),
            State::Rows(rows) => self.between(rows, window, found),
            State::Row(rows, scan) => self.row(rows, scan, window, found),
            State::Rest => {
                let (rest, over) = self.within.statement(window.rest(), window.has_ended());
                window.take(rest + usize::from(over));
                self.state = if over { State::Statements } else { State::Rest };
                over
            }
            State::Copied => {
                let rest = window.rest();
                let end = rest.windows(COPY_END.len()).position(|bytes| bytes == COPY_END);
                let kept = if window.has_ended() { 0 } else { COPY_END.len() - 1 };
                let skipped = end.map_or(rest.len().saturating_sub(kept), |end| end + COPY_END.len());
                window.take(skipped);
                self.state = if end.is_some() { State::Statements } else { State::Copied };
                end.is_some()
            }
        }
    }

    /// Reads a statement as far as it matters: to its rows, or to its end.
    fn statement(&mut self, mut scan: Scan, window: &mut Window, found: &mut Found) -> bool {
        let (place, bytes) = (window.place(), window.rest());
        let inserts = |scan: &Scan| scan.tokens.first().is_some_and(|first| first.is(bytes, b"INSERT"));
        let ends = |scan: &Scan, token: &Token| {
            let values = token.is(bytes, b"VALUES") || token.is(bytes, b"VALUE");
            token.kind == TokenKind::Sign(b';') || scan.depth == 0 && values && inserts(scan)
        };
        match scan.look(bytes, window.has_ended(), false, ends) {
            None => {
                self.state = State::Statement(scan);
                return false;
            }
            Some(Cut::At(last)) => {
                if last.kind == TokenKind::Sign(b';') {
                    let first = |word| scan.tokens.first().is_some_and(|first| first.is(bytes, word));
                    found.of_format |= STATEMENTS.into_iter().any(first);
                    if !found.of_format {
                        found.problem(Problem::malformed(place, "no statement of SQL begins so"));
                    }
                    if first(b"CREATE") {
                        self.tables.remember(&scan.tokens, bytes);
                    } else if first(b"COPY") && scan.tokens.iter().any(|token| token.is(bytes, b"STDIN")) {
                        let why = "the rows of a COPY are not read: let the dump be made of INSERTs";
                        found.problem(Problem::new(place, "format-unknown", why));
                        self.state = State::Copied;
                    }
                } else {
                    let rows = self.tables.rows(&scan.tokens, bytes, self.kind);
                    found.of_format |= rows.is_ok();
                    self.state = State::Rows(rows.unwrap_or_else(|why| {
                        found.problem(Problem::new(place, "format-unknown", why));
                        Rows { foreign: true, ..Rows::default() }
                    }));
                }
                window.take(last.end);
            }
            // What does not end is no statement, unless there were some.
            Some(cut) if !found.of_format => {
                found.problem(cut.problem(window));
                self.state = State::Rest;
            }
            // No other statement matters, however it ends.
            Some(_) if !inserts(&scan) => self.state = State::Rest,
            Some(cut) => {
                found.problem(cut.problem(window));
                self.state = State::Rest;
            }
        }
        true
    }

    /// Takes what stands between rows.
    fn between(&mut self, rows: Rows, window: &mut Window, found: &mut Found) -> bool {
        let ended = window.has_ended();
        let (blanks, more) = self.within.blanks(window.rest(), ended);
        window.take(blanks);
        let rest = window.rest();
        let keyword = rest.first().is_some_and(u8::is_ascii_alphabetic);
        if !more || keyword && rest.len() < KEYWORD_BYTES_MAX && !ended {
            self.state = State::Rows(rows);
            if ended && !more {
                found.problem(Problem::new(window.place(), "record-cut-short", "a statement is not ended"));
                self.state = State::Statements;
            }
            return false;
        }
        match rest.first() {
            Some(b'(') => self.state = State::Row(rows, Scan::default()),
            Some(b',') => {
                window.take(1);
                self.state = State::Rows(rows);
            }
            // What may stand behind rows: ON CONFLICT …, ON DUPLICATE KEY …, RETURNING ….
            _ if begins(rest, b"ON") || begins(rest, b"RETURNING") || rest.first() == Some(&b';') => {
                self.state = State::Rest;
            }
            _ => {
                found.problem(Problem::malformed(window.place(), "no row begins here"));
                self.state = State::Rows(rows);
                self.lost = Some(Lost::behind_junk(b'('));
                window.take(1);
            }
        }
        true
    }

    fn row(&mut self, rows: Rows, mut scan: Scan, window: &mut Window, found: &mut Found) -> bool {
        let (place, bytes) = (window.place(), window.rest());
        let ends = |scan: &Scan, token: &Token| scan.depth == 1 && token.kind == TokenKind::Sign(b')');
        match scan.look(bytes, window.has_ended(), rows.backslashes, ends) {
            None => {
                self.state = State::Row(rows, scan);
                return false;
            }
            Some(Cut::At(last)) => {
                if !rows.foreign {
                    let inner = scan.tokens.get(1..).unwrap_or_default();
                    match row::fields(inner, bytes, &rows.columns) {
                        Ok(fields) => found.fields(place, &fields, rows.kind),
                        Err(why) => found.problem(Problem::malformed(place, why)),
                    }
                }
                window.take(last.end);
            }
            Some(cut) => {
                let problem = cut.problem(window);
                if let Cut::Unclosed(at) = cut {
                    found.problem(problem);
                    window.take(at);
                } else {
                    let looked = if matches!(cut, Cut::Malformed(_)) { scan.at } else { bytes.len() };
                    let left_out = found.broken(problem, looked.min(RECORD_BYTES_MAX));
                    self.lost = Some(Lost::behind_record(b'(', b')'));
                    window.take(left_out);
                }
            }
        }
        self.state = State::Rows(rows);
        true
    }

    /// Looks for the next row, or the next statement that may have some.
    fn find(&mut self, lost: Lost, window: &mut Window) -> bool {
        let rest = window.rest();
        let starts = |bytes: &[u8]| begins(bytes, b"INSERT") || begins(bytes, b"CREATE");
        let (skipped, at_start) = lost.clone().skip(rest, starts);
        if at_start {
            if rest.get(skipped) != Some(&b'(') {
                self.state = State::Statements;
            }
            window.take(skipped);
            self.lost = None;
            return true;
        }
        // A word that is not whole yet is looked at again.
        let kept = if window.has_ended() { 0 } else { KEYWORD_BYTES_MAX };
        let skipped = rest.len().saturating_sub(kept);
        let mut lost = lost;
        lost.skip(&rest[..skipped], |_| false);
        self.lost = Some(lost);
        window.take(skipped);
        false
    }
}

impl Scan {
    /// Reads tokens up to one at which it `ends`; `None` when more bytes are needed.
    fn look(
        &mut self,
        bytes: &[u8],
        ended: bool,
        backslashes: bool,
        ends: impl Fn(&Scan, &Token) -> bool,
    ) -> Option<Cut> {
        loop {
            let Some(token) = token(bytes, self.at, ended, backslashes) else {
                return match (bytes.len() > RECORD_BYTES_MAX, ended) {
                    (true, _) => Some(Cut::TooLong),
                    (false, true) => Some(Cut::Short),
                    (false, false) => None,
                };
            };
            if token.end > RECORD_BYTES_MAX {
                return Some(Cut::TooLong);
            }
            if ended && !token::is_closed(&bytes[token.start..token.end], token.kind) {
                return Some(Cut::Short);
            }
            if ends(self, &token) {
                return Some(Cut::At(token));
            }
            let in_row = self.tokens.first().is_some_and(|first| first.kind == TokenKind::Sign(b'('));
            if in_row && self.tokens.last().is_some_and(|last| is_torn(last, &token, bytes)) {
                return Some(Cut::Malformed("a text has a mark too many or too few"));
            }
            match token.kind {
                TokenKind::Sign(b'(') => {
                    // A bracket opens in a row only behind a name of a function: the row before was never closed.
                    let called = self.tokens.last().is_none_or(|last| last.kind == TokenKind::Word);
                    if in_row && !called {
                        return Some(Cut::Unclosed(self.at));
                    }
                    self.depth += 1;
                    if in_row && self.depth > DEPTH_MAX {
                        return Some(Cut::Malformed("it is nested too deeply"));
                    }
                }
                TokenKind::Sign(b')') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.at = token.end;
            if token.kind != TokenKind::Blank {
                self.tokens.push(token);
            }
        }
    }
}

impl Cut {
    fn problem(&self, window: &Window) -> Problem {
        let place = window.place();
        match self {
            Cut::TooLong => Problem::too_long(place),
            Cut::Short => Problem::cut_short(place),
            Cut::At(_) | Cut::Unclosed(_) => Problem::malformed(place, "it is not closed"),
            Cut::Malformed(why) => Problem::malformed(place, *why),
        }
    }
}

/// Whether a text and what stands right beside it are parts of one whose marks are wrong: with one missing, what should
/// be text is not, up to the next row that is broken. A word before a text may say what it is: `N'…'`, `_utf8'…'`.
fn is_torn(before: &Token, token: &Token, bytes: &[u8]) -> bool {
    let is_text = |kind| matches!(kind, TokenKind::Text | TokenKind::EscapedText);
    let prefixes = || before.end - before.start == 1 || bytes.get(before.start) == Some(&b'_');
    before.end == token.start
        && match (before.kind, token.kind) {
            (TokenKind::Word, kind) if is_text(kind) => !prefixes(),
            (kind, TokenKind::Word | TokenKind::Name | TokenKind::Text | TokenKind::EscapedText) => {
                is_text(kind)
            }
            _ => false,
        }
}

/// Whether this word begins here, in either case.
fn begins(bytes: &[u8], word: &[u8]) -> bool {
    let same = bytes.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    same && bytes.get(word.len()).is_some_and(u8::is_ascii_whitespace)
}
