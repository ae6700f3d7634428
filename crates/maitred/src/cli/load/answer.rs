//! HTTP/1.1 answers, read as their bytes arrive.
//!
//! Invariants: the bytes may be cut anywhere; a head is at most [`HEAD_BYTES_MAX`]; of a body at most the asked
//! share is kept, the rest is counted and dropped. No input or output here: [`super::client`] feeds it.

use std::str;

use super::LoadError;

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// An answer that is not HTTP/1.1 as we understand it: what was wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed answer: {0}")]
pub(super) struct Malformed(&'static str);

impl From<Malformed> for LoadError {
    fn from(malformed: Malformed) -> Self {
        LoadError::Unavailable(malformed.to_string())
    }
}

/// A complete answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// The body, or its beginning if it was longer than what is kept.
    pub(super) body: &'a [u8],
}

/// Reads one answer after the other.
#[derive(Debug)]
pub(super) struct AnswerReader {
    state: State,
    /// A head that came in pieces. Empty when it came whole, which is the rule.
    partial_head: Vec<u8>,
    status: u16,
    close: bool,
    kept: Vec<u8>,
    kept_bytes_max: usize,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body { left: u64 },
    ChunkSize { size: u64, digits: u8, extension: bool },
    ChunkData { left: u64 },
    ChunkEnd,
    Trailer { line_bytes: usize },
    Complete,
}

impl AnswerReader {
    /// A reader that keeps the first `kept_bytes_max` bytes of each body.
    pub(super) fn new(kept_bytes_max: usize) -> Self {
        AnswerReader {
            state: State::Head,
            partial_head: Vec::new(),
            status: 0,
            close: false,
            kept: Vec::new(),
            kept_bytes_max,
            bytes: 0,
        }
    }

    /// Forgets the answer before, and expects a new one.
    pub(super) fn reset(&mut self) {
        self.state = State::Head;
        self.partial_head.clear();
        self.kept.clear();
        self.bytes = 0;
    }

    /// Takes the next bytes. True once the answer is complete.
    ///
    /// # Errors
    /// The bytes are no answer, or go on behind its end: requests are never pipelined.
    pub(super) fn feed(&mut self, mut input: &[u8]) -> Result<bool, Malformed> {
        self.bytes += input.len() as u64;
        while !input.is_empty() && self.state != State::Complete {
            input = self.step(input)?;
        }
        if !input.is_empty() {
            return Err(Malformed("bytes behind the end of the body"));
        }
        Ok(self.state == State::Complete)
    }

