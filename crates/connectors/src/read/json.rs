//! Records as JSON: an array of objects, an object with such arrays in it (however deep), or objects one behind the
//! other, which is what NDJSON is.
//!
//! The objects are cut out by their brackets and strings, so that nothing but the one at hand is held, and each is
//! then parsed by `serde_json`. An opening brace where JSON has none shows at once that the object before it was
//! never closed.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

use super::lost::Lost;
use super::window::BYTE_ORDER_MARK;
use super::{Found, Problem, RECORD_BYTES_MAX, Window};
use crate::fields::{Field, Fields, Value};
use crate::salon::Kind;

/// The deepest nesting of one object.
const DEPTH_MAX: u32 = 60;

const BEHIND_RECORD: Lost = Lost::behind_record(b'{', b'}');

/// Reads records as JSON.
#[derive(Debug)]
pub(super) struct Json {
    kind: Option<Kind>,
    begun: bool,
    /// Objects around the arrays of records.
    wrappers: u32,
    /// Arrays around the records.
    arrays: u32,
    /// Within the text of a wrapper's member.
    text: Option<Escape>,
    object: Option<Scan>,
    lost: Option<Lost>,
    /// Brackets are told apart no more, since some were in a broken record.
    unbalanced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    No,
    Yes,
}

/// How far an object has been looked through.
#[derive(Debug)]
struct Scan {
    at: usize,
    /// No array is around it, so that it may be what is around one.
    may_wrap: bool,
    depth: u32,
    /// A bit for each open bracket, the innermost lowest: whether it is an array's.
    arrays: u64,
    text: Option<Escape>,
    /// The last byte that was no blank and stood outside of texts.
    last: u8,
}

/// How an object ends.
enum Cut {
    /// Before this byte.
    Whole(usize),
    /// It only holds records, the first of which begins here.
    Wrapper {
        at: usize,
        depth: u32,
    },
    /// Another one begins here, and this one was never closed.
    Unclosed(usize),
    Malformed(&'static str),
    TooLong,
}

impl Json {
    pub(super) fn new(kind: Option<Kind>) -> Self {
        Json {
            kind,
            begun: false,
            wrappers: 0,
            arrays: 0,
            text: None,
            object: None,
            lost: None,
            unbalanced: false,
        }
    }

    pub(super) fn advance(&mut self, window: &mut Window, found: &mut Found) -> bool {
        if !self.begun {
            let rest = window.rest();
            if rest.len() < BYTE_ORDER_MARK.len() && !window.has_ended() {
                return false;
            }
            self.begun = true;
            let mark = if rest.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            window.take(mark);
        }
        if let Some(lost) = &mut self.lost {
            let (skipped, at_start) = lost.skip(window.rest(), |_| false);
            window.take(skipped);
            if !at_start {
                return self.finish(window, found);
            }
            self.lost = None;
        }
        match &mut self.object {
            Some(scan) => match scan.look(window.rest()) {
                Some(cut) => self.cut(cut, window, found),
                None if window.has_ended() => {
                    let looked = window.rest().len();
                    let left_out = found.broken(Problem::cut_short(window.place()), looked);
                    self.lose(window, left_out, BEHIND_RECORD);
                }
                None => return false,
            },
            None => {
                let Some(byte) = window.rest().first().copied() else { return self.finish(window, found) };
                self.between(byte, window, found);
            }
        }
        true
    }

