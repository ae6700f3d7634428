//! Records with all their versions, as a list of what answers said.

use std::collections::BTreeMap;
use std::fmt::Debug;

use maitred_booking::flash_sales::Versioned;
use maitred_booking::salons::Effect;
use maitred_booking::salons::fact::{Customer, Employee, Resource, Service};
use maitred_core::{Seq, Timestamp};
use uuid::Uuid;

/// The records of a kind by id: of each all versions, with the batch that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept<T>(BTreeMap<Uuid, Vec<(Seq, Versioned<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(BTreeMap::new())
    }
}

/// Whether a record is gone for good; those of most kinds never are.
pub(super) trait Gone {
    /// It is.
    fn is_gone(&self) -> bool {
        false
    }
}

macro_rules! gone {
    ($($type:ty),*) => {
        $(impl Gone for $type {
            fn is_gone(&self) -> bool {
                self.deleted
            }
        })*
    };
}

gone!(Customer, Employee, Resource, Service);
impl Gone for maitred_booking::salons::Booking {}
impl Gone for maitred_booking::salons::LegacyBooking {}
impl Gone for maitred_booking::salons::Settings {}
impl Gone for maitred_booking::salons::plan::PlanState {}
impl Gone for maitred_booking::salons::series::Series {}
impl Gone for maitred_booking::salons::waitlist::WaitlistEntry {}

impl<T: Gone> Kept<T> {
    /// What a record is, gone or not.
    pub(super) fn current(&self, id: Uuid) -> Option<&Versioned<T>> {
        self.0.get(&id).and_then(|versions| versions.last()).map(|(_, version)| version)
    }

    /// A record that is there.
    pub(super) fn get(&self, id: Uuid) -> Option<&T> {
        self.current(id).map(|found| &found.is).filter(|is| !is.is_gone())
    }

    /// A record that is there, of a certain version if one is demanded.
    pub(super) fn at_version(
        &self,
        id: Uuid,
        if_version: Option<u64>,
        not_found: &'static str,
    ) -> Result<&Versioned<T>, &'static str> {
        let found = self.current(id).filter(|found| !found.is.is_gone()).ok_or(not_found)?;
        match if_version {
            Some(wanted) if wanted != found.version => Err("version-mismatch"),
            _ => Ok(found),
        }
    }

    /// All records, gone or not, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Versioned<T>> {
        self.0.values().filter_map(|versions| versions.last()).map(|(_, version)| version)
    }

    /// Those that are there.
    pub(super) fn there(&self) -> impl Iterator<Item = &T> {
        self.all().map(|found| &found.is).filter(|is| !is.is_gone())
    }

    /// Every record with its versions.
    pub(super) fn versions(&self) -> impl Iterator<Item = (Uuid, &[(Seq, Versioned<T>)])> {
        self.0.iter().map(|(id, versions)| (*id, versions.as_slice()))
    }

    /// What each record was after a batch.
    pub(super) fn as_of(&self, seq: Seq) -> impl Iterator<Item = &Versioned<T>> {
        let known = move |versions: &'_ Vec<(Seq, Versioned<T>)>| {
            versions.partition_point(|(wrote, _)| *wrote <= seq).checked_sub(1)
        };
        self.0.values().filter_map(move |versions| known(versions).map(|place| &versions[place].1))
    }

    /// Adds a version.
    pub(super) fn push(&mut self, id: Uuid, seq: Seq, at: Timestamp, is: T) {
        let versions = self.0.entry(id).or_default();
        let version = versions.len() as u64 + 1;
        versions.push((seq, Versioned { version, updated_at: at, is }));
    }
}

impl<T: Gone + Clone + PartialEq + Debug> Kept<T> {
    /// Takes over what an answer says that a command has left behind.
    pub(super) fn adopt(
        &mut self,
        id: Uuid,
        effect: Effect,
        found: &Versioned<T>,
        (seq, at): (Seq, Timestamp),
    ) -> Result<(), String> {
        let known = self.current(id);
        let version = known.map_or(0, |known| known.version);
        let is_as_it_should_be = match effect {
            // What nobody has changed has no version, and is what it is by default.
            Effect::Unchanged | Effect::IgnoredStale => {
                known.map_or(found.version == 0, |known| known == found)
            }
            Effect::Created => (version, found.version, found.updated_at) == (0, 1, at),
            Effect::Updated => (found.version, found.updated_at) == (version + 1, at),
            Effect::Imported => false, // nobody draws one
            Effect::Deleted => {
                (found.version, found.updated_at, found.is.is_gone()) == (version + 1, at, true)
            }
        };
        if !is_as_it_should_be {
            return Err(format!("{effect:?} {found:?}; the model knows {known:?}"));
        }
        if !matches!(effect, Effect::Unchanged | Effect::IgnoredStale) {
            self.push(id, seq, at, found.is.clone());
        }
        Ok(())
    }
}
