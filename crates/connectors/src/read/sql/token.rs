//! The tokens of SQL, as far as a dump has them.

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    /// Whether it is this keyword, in either case.
    pub(super) fn is(&self, bytes: &[u8], keyword: &[u8]) -> bool {
        let text = bytes.get(self.start..self.end).unwrap_or_default();
        self.kind == TokenKind::Word && text.eq_ignore_ascii_case(keyword)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Blanks, or a comment.
    Blank,
    /// A keyword, a name without quotes, or a number.
    Word,
    /// `'…'`, with a mark in it written twice.
    Text,
    /// The same, where a backslash escapes as well: `E'…'`, or in a dump of MySQL.
    EscapedText,
    /// A name in `"…"`, `` `…` `` or `[…]`.
    Name,
    /// Any other byte.
    Sign(u8),
}

/// Reads the token at `start`. `None` when it might go on behind `bytes`, which are not the whole input.
///
/// A text or comment that the input ends within is given as far as it goes.
pub(super) fn token(bytes: &[u8], start: usize, ended: bool, backslashes: bool) -> Option<Token> {
    let first = *bytes.get(start)?;
    let next = bytes.get(start + 1).copied();
    let (kind, end) = match (first, next) {
        (b' ' | b'\t' | b'\r' | b'\n', _) => (TokenKind::Blank, Some(start + blanks(&bytes[start..]))),
        (b'-', Some(b'-')) | (b'#', _) => (TokenKind::Blank, line_end(bytes, start)),
        (b'/', Some(b'*')) => (TokenKind::Blank, comment_end(bytes, start + 2)),
        (b'-' | b'/' | b'e' | b'E', None) if !ended => return None,
        (b'e' | b'E', Some(b'\'')) => (TokenKind::EscapedText, text_end(bytes, start + 1, true)),
        (b'\'', _) if backslashes => (TokenKind::EscapedText, text_end(bytes, start, true)),
        (b'\'', _) => (TokenKind::Text, text_end(bytes, start, false)),
        (b'"' | b'`', _) => (TokenKind::Name, name_end(bytes, start + 1, first)),
        (b'[', _) => (TokenKind::Name, name_end(bytes, start + 1, b']')),
        (byte, _) if is_word(byte) => (TokenKind::Word, word_end(bytes, start)),
        (byte, _) => (TokenKind::Sign(byte), Some(start + 1)),
    };
    // What ends with the bytes at hand may go on in the next ones.
    let open = matches!(kind, TokenKind::Word | TokenKind::Text | TokenKind::EscapedText | TokenKind::Name);
    match end {
        Some(end) if end == bytes.len() && open && !ended => None,
        Some(end) => Some(Token { kind, start, end }),
        None => ended.then_some(Token { kind, start, end: bytes.len() }),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'+' | b'-' | b'@') || byte >= 0x80
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

fn line_end(bytes: &[u8], start: usize) -> Option<usize> {
    Some(start + bytes[start..].iter().position(|byte| *byte == b'\n')? + 1)
}

fn comment_end(bytes: &[u8], start: usize) -> Option<usize> {
    let end = bytes.get(start..)?.windows(2).position(|pair| pair == b"*/")?;
    Some(start + end + 2)
}

/// Words end before a comment too.
fn word_end(bytes: &[u8], start: usize) -> Option<usize> {
    let word = &bytes[start..];
    let length = word.iter().position(|byte| !is_word(*byte)).unwrap_or(word.len());
    let comment = word[..length].windows(2).position(|pair| pair == b"--").filter(|at| *at > 0);
    Some(start + comment.unwrap_or(length))
}

/// Where the text ends that begins with the mark at `start`.
fn text_end(bytes: &[u8], start: usize, backslashes: bool) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Some(at + 1),
            b'\\' if backslashes => at += 2,
            _ => at += 1,
        }
    }
}

fn name_end(bytes: &[u8], start: usize, closing: u8) -> Option<usize> {
    Some(start + bytes.get(start..)?.iter().position(|byte| *byte == closing)? + 1)
}

