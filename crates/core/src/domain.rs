//! What a domain is: commands in, facts and an outcome (or a rejection) out.
//!
//! Invariants:
//! - `decide` reads and never writes; `apply` writes, is total, and never calls a rule.
//! - Both depend on their arguments alone: no clock, no randomness, no iteration over hash maps.
//! - No facts with an outcome is an accepted no-op (a stale update, say), not a rejection.

use std::borrow::Cow;

use crate::{Ids, Ordinal, Read, Seq, TenantNumber, Timestamp, Write};

/// A set of rules over one kind of record, or a composition of several such sets.
pub trait Domain: Send + Sync + 'static {
    /// What a client asks for. May be refused.
    type Command: Send + 'static;
    /// What was decided, in the past tense. What the log holds.
    type Fact: Recorded;
    /// What the client is told when its command was accepted.
    type Outcome: Storable + Send + 'static;

    /// The version of the rules, stamped into every batch. Raised when `decide` answers the same command on the
    /// same view otherwise than before.
    const RULES_VERSION: u16;
    /// The version of the view's tables, stamped into stores and snapshots. Raised when `apply` writes other bytes
    /// than before for the same facts: views of another version are thrown away and rebuilt from the log.
    const VIEW_SCHEMA: u16;

    /// Decides `command` against `view` as it stands now.
    ///
    /// # Errors
    /// The business "no", by its stable code.
    fn decide(
        &self,
        view: &dyn Read,
        command: &Self::Command,
        cx: &Context,
    ) -> Result<Decision<Self::Fact, Self::Outcome>, Rejection>;

    /// Applies one fact. Total: a fact that was logged is always applicable.
    fn apply(&self, view: &mut dyn Write, fact: &Self::Fact, at: At);
}

/// An accepted command: what changed, and what the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<F, O> {
    /// The facts, in the order in which they are applied. Empty for a no-op.
    pub facts: Vec<F>,
    /// The answer.
    pub outcome: O,
}

/// A fact's encoding in the log. Old versions are decoded for ever.
pub trait Recorded: Sized + Send + 'static {
    /// The number of this kind of fact, unique over all domains and never used again.
    fn kind(&self) -> u16;
    /// The version of the encoding that [`Recorded::encode`] writes.
    fn version(&self) -> u8;
    /// Appends the encoded body to `out`.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a body of any released version.
    ///
    /// # Errors
    /// [`Undecodable`] for a kind or version that this build does not know, or a malformed body.
    fn decode(kind: u16, version: u8, body: &[u8]) -> Result<Self, Undecodable>;
}

/// A value with a stored form that carries its own version.
pub trait Storable: Sized {
    /// Appends the stored form to `out`.
    fn store(&self, out: &mut Vec<u8>);
    /// Reads a stored form.
    ///
    /// # Errors
    /// [`Undecodable`] for an unknown version or a malformed body.
    fn restore(bytes: &[u8]) -> Result<Self, Undecodable>;
}

/// A stored form that this build cannot read: written by a newer build, or damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// What was being read, such as `fact 17 version 3`.
    pub what: Cow<'static, str>,
}

impl std::fmt::Display for Undecodable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot decode {}", self.what)
    }
}

impl std::error::Error for Undecodable {}

/// What `decide` may know besides the view and the command.
#[derive(Debug)]
pub struct Context {
    /// When the batch is decided. Strictly above every earlier batch's.
    pub timestamp: Timestamp,
    /// The tenant the command belongs to.
    pub tenant: TenantNumber,
    /// Who asks.
    pub actor: Actor,
    /// The source of new ids, seeded by the engine.
    pub ids: Ids,
}

/// Where and when a fact stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The tenant whose command caused the fact.
    pub tenant: TenantNumber,
    /// The batch.
    pub seq: Seq,
    /// The fact's place within the batch.
    pub ordinal: Ordinal,
    /// When the batch was decided.
    pub timestamp: Timestamp,
}

/// Who asks for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Actor {
    /// The server itself: timers, demo data, imports from the command line.
    System,
    /// Nobody in particular: an open server, or a public route.
    #[default]
    Anonymous,
    /// An API key, by its id.
    ApiKey(u128),
    /// A user, by their id.
    User(u128),
}

