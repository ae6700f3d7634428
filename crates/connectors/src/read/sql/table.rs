//! What a statement says about a table: its name, its columns, what its rows hold.

use std::collections::BTreeMap;

use super::token::{self, Token, TokenKind};
use crate::fields::{Field, kind_of};
use crate::salon::Kind;

/// Most tables whose columns are remembered, and most columns of one.
const TABLES_MAX: usize = 256;
const COLUMNS_MAX: usize = 256;
/// Longest name of a table that is remembered.
const NAME_BYTES_MAX: usize = 256;
/// What begins a part of CREATE TABLE that is no column.
const NO_COLUMNS: [&[u8]; 7] = [b"CONSTRAINT", b"PRIMARY", b"UNIQUE", b"FOREIGN", b"CHECK", b"KEY", b"INDEX"];

/// The columns of the tables that were created.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<Vec<u8>, Vec<Option<Field>>>);

/// What the rows of a statement hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// The fields of the columns, in their order.
    pub(super) columns: Vec<Option<Field>>,
    pub(super) kind: Option<Kind>,
    /// Whether a backslash escapes.
    pub(super) backslashes: bool,
    /// The table is none of ours.
    pub(super) foreign: bool,
}

impl Tables {
    /// Remembers the columns of a `CREATE TABLE`. Of any other statement, nothing.
    pub(super) fn remember(&mut self, tokens: &[Token], bytes: &[u8]) {
        let mut rest = tokens.iter();
        if !rest.any(|token| token.is(bytes, b"TABLE")) || self.0.len() >= TABLES_MAX {
            return;
        }
        let no_keyword =
            |token: &&Token| ![&b"IF"[..], b"NOT", b"EXISTS"].iter().any(|word| token.is(bytes, word));
        let name = name(rest.filter(no_keyword), bytes);
        let Some(name) = name.filter(|name| name.len() <= NAME_BYTES_MAX) else { return };
        let (mut depth, mut columns, mut fresh) = (0_u32, Vec::new(), false);
        for token in tokens {
            match token.kind {
                TokenKind::Sign(b'(') => {
                    depth += 1;
                    fresh = depth == 1;
                }
                TokenKind::Sign(b')') => depth = depth.saturating_sub(1),
                TokenKind::Sign(b',') => fresh = depth == 1,
                TokenKind::Word | TokenKind::Name if fresh => {
                    fresh = false;
                    if !NO_COLUMNS.iter().any(|word| token.is(bytes, word)) && columns.len() < COLUMNS_MAX {
                        columns.push(field(token, bytes));
                    }
                }
                _ => {}
            }
        }
        self.0.insert(name, columns);
    }

    /// What the rows of an `INSERT INTO table [(columns)] VALUES` hold; else why they are left out.
    pub(super) fn rows(&self, tokens: &[Token], bytes: &[u8], kind: Option<Kind>) -> Result<Rows, String> {
        let behind_into = tokens.iter().skip_while(|token| !token.is(bytes, b"INTO")).skip(1);
        let name = name(behind_into, bytes).ok_or("an INSERT names no table")?;
        let listed = tokens.iter().skip_while(|token| token.kind != TokenKind::Sign(b'('));
        let mut columns: Vec<_> = listed
            .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::Name))
            .take(COLUMNS_MAX)
            .map(|token| field(token, bytes))
            .collect();
        let shown = || String::from_utf8_lossy(&name).chars().take(64).collect::<String>();
        if columns.is_empty() {
            columns = self.0.get(&name).cloned().ok_or_else(|| {
                format!("table {}: neither a CREATE TABLE nor a list says what its columns are", shown())
            })?;
        }
        let kind = kind.or_else(|| kind_of(|field| columns.contains(&Some(field))));
        if kind.is_none() || !columns.contains(&Some(Field::Id)) {
            return Err(format!(
                "table {} holds neither customers nor bookings; its rows are left out",
                shown()
            ));
        }
        let in_backticks =
            |token: &Token| token.kind == TokenKind::Name && bytes.get(token.start) == Some(&b'`');
        Ok(Rows { columns, kind, backslashes: tokens.iter().any(in_backticks), foreign: false })
    }
}

/// The last part of a name such as `public.customers`, in lower case.
fn name<'a>(tokens: impl Iterator<Item = &'a Token>, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    for token in tokens.take_while(|token| matches!(token.kind, TokenKind::Word | TokenKind::Name)) {
        let text = token::name(&bytes[token.start..token.end], token.kind);
        if !whole.is_empty() && !whole.ends_with(b".") && !text.starts_with(b".") {
            break;
        }
        whole.extend_from_slice(text);
    }
    let last = whole.rsplit(|byte| *byte == b'.').next()?.to_ascii_lowercase();
    (!last.is_empty()).then_some(last)
}

fn field(token: &Token, bytes: &[u8]) -> Option<Field> {
    std::str::from_utf8(token::name(&bytes[token.start..token.end], token.kind)).ok().and_then(Field::of)
}