/// Whether a text or name token has its closing mark.
pub(super) fn is_closed(token: &[u8], kind: TokenKind) -> bool {
    let text = match kind {
        TokenKind::Text => token,
        TokenKind::EscapedText => token.strip_prefix(b"e").or(token.strip_prefix(b"E")).unwrap_or(token),
        TokenKind::Name => return token.len() >= 2 && matches!(token.last(), Some(b'"' | b'`' | b']')),
        _ => return true,
    };
    text_end(text, 0, kind == TokenKind::EscapedText) == Some(text.len())
}

/// What a text token says.
pub(super) fn text(token: &[u8], kind: TokenKind) -> Vec<u8> {
    let escaped = kind == TokenKind::EscapedText;
    let token =
        if escaped { token.strip_prefix(b"e").or(token.strip_prefix(b"E")).unwrap_or(token) } else { token };
    let inner = token.strip_prefix(b"'").and_then(|token| token.strip_suffix(b"'")).unwrap_or(token);
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' => {
                bytes.next(); // its twin
                out.push(byte);
            }
            b'\\' if escaped => out.push(match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(other) => other,
                None => byte,
            }),
            _ => out.push(byte),
        }
    }
    out
}

/// A name without its quotes.
pub(super) fn name(token: &[u8], kind: TokenKind) -> &[u8] {
    if kind == TokenKind::Name && token.len() >= 2 { &token[1..token.len() - 1] } else { token }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(sql: &str, backslashes: bool) -> Vec<(TokenKind, &str)> {
        let (mut at, mut out) = (0, Vec::new());
        while let Some(token) = token(sql.as_bytes(), at, true, backslashes) {
            out.push((token.kind, &sql[token.start..token.end]));
            at = token.end;
        }
        out.retain(|(kind, _)| *kind != TokenKind::Blank);
        out
    }

    #[test]
    fn tokens_are_told_apart() {
        use TokenKind::{EscapedText, Name, Sign, Text, Word};
        assert_eq!(
            tokens("INSERT/* a ' */ INTO \"a b\".`c`-- x '\n(-1.5e3,'it''s',E'\\'',NULL);", false),
            [
                (Word, "INSERT"),
                (Word, "INTO"),
                (Name, "\"a b\""),
                (Word, "."),
                (Name, "`c`"),
                (Sign(b'('), "("),
                (Word, "-1.5e3"),
                (Sign(b','), ","),
                (Text, "'it''s'"),
                (Sign(b','), ","),
                (EscapedText, "E'\\''"),
                (Sign(b','), ","),
                (Word, "NULL"),
                (Sign(b')'), ")"),
                (Sign(b';'), ";"),
            ]
        );
        assert_eq!(tokens("'a\\'b'", true), [(EscapedText, "'a\\'b'")]);
        assert_eq!(tokens("'a\\' b", false), [(Text, "'a\\'"), (Word, "b")]);
    }

    #[test]
    fn texts_say_what_was_written() {
        assert_eq!(text(b"'it''s'", TokenKind::Text), b"it's");
        assert_eq!(text(b"''", TokenKind::Text), b"");
        assert_eq!(text(b"'a\\n'", TokenKind::Text), b"a\\n");
        assert_eq!(text(b"E'a\\n\\''", TokenKind::EscapedText), b"a\n'");
    }

    #[test]
    fn a_token_that_may_go_on_waits_for_more() {
        for (sql, at) in [("abc", 0), ("'a", 0), ("'a'", 0), ("-", 0), ("/* x", 0), ("-- x", 0), ("E", 0)] {
            assert_eq!(token(sql.as_bytes(), at, false, false), None, "{sql}");
            assert!(token(sql.as_bytes(), at, true, false).is_some(), "{sql}");
        }
        assert!(!is_closed(b"'a", TokenKind::Text) && !is_closed(b"'a''", TokenKind::Text));
        assert!(is_closed(b"'a'", TokenKind::Text) && is_closed(b"'a'''", TokenKind::Text));
    }
}
