//! Versions of records that are taken over from another server, one by one, in the order in which they were decided
//! there.
//!
//! Invariant: a version becomes the next one here, or is here already and the same, or is refused. None is overwritten.
//!
//! Instants are compared in milliseconds, as exports tell them.

use std::ops::ControlFlow;

use maitred_core::{At, Read, Rejection, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::encoding::micros;
use crate::flash_sales::Versioned;
use crate::record::{self, RecordId};
use crate::violation::Violation;

/// A version that was taken over as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported<T> {
    /// Its number there and here.
    pub version: u64,
    /// When it was decided there.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// Whether it was the newest there. Of an older one nothing follows by itself: what did is a version to come.
    pub latest: bool,
    /// What it is.
    pub is: T,
}

impl<T: Clone> Imported<T> {
    /// As a version of here.
    pub(crate) fn versioned(&self) -> Versioned<T> {
        Versioned { version: self.version, updated_at: self.updated_at, is: self.is.clone() }
    }
}

impl<T> Imported<T> {
    /// Where its fact is applied: it is remembered as of when it was decided first.
    pub(crate) fn at(&self, at: At) -> At {
        At { timestamp: self.updated_at, ..at }
    }
}

/// The same with its instants as exports tell them.
pub(crate) trait InMillis {
    fn in_millis(self) -> Self;
}

impl InMillis for Timestamp {
    fn in_millis(self) -> Self {
        Timestamp::from_millis(self.as_millis())
    }
}

impl InMillis for Option<Timestamp> {
    fn in_millis(self) -> Self {
        self.map(Timestamp::in_millis)
    }
}

/// Where an imported version belongs.
pub(crate) enum Place<T> {
    /// It is here.
    Known(Versioned<T>),
    /// It is the next one, behind this one if there is any.
    Next(Option<T>),
}

impl<T: DeserializeOwned + PartialEq + Clone + InMillis> Place<T> {
    /// The place of `import` among the versions of its record.
    ///
    /// # Errors
    /// `version-missing` where those before it are not here, `version-differs` where another one is in its place.
    pub(crate) fn of(view: &dyn Read, record: RecordId, import: &Imported<T>) -> Result<Self, Rejection> {
        let newest = record::current(view, record).map(|version| Versioned::<T>::read(&version));
        let number = newest.as_ref().map_or(0, |newest| newest.version);
        if import.version > number + 1 {
            let detail = format!("The newest version here is {number}; those before this one are missing.");
            return Err(Rejection::conflict("version-missing", detail));
        }
        if import.version == number + 1 {
            return Ok(Place::Next(newest.map(|newest| newest.is)));
        }
        let mut found = None;
        record::versions(view, record, None, None, &mut |version| {
            if version.version < import.version {
                return ControlFlow::Continue(());
            }
            found = Some(Versioned::<T>::read(&version));
            ControlFlow::Break(())
        });
        let known = found.expect("versions count without a gap up to the newest");
        let same = known.updated_at.as_millis() == import.updated_at.as_millis()
            && known.is.clone().in_millis() == import.is.clone().in_millis();
        if same { Ok(Place::Known(known)) } else { Err(version_differs()) }
    }
}

/// The refusal of a version that is not the one which is here.
pub(crate) fn version_differs() -> Rejection {
    let detail =
        "This version is here already, or the one before it, with another content; it is not overwritten.";
    Rejection::conflict("version-differs", detail)
}

/// Checks the number of a version.
pub(crate) fn check_version(found: &mut Vec<Violation>, version: u64) {
    if version == 0 {
        found.push(Violation::new("/version", "invalid-version", "versions count from 1"));
    }
}