    /// The answer, once [`AnswerReader::feed`] said it is complete.
    pub(super) fn answer(&self) -> Answer<'_> {
        assert_eq!(self.state, State::Complete);
        Answer { status: self.status, body: &self.kept }
    }

    /// Whether the server closes the connection behind this answer.
    pub(super) fn closes(&self) -> bool {
        self.close
    }

    /// Bytes of this answer so far, head and framing included.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a piece of the input and gives back the rest.
    fn step<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], Malformed> {
        match self.state {
            State::Head => self.head(input),
            State::Body { left } => {
                let (piece, rest) = split(input, left);
                self.keep(piece);
                self.state = body_state(left - piece.len() as u64);
                Ok(rest)
            }
            State::ChunkSize { size, digits, extension } => {
                self.state = chunk_size(input[0], size, digits, extension)?;
                Ok(&input[1..])
            }
            State::ChunkData { left } => {
                let (piece, rest) = split(input, left);
                self.keep(piece);
                let left = left - piece.len() as u64;
                self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData { left } };
                Ok(rest)
            }
            State::ChunkEnd => {
                self.state = match input[0] {
                    b'\r' => State::ChunkEnd,
                    b'\n' => State::ChunkSize { size: 0, digits: 0, extension: false },
                    _ => return Err(Malformed("a chunk does not end with its line")),
                };
                Ok(&input[1..])
            }
            State::Trailer { line_bytes } => {
                self.state = match input[0] {
                    b'\r' => State::Trailer { line_bytes },
                    b'\n' if line_bytes == 0 => State::Complete,
                    b'\n' => State::Trailer { line_bytes: 0 },
                    _ if line_bytes >= HEAD_BYTES_MAX => return Err(Malformed("trailer too long")),
                    _ => State::Trailer { line_bytes: line_bytes + 1 },
                };
                Ok(&input[1..])
            }
            State::Complete => Ok(input),
        }
    }

    fn head<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], Malformed> {
        if self.partial_head.is_empty() {
            return match Head::parse(input)? {
                Some(head) => {
                    self.begin(&head);
                    Ok(&input[head.bytes..])
                }
                None if input.len() > HEAD_BYTES_MAX => Err(Malformed("head too long")),
                None => {
                    self.partial_head.extend_from_slice(input);
                    Ok(&[])
                }
            };
        }
        let before = self.partial_head.len();
        self.partial_head.extend_from_slice(&input[..input.len().min(HEAD_BYTES_MAX)]);
        match Head::parse(&self.partial_head)? {
            Some(head) => {
                self.partial_head.clear();
                self.begin(&head);
                Ok(&input[head.bytes - before..])
            }
            None if self.partial_head.len() > HEAD_BYTES_MAX => Err(Malformed("head too long")),
            None => Ok(&[]),
        }
    }

    fn begin(&mut self, head: &Head) {
        self.status = head.status;
        self.close = head.close;
        self.state = match (head.status, head.framing) {
            (100..200, _) => State::Head,
            (_, Framing::Length(length)) => body_state(length),
            (_, Framing::Chunked) => State::ChunkSize { size: 0, digits: 0, extension: false },
        };
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = self.kept_bytes_max.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

fn body_state(left: u64) -> State {
    if left == 0 { State::Complete } else { State::Body { left } }
}

fn split(input: &[u8], left: u64) -> (&[u8], &[u8]) {
    input.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(input.len()))
}

fn chunk_size(byte: u8, size: u64, digits: u8, extension: bool) -> Result<State, Malformed> {
    match byte {
        b'\n' if digits == 0 => Err(Malformed("a chunk has no size")),
        b'\n' if size == 0 => Ok(State::Trailer { line_bytes: 0 }),
        b'\n' => Ok(State::ChunkData { left: size }),
        b'\r' => Ok(State::ChunkSize { size, digits, extension }),
        b';' | b' ' | b'\t' => Ok(State::ChunkSize { size, digits, extension: true }),
        _ if extension => Ok(State::ChunkSize { size, digits, extension }),
        _ => {
            let digit = char::from(byte).to_digit(16).ok_or(Malformed("a chunk's size is no number"))?;
            if digits == 15 {
                return Err(Malformed("a chunk's size is too large"));
            }
            Ok(State::ChunkSize { size: size * 16 + u64::from(digit), digits: digits + 1, extension })
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    framing: Framing,
    close: bool,
    bytes: usize,
}

impl Head {
    /// The head at the beginning of `input`, or none if it is not all there yet.
    fn parse(input: &[u8]) -> Result<Option<Head>, Malformed> {
        let Some((status_line, mut at)) = line(input, 0) else { return Ok(None) };
        let (status, mut close) = parse_status(status_line)?;
        let mut framing = None;
        loop {
            let Some((header, next)) = line(input, at) else { return Ok(None) };
            at = next;
            if header.is_empty() {
                break;
            }
            // Told apart by length first: most headers concern none of these.
            match header.iter().position(|byte| *byte == b':') {
                Some(14) if named(header, b"content-length") => {
                    framing = framing.or(Some(Framing::Length(parse_length(header[15..].trim_ascii())?)));
                }
                Some(17) if named(header, b"transfer-encoding") => {
                    if !header[18..].trim_ascii().eq_ignore_ascii_case(b"chunked") {
                        return Err(Malformed("an unknown transfer encoding"));
                    }
                    framing = Some(Framing::Chunked);
                }
                Some(10) if named(header, b"connection") => {
                    close = header[11..].trim_ascii().eq_ignore_ascii_case(b"close");
                }
                Some(_) => {}
                None => return Err(Malformed("a header line without a colon")),
            }
        }
        let framing = match (status, framing) {
            (100..200 | 204 | 304, _) => Framing::Length(0),
            (_, Some(framing)) => framing,
            (_, None) => return Err(Malformed("the body has no length")),
        };
        Ok(Some(Head { status, framing, close, bytes: at }))
    }
}

/// The line that begins at `at`, without its end, and where the next one begins.
fn line(input: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = &input[at..];
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), at + end + 1))
}

