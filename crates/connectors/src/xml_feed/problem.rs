//! Why a feed is refused, and what of one was left out.

use std::fmt;

use super::limits::{
    ATTRIBUTES_MAX, COMPLAINT_CHARS_MAX, DEPTH_MAX, EVENTS_MAX, EXCERPT_CHARS_MAX, MARKUP_BYTES_MAX,
    PENDING_BYTES_MAX, PROBLEMS_KEPT_MAX, ROUNDS_MAX,
};
use crate::{Place, Problem};

/// A feed that is not taken over, and where reading it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Where; the byte is one of the text as UTF-8, if the feed is in another encoding.
    pub place: Place,
    /// A sentence for a person, in which at most a few words are the feed's own.
    pub detail: String,
}

/// Why a feed is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is nothing in it.
    Empty,
    /// It is XML, or HTML, but no `planList`.
    NotAPlanList,
    /// It is not well-formed.
    Malformed,
    /// It ends before it is whole.
    CutShort,
    /// It has a document type, or an entity that only one could declare.
    DocumentType,
    /// Its encoding is unknown, or its bytes are not in it.
    Encoding,
    /// It is longer than the caller allows.
    TooLong,
    /// It has more than [`EVENTS_MAX`] events.
    TooManyEvents,
    /// A tag or text is longer than [`MARKUP_BYTES_MAX`].
    MarkupTooLong,
    /// Its elements are nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// An element has more than [`ATTRIBUTES_MAX`] attributes.
    TooManyAttributes,
    /// More of it is repeated, in different words, than is put together.
    TooManyRepeats,
    /// Reading it took longer than the caller allows.
    TooSlow,
    /// The file could not be read.
    Unreadable,
}

impl Reason {
    /// A stable code.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Empty => "feed-empty",
            Reason::NotAPlanList => "feed-not-a-plan-list",
            Reason::Malformed => "feed-malformed",
            Reason::CutShort => "feed-cut-short",
            Reason::DocumentType => "feed-document-type",
            Reason::Encoding => "feed-encoding",
            Reason::TooLong => "feed-too-long",
            Reason::TooManyEvents => "feed-too-many-events",
            Reason::MarkupTooLong => "feed-markup-too-long",
            Reason::TooDeep => "feed-too-deep",
            Reason::TooManyAttributes => "feed-too-many-attributes",
            Reason::TooManyRepeats => "feed-too-many-repeats",
            Reason::TooSlow => "feed-too-slow",
            Reason::Unreadable => "feed-unreadable",
        }
    }

    /// What there is to say without knowing more.
    pub(super) fn sentence(self) -> String {
        match self {
            Reason::Empty => "nothing is in it".to_owned(),
            Reason::NotAPlanList => "its outermost element is not planList".to_owned(),
            Reason::Malformed => "it is not well-formed".to_owned(),
            Reason::CutShort => "it ends before it is whole".to_owned(),
            Reason::DocumentType => "it has a document type, which is not read".to_owned(),
            Reason::Encoding => "its bytes are not in its encoding".to_owned(),
            Reason::TooLong => "it is longer than is allowed".to_owned(),
            Reason::TooManyEvents => format!("it has more than {EVENTS_MAX} events"),
            Reason::MarkupTooLong => format!("a tag or text is longer than {MARKUP_BYTES_MAX} bytes"),
            Reason::TooDeep => format!("its elements are nested deeper than {DEPTH_MAX}"),
            Reason::TooManyAttributes => format!("an element has more than {ATTRIBUTES_MAX} attributes"),
            Reason::TooManyRepeats => {
                let bytes = PENDING_BYTES_MAX as u64 * ROUNDS_MAX;
                format!("events that it repeats, in different words, take more than {bytes} bytes")
            }
            Reason::TooSlow => "reading it took longer than is allowed".to_owned(),
            Reason::Unreadable => "it could not be read".to_owned(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (", self.reason.code(), self.detail)?;
        if let Some(line) = self.place.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "byte {})", self.place.byte)
    }
}

impl std::error::Error for Refused {}

/// Why reading cannot go on; where, is added by who knows.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

impl Halt {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Halt { reason, detail: detail.into() }
    }

    pub(super) fn of(reason: Reason) -> Self {
        Halt::new(reason, reason.sentence())
    }
}

/// What was read of a feed, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that were read, repeated ones counted each time.
    pub events: u64,
    /// Their plans.
    pub plans: u64,
    /// Their zones.
    pub zones: u64,
    /// Events left out: no id, no title, too large.
    pub events_left_out: u64,
    /// Plans left out: no id, no time or one that is none. Those of events that were left out are not counted.
    pub plans_left_out: u64,
    /// Zones left out: something missing, a number that is none. Those of plans that were left out are not counted.
    pub zones_left_out: u64,
    /// Plans that stood twice in one event, and were merged.
    pub plans_repeated: u64,
    /// Occurrences of events beyond the first of each: they are merged as well.
    pub events_repeated: u64,
    /// Zones that stood twice in one plan, of which the last holds.
    pub zones_repeated: u64,
    /// The first [`PROBLEMS_KEPT_MAX`] of what was left out or repeated. Codes: `event-invalid`, `event-too-large`,
    /// `plan-invalid`, `zone-invalid`, `event-repeated`, `plan-repeated`, `zone-repeated`.
    pub problems: Vec<Problem>,
}

impl Tally {
    /// How many problems there were, kept or not.
    pub fn problems_total(&self) -> u64 {
        let left_out = self.events_left_out + self.plans_left_out + self.zones_left_out;
        left_out + self.events_repeated + self.plans_repeated + self.zones_repeated
    }

    /// Keeps a problem, if there is room; only then it is put into words.
    pub(super) fn note(
        &mut self,
        place: impl FnOnce() -> Place,
        code: &'static str,
        detail: impl FnOnce() -> String,
    ) {
        if self.problems.len() < PROBLEMS_KEPT_MAX {
            self.problems.push(Problem::new(place(), code, detail()));
        }
    }
}

/// What the parser complains of, which may quote the feed.
pub(super) fn complaint(error: &impl fmt::Display) -> String {
    beginning(&error.to_string(), COMPLAINT_CHARS_MAX)
}

/// The beginning of a text of the feed.
pub(super) fn excerpt(text: &str) -> String {
    beginning(text, EXCERPT_CHARS_MAX)
}

fn beginning(text: &str, chars_max: usize) -> String {
    let mut cut: String = text.chars().take(chars_max).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