/// A business "no", or a failed precondition that only the writer can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of refusal it is. Only [`Class::Conflict`] is remembered under an idempotency key.
    pub class: Class,
    /// The stable code in kebab-case, such as `time-range-unavailable`.
    pub code: Cow<'static, str>,
    /// One sentence for a person.
    pub detail: String,
    /// Further members of the answer, such as the appointments in the way.
    pub members: Vec<Member>,
}

/// A named JSON value beside a rejection's code and detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The member's name.
    pub name: Cow<'static, str>,
    /// Its value as JSON text.
    pub json: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Against a rule, given what is there now: a business rejection.
    Conflict = 0,
    /// What the command is about does not exist.
    Absent = 1,
    /// A precondition (`If-Match`) failed.
    Precondition = 2,
    /// Well-formed, but never acceptable.
    Unprocessable = 3,
    /// Not allowed for this actor.
    Forbidden = 4,
    /// A named limit is reached.
    TooMany = 5,
    /// The command's facts are larger than a command may be.
    TooLarge = 6,
}

impl Rejection {
    /// A refusal of `class` with a stable `code` and a sentence for a person.
    pub fn new(class: Class, code: &'static str, detail: impl Into<String>) -> Self {
        Rejection { class, code: Cow::Borrowed(code), detail: detail.into(), members: Vec::new() }
    }

    /// A business rejection.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Class::Conflict, code, detail)
    }

    /// Adds a member to the answer; `json` is its value as JSON text.
    #[must_use]
    pub fn with(mut self, name: &'static str, json: String) -> Self {
        self.members.push(Member { name: Cow::Borrowed(name), json });
        self
    }
}

impl Storable for Rejection {
    fn store(&self, out: &mut Vec<u8>) {
        fn text(out: &mut Vec<u8>, text: &str) {
            out.extend_from_slice(&u32::try_from(text.len()).expect("texts are short").to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.push(1);
        out.push(self.class as u8);
        text(out, &self.code);
        text(out, &self.detail);
        out.push(u8::try_from(self.members.len()).expect("a rejection has few members"));
        for member in &self.members {
            text(out, &member.name);
            text(out, &member.json);
        }
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        struct Reader<'a>(&'a [u8]);
        impl<'a> Reader<'a> {
            fn take(&mut self, len: usize) -> Option<&'a [u8]> {
                let (head, tail) = self.0.split_at_checked(len)?;
                self.0 = tail;
                Some(head)
            }
            fn byte(&mut self) -> Option<u8> {
                self.take(1).map(|b| b[0])
            }
            fn text(&mut self) -> Option<String> {
                let len = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
                Some(std::str::from_utf8(self.take(len as usize)?).ok()?.to_owned())
            }
        }
        fn read(reader: &mut Reader<'_>) -> Option<Rejection> {
            if reader.byte()? != 1 {
                return None;
            }
            let class = match reader.byte()? {
                0 => Class::Conflict,
                1 => Class::Absent,
                2 => Class::Precondition,
                3 => Class::Unprocessable,
                4 => Class::Forbidden,
                5 => Class::TooMany,
                6 => Class::TooLarge,
                _ => return None,
            };
            let code = Cow::Owned(reader.text()?);
            let detail = reader.text()?;
            let mut members = Vec::new();
            for _ in 0..reader.byte()? {
                members.push(Member { name: Cow::Owned(reader.text()?), json: reader.text()? });
            }
            reader.0.is_empty().then_some(Rejection { class, code, detail, members })
        }
        read(&mut Reader(bytes)).ok_or(Undecodable { what: "a stored rejection".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_rejection_comes_back_whole() {
        let rejection = Rejection::conflict("time-range-unavailable", "It is taken.")
            .with("conflicts", "[{\"external_id\":\"a\"}]".into());
        let mut bytes = Vec::new();
        rejection.store(&mut bytes);
        assert_eq!(Rejection::restore(&bytes), Ok(rejection));
        for cut in 0..bytes.len() {
            assert!(Rejection::restore(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