/// The status, and whether this version of HTTP closes by default.
fn parse_status(line: &[u8]) -> Result<(u16, bool), Malformed> {
    let malformed = Malformed("no HTTP/1 status line");
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(malformed)?;
    let [minor, b' ', hundreds @ b'1'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] = *rest else {
        return Err(malformed);
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    Ok((digit(hundreds) * 100 + digit(tens) * 10 + digit(ones), minor == b'0'))
}

fn parse_length(digits: &[u8]) -> Result<u64, Malformed> {
    let malformed = Malformed("the length is no number");
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(malformed)
}

fn named(header: &[u8], name: &[u8]) -> bool {
    header[..name.len()].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` cut at every place into two, and byte by byte: status, kept body and closing are the same.
    fn check(bytes: &[u8], kept_max: usize, status: u16, body: &[u8], closes: bool) {
        let mut reader = AnswerReader::new(kept_max);
        let mut cuts: Vec<Vec<&[u8]>> = (1..bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]).collect();
        cuts.push(vec![bytes]);
        cuts.push(bytes.chunks(1).collect());
        for pieces in cuts {
            reader.reset();
            let (last, before) = pieces.split_last().expect("at least one piece");
            for piece in before {
                assert_eq!(reader.feed(piece), Ok(false), "complete before its end: {pieces:?}");
            }
            assert_eq!(reader.feed(last), Ok(true), "not complete at its end: {pieces:?}");
            assert_eq!(reader.answer().status, status);
            assert_eq!(reader.answer().body, body);
            assert_eq!(reader.closes(), closes);
            assert_eq!(reader.bytes(), bytes.len() as u64);
        }
    }

    fn refused(bytes: &[u8]) -> Malformed {
        AnswerReader::new(100).feed(bytes).expect_err("must be refused")
    }

    #[test]
    fn a_body_of_known_length_is_read_however_it_is_cut() {
        check(b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello", 100, 201, b"hello", false);
        check(b"HTTP/1.1 200 OK\r\nContent-Length:0\r\nX: y\r\n\r\n", 100, 200, b"", false);
    }

    #[test]
    fn a_chunked_body_is_read_however_it_is_cut() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=1\r\n, world of\r\n\
            0\r\nTrailer: t\r\n\r\n";
        check(bytes, 100, 200, b"hello, world of", false);
    }

    #[test]
    fn answers_without_a_body_and_interim_answers_are_understood() {
        check(b"HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\n\r\n", 100, 304, b"", false);
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        check(bytes, 100, 200, b"ok", false);
    }

    #[test]
    fn only_the_asked_share_of_a_body_is_kept() {
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef", 4, 200, b"abcd", false);
    }

    #[test]
    fn closing_follows_the_header_and_the_version() {
        check(b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 1\r\n\r\na", 9, 200, b"a", true);
        check(b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", 9, 200, b"a", true);
        check(
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na",
            9,
            200,
            b"a",
            false,
        );
    }

    #[test]
    fn what_is_no_answer_is_refused_by_its_reason() {
        let rows: [(&[u8], &str); 8] = [
            (b"SSH-2.0-OpenSSH\r\n", "no HTTP/1 status line"),
            (b"HTTP/1.1 999 What\r\n\r\n", "no HTTP/1 status line"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "the body has no length"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "the length is no number"),
            (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "a header line without a colon"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "an unknown transfer encoding"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "a chunk's size is no number"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", "bytes behind the end of the body"),
        ];
        for (bytes, reason) in rows {
            assert_eq!(refused(bytes), Malformed(reason), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(
            refused(&[b"HTTP/1.1 200 OK\r\nx:".as_slice(), &[b'y'; 20_000]].concat()),
            Malformed("head too long")
        );
    }
}