    /// Takes a byte that stands between records.
    fn between(&mut self, byte: u8, window: &mut Window, found: &mut Found) {
        if let Some(escape) = self.text {
            self.text = within_text(escape, byte);
            window.take(1);
            return;
        }
        let in_wrapper = self.wrappers > 0 && self.arrays == 0;
        let in_order = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                let rest = window.rest();
                let blanks =
                    rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
                window.take(blanks);
                return;
            }
            b'{' => {
                self.object = Some(Scan::new(self.arrays == 0));
                return;
            }
            b',' => self.wrappers + self.arrays > 0 || self.unbalanced,
            b'[' => {
                self.arrays += 1;
                true
            }
            b']' => down(&mut self.arrays) || self.unbalanced,
            b'}' => self.arrays == 0 && down(&mut self.wrappers) || self.unbalanced,
            b'"' if in_wrapper => {
                self.text = Some(Escape::No);
                true
            }
            b':' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E' => in_wrapper,
            _ => false,
        };
        if in_order {
            window.take(1);
        } else {
            found.problem(Problem::malformed(window.place(), "no object begins here"));
            self.lose(window, 1, Lost::behind_junk(b'{'));
        }
    }

    fn cut(&mut self, cut: Cut, window: &mut Window, found: &mut Found) {
        let place = window.place();
        let looked = self.object.take().map_or(0, |scan| scan.at);
        match cut {
            Cut::Whole(end) => {
                // A member of a wrapper is no record.
                if self.wrappers == 0 || self.arrays > 0 {
                    match serde_json::from_slice::<Fields<'_>>(&window.rest()[..end]) {
                        Ok(fields) if fields.is_empty() && fields.empty_list => {}
                        Ok(fields) => found.fields(place, &fields, self.kind),
                        Err(error) => found.problem(Problem::malformed(place, error.to_string())),
                    }
                }
                window.take(end);
            }
            Cut::Wrapper { at, depth } => {
                self.wrappers += depth;
                self.arrays += 1;
                window.take(at);
            }
            Cut::Unclosed(at) => {
                found.problem(Problem::malformed(place, "it is not closed"));
                self.unbalanced = true;
                window.take(at);
            }
            Cut::Malformed(why) => {
                let left_out = found.broken(Problem::malformed(place, why), looked);
                self.lose(window, left_out, BEHIND_RECORD);
            }
            Cut::TooLong => {
                let left_out = found.broken(Problem::too_long(place), looked);
                self.lose(window, left_out, BEHIND_RECORD);
            }
        }
    }

    /// Leaves the bytes at hand out, and looks for the next record.
    fn lose(&mut self, window: &mut Window, left_out: usize, lost: Lost) {
        self.object = None;
        self.unbalanced = true;
        self.lost = Some(lost);
        window.take(left_out);
    }

    /// There is nothing more now. At the end, says whether something is still open.
    fn finish(&mut self, window: &Window, found: &mut Found) -> bool {
        let open = self.arrays + self.wrappers > 0 && !self.unbalanced;
        if window.has_ended() && open {
            self.unbalanced = true;
            found.problem(Problem::new(window.place(), "record-cut-short", "the input ends within a list"));
            return true;
        }
        false
    }
}

impl Scan {
    fn new(may_wrap: bool) -> Self {
        Scan { at: 0, may_wrap, depth: 0, arrays: 0, text: None, last: b':' }
    }

