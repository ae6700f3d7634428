//! The bytes of a feed as text in UTF-8: decoded, counted, and never more of it than is allowed.
//!
//! Invariants:
//! - The encoding is that of the byte order mark; without one, that of the XML declaration; without one, that which
//!   the server gave; without one, UTF-8. It is settled by the first piece, before anything is handed on.
//! - Between two calls of [`Source::mark`] at most [`MARKUP_BYTES_MAX`] bytes are handed on, since all of these are
//!   kept by who reads them.
//! - Once it has stopped, it stays stopped, and says why.
//!
//! As browsers do (Encoding Standard), ISO-8859-1 and US-ASCII are read as Windows-1252, which holds all of them.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

use super::limits::{FEED_BYTES_MAX, MARKUP_BYTES_MAX};
use super::problem::{Halt, Reason, excerpt};
use super::read::Options;
use crate::Place;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// No encoding writes a byte as more than three in UTF-8.
const TEXT_BYTES: usize = 3 * PIECE_BYTES + 16;
/// How far an XML declaration is looked for.
const DECLARATION_BYTES_MAX: usize = 1024;

/// Text of a feed.
pub(super) struct Source<R> {
    input: R,
    piece: Box<[u8]>,
    /// None before the first piece.
    decoding: Option<Decoding>,
    ended: bool,
    /// Bytes of the input that may still be read.
    bytes_left: u64,
    options: Options,
    text: Text,
    stopped: Option<Halt>,
}

/// Text that was decoded, and where in the feed it is.
#[derive(Default)]
struct Text {
    buffer: Vec<u8>,
    at: usize,
    /// Bytes before the buffer.
    bytes_before: u64,
    /// Line breaks before the buffer.
    lines_before: u64,
    /// Where the mark is, in bytes of the feed; its line only if it lies before the buffer.
    mark: u64,
    mark_line: Option<u64>,
    /// Bytes that may be handed on before the next mark.
    allowance: usize,
}

