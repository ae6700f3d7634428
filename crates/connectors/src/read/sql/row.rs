//! The values of a row.

use std::borrow::Cow;

use super::token::{self, Token, TokenKind};
use crate::fields::{Field, Fields, Value};

/// The fields of a row whose tokens, without its brackets, these are.
pub(super) fn fields<'a>(
    tokens: &[Token],
    bytes: &'a [u8],
    columns: &[Option<Field>],
) -> Result<Fields<'a>, String> {
    let mut fields = Fields::default();
    let mut count = 0;
    let mut depth = 0_u32;
    let is_comma = |token: &Token| {
        match token.kind {
            TokenKind::Sign(b'(') => depth += 1,
            TokenKind::Sign(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.kind == TokenKind::Sign(b',')
    };
    for literal in tokens.split(is_comma) {
        match columns.get(count) {
            Some(Some(field)) => fields.set(*field, value(literal, bytes)?),
            Some(None) => {}
            None => return Err(format!("the row has more values than the {} columns", columns.len())),
        }
        count += 1;
    }
    if count == columns.len() {
        return Ok(fields);
    }
    Err(format!("the row has {count} values for {} columns", columns.len()))
}

/// A literal: `'text'`, `TIMESTAMP 'text'`, `'text'::type`, a number, NULL. Anything else is no value that we know.
fn value<'a>(tokens: &[Token], bytes: &'a [u8]) -> Result<Value<'a>, String> {
    const COLON: TokenKind = TokenKind::Sign(b':');
    let literal = match tokens {
        [] => return Err("a value is missing".into()),
        [one] => one,
        [literal, first, second, ..] if first.kind == COLON && second.kind == COLON => literal,
        [keyword, text] if keyword.kind == TokenKind::Word && is_text(text.kind) => text,
        _ => return Err("a value is an expression and no literal".into()),
    };
    let text = &bytes[literal.start..literal.end];
    if is_text(literal.kind) {
        let inner = text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text);
        let text = if literal.kind == TokenKind::Text && !inner.contains(&b'\'') {
            std::str::from_utf8(inner).map(Cow::Borrowed).ok()
        } else {
            String::from_utf8(token::text(text, literal.kind)).map(Cow::Owned).ok()
        };
        return text.map(Value::Text).ok_or_else(|| "a text is not UTF-8".into());
    }
    let word = std::str::from_utf8(text).ok().filter(|_| literal.kind == TokenKind::Word);
    word.and_then(word_value).ok_or_else(|| "a value is no literal".into())
}

fn word_value(word: &str) -> Option<Value<'static>> {
    if word.eq_ignore_ascii_case("null") {
        return Some(Value::Null);
    }
    if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
        return Some(Value::Other("true or false"));
    }
    if let Ok(number) = word.parse::<i64>() {
        return Some(Value::Integer(number));
    }
    // The parser of doubles knows names too, such as `inf`.
    word.bytes().any(|byte| byte.is_ascii_digit()).then(|| word.parse().ok().map(Value::Number))?
}

fn is_text(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Text | TokenKind::EscapedText)
}