    /// Goes on through the object; `None` when more bytes are needed.
    fn look(&mut self, bytes: &[u8]) -> Option<Cut> {
        while let Some(byte) = bytes.get(self.at).copied() {
            if self.at >= RECORD_BYTES_MAX {
                return Some(Cut::TooLong);
            }
            if let Some(escape) = self.text {
                // A text has no line breaks: one of its quotes is missing.
                if byte == b'\n' {
                    return Some(Cut::Malformed("a text is not closed on its line"));
                }
                self.text = within_text(escape, byte);
                self.at += 1;
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    continue;
                }
                // With a quote missing, what should be text is not, up to the next one that is broken.
                b'"' if !matches!(self.last, b'{' | b'[' | b',' | b':') => {
                    return Some(Cut::Malformed("a text begins where none can"));
                }
                b'"' => self.text = Some(Escape::No),
                byte if self.last == b'"' && !matches!(byte, b',' | b':' | b'}' | b']' | b'{') => {
                    return Some(Cut::Malformed("something follows a text that cannot"));
                }
                b'{' => {
                    let in_array = self.arrays & 1 == 1;
                    if self.may_wrap && in_array && self.last == b'[' && self.arrays == 1 {
                        return Some(Cut::Wrapper { at: self.at, depth: self.depth - 1 });
                    }
                    if !(self.last == b':' || in_array && matches!(self.last, b'[' | b',')) {
                        return Some(Cut::Unclosed(self.at));
                    }
                    self.open(0);
                }
                b'[' => self.open(1),
                b'}' | b']' => {
                    if (self.arrays & 1 == 1) != (byte == b']') {
                        return Some(Cut::Malformed("its brackets do not match"));
                    }
                    self.depth -= 1;
                    self.arrays >>= 1;
                    if self.depth == 0 {
                        return Some(Cut::Whole(self.at + 1));
                    }
                }
                _ => {}
            }
            if self.depth > DEPTH_MAX {
                return Some(Cut::Malformed("it is nested too deeply"));
            }
            self.last = byte;
            self.at += 1;
        }
        None
    }

    fn open(&mut self, array: u64) {
        self.depth += 1;
        self.arrays = self.arrays << 1 | array;
    }
}

/// The state behind a byte of a text; none: the text is over.
fn within_text(escape: Escape, byte: u8) -> Option<Escape> {
    match (escape, byte) {
        (Escape::Yes, _) => Some(Escape::No),
        (Escape::No, b'\\') => Some(Escape::Yes),
        (Escape::No, b'"') => None,
        (Escape::No, _) => Some(Escape::No),
    }
}

/// Closes one, if one is open.
fn down(open: &mut u32) -> bool {
    let was_open = *open > 0;
    *open = open.saturating_sub(1);
    was_open
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor { nested: false })
    }
}

struct FieldsVisitor {
    nested: bool,
}

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(name)) = map.next_key()? {
            match Field::of(&name) {
                Some(Field::Customer) if !self.nested => {
                    fields.customer = map.next_value::<Nested<'de>>()?.0;
                }
                Some(field) => fields.set(field, map.next_value::<Member<'de>>()?.0),
                None => {
                    let Member(value) = map.next_value()?;
                    fields.empty_list |= value == EMPTY_LIST;
                }
            }
        }
        Ok(fields)
    }
}

const EMPTY_LIST: Value<'_> = Value::Other("an empty list");

/// A name of a member, borrowed where it can be.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MemberVisitor).map(|Member(value)| match value {
            Value::Text(text) => Name(text),
            _ => Name(Cow::Borrowed("")),
        })
    }
}

/// The booking's customer, if it is an object.
struct Nested<'a>(Option<Box<Fields<'a>>>);

impl<'de> Deserialize<'de> for Nested<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NestedVisitor;
        impl<'de> Visitor<'de> for NestedVisitor {
            type Value = Nested<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a customer or null")
            }

            fn visit_unit<E>(self) -> Result<Nested<'de>, E> {
                Ok(Nested(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Nested<'de>, A::Error> {
                FieldsVisitor { nested: true }.visit_map(map).map(|fields| Nested(Some(Box::new(fields))))
            }
        }
        deserializer.deserialize_any(NestedVisitor)
    }
}

/// A member's value.
struct Member<'a>(Value<'a>);

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Member<'de>, E> {
        Ok(Member(Value::Other("true or false")))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Member<'de>, E> {
        Ok(Member(Value::Integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Member<'de>, E> {
        Ok(Member(i64::try_from(number).map_or(Value::Number(number as f64), Value::Integer)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Member<'de>, E> {
        Ok(Member(Value::Number(number)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member(Value::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member(Value::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Member<'de>, E> {
        Ok(Member(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Member<'de>, A::Error> {
        if list.next_element::<IgnoredAny>()?.is_none() {
            return Ok(Member(EMPTY_LIST));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member(Value::Other("a list")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member(Value::Other("an object")))
    }
}