enum Decoding {
    /// Handed on as it is: who reads it checks it.
    Utf8,
    Other(Decoder),
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R, options: Options) -> Self {
        Source {
            input,
            piece: vec![0; PIECE_BYTES].into_boxed_slice(),
            decoding: None,
            ended: false,
            bytes_left: options.bytes_max.min(FEED_BYTES_MAX),
            options,
            text: Text { allowance: MARKUP_BYTES_MAX, ..Text::default() },
            stopped: None,
        }
    }

    pub(super) fn into_parts(self) -> (R, Options) {
        (self.input, self.options)
    }

    /// Something begins here; [`Source::place`] is here until the next mark.
    pub(super) fn mark(&mut self) {
        self.text.mark = self.text.bytes_before + self.text.at as u64;
        self.text.mark_line = None;
        self.text.allowance = MARKUP_BYTES_MAX;
    }

    /// Where the mark is.
    pub(super) fn place(&self) -> Place {
        let text = &self.text;
        let line = text.mark_line.unwrap_or_else(|| text.line_at((text.mark - text.bytes_before) as usize));
        Place { line: Some(line), byte: text.mark }
    }

    /// Why it has stopped, if it has.
    pub(super) fn stopped(&self) -> Option<&Halt> {
        self.stopped.as_ref()
    }

    fn stop(&mut self, halt: Halt) -> io::Error {
        let error = io::Error::other(halt.reason.code());
        self.stopped = Some(halt);
        error
    }

    /// Reads until the piece is full or the input ends.
    fn read_piece(&mut self) -> io::Result<usize> {
        let mut filled = 0;
        while filled < self.piece.len() {
            match self.input.read(&mut self.piece[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let detail = format!("it could not be read: {error}");
                    return Err(self.stop(Halt::new(Reason::Unreadable, detail)));
                }
            }
        }
        if !(self.options.go_on)() {
            return Err(self.stop(Halt::of(Reason::TooSlow)));
        }
        let Some(left) = self.bytes_left.checked_sub(filled as u64) else {
            return Err(self.stop(Halt::of(Reason::TooLong)));
        };
        self.bytes_left = left;
        Ok(filled)
    }

    /// Takes up the next piece; the text that there was has been handed on.
    fn refill(&mut self) -> io::Result<()> {
        self.text.leave_buffer();
        while self.text.buffer.is_empty() && !self.ended {
            let mut filled = self.read_piece()?;
            if self.decoding.is_none() {
                let found = find_encoding(&self.piece[..filled], self.options.charset.as_deref());
                let (encoding, skip) = match found {
                    Ok(found) => found,
                    Err(detail) => return Err(self.stop(Halt::new(Reason::Encoding, detail))),
                };
                self.piece.copy_within(skip..filled, 0);
                filled -= skip;
                self.text.bytes_before += skip as u64;
                self.decoding = Some(Decoding::of(encoding));
            }
            match &mut self.decoding {
                Some(Decoding::Other(decoder)) => {
                    self.text.buffer.resize(TEXT_BYTES, 0);
                    let piece = &self.piece[..filled];
                    let (result, read, written) =
                        decoder.decode_to_utf8_without_replacement(piece, &mut self.text.buffer, self.ended);
                    self.text.buffer.truncate(written);
                    // The buffer has room for whatever a piece becomes, so a piece is always taken whole.
                    if result != DecoderResult::InputEmpty || read != filled {
                        return Err(self.stop(Halt::of(Reason::Encoding)));
                    }
                }
                _ => self.text.buffer.extend_from_slice(&self.piece[..filled]),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let text = self.fill_buf()?;
        let len = text.len().min(into.len());
        into[..len].copy_from_slice(&text[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(halt) = &self.stopped {
            return Err(io::Error::other(halt.reason.code()));
        }
        if self.text.at == self.text.buffer.len() {
            self.refill()?;
        }
        if self.text.allowance == 0 && self.text.at < self.text.buffer.len() {
            return Err(self.stop(Halt::of(Reason::MarkupTooLong)));
        }
        let text = &self.text.buffer[self.text.at..];
        Ok(&text[..text.len().min(self.text.allowance)])
    }

    fn consume(&mut self, len: usize) {
        self.text.at += len;
        self.text.allowance -= len;
    }
}

impl Text {
    /// The line of a place in the buffer, from 1.
    fn line_at(&self, at: usize) -> u64 {
        1 + self.lines_before + line_breaks(&self.buffer[..at])
    }

    /// Counts the buffer, which was handed on, and empties it.
    fn leave_buffer(&mut self) {
        if self.mark_line.is_none() {
            self.mark_line = Some(self.line_at((self.mark - self.bytes_before) as usize));
        }
        self.bytes_before += self.buffer.len() as u64;
        self.lines_before += line_breaks(&self.buffer);
        self.buffer.clear();
        self.at = 0;
    }
}

fn line_breaks(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Decoding {
    fn of(encoding: &'static Encoding) -> Self {
        if encoding == UTF_8 {
            Decoding::Utf8
        } else {
            Decoding::Other(encoding.new_decoder_without_bom_handling())
        }
    }
}

/// The encoding of a feed that begins so, and how many bytes its mark takes.
fn find_encoding(beginning: &[u8], charset: Option<&str>) -> Result<(&'static Encoding, usize), String> {
    if let Some((encoding, mark)) = Encoding::for_bom(beginning) {
        return Ok((encoding, mark));
    }
    // What begins with a tag tells by its zeros whether it is in sixteen bits.
    match beginning {
        [0, b'<', 0, ..] => return Ok((UTF_16BE, 0)),
        [b'<', 0, next, 0, ..] if *next != 0 => return Ok((UTF_16LE, 0)),
        _ => {}
    }
    let Some(name) = declared_encoding(beginning).or(charset) else {
        return Ok((UTF_8, 0));
    };
    match Encoding::for_label(name.as_bytes()) {
        // It says sixteen bits in eight: what it is, is ASCII at least.
        Some(encoding) if encoding == UTF_16BE || encoding == UTF_16LE => Ok((UTF_8, 0)),
        Some(encoding) if encoding != REPLACEMENT => Ok((encoding, 0)),
        _ => Err(format!("its encoding, {:?}, is unknown", excerpt(name))),
    }
}

/// The name in `<?xml … encoding="…"?>`.
fn declared_encoding(beginning: &[u8]) -> Option<&str> {
    let beginning = &beginning[..beginning.len().min(DECLARATION_BYTES_MAX)];
    let end = beginning.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(beginning[..end].strip_prefix(b"<?xml")?).ok()?;
    if !declaration.starts_with([' ', '\t', '\r', '\n']) {
        return None;
    }
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    rest[1..].split(quote).next()
}
