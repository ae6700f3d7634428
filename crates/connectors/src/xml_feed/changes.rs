//! The second reading of a feed: what of it is new or changed, in groups that fit a command.
//!
//! An event that the feed repeats in the same words is looked at once. One that it repeats in different words waits
//! for its last occurrence. Those that wait take up to [`PENDING_BYTES_MAX`] of memory: where all would take more, the
//! file is read several times, and each time only a part of them waits.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use super::digest::Digest;
use super::limits::PENDING_BYTES_MAX;
use super::problem::{Halt, Reason, Refused, Tally, excerpt};
use super::read::{Feed, Options};
use super::record::Event;
use super::survey::{Key, Known, Survey, key_of};

/// An event that is not known, or not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What the feed says of it.
    pub event: Event,
    /// Its [`Event::digest`], to be kept beside it.
    pub digest: Digest,
    /// Whether it is not known at all.
    pub new: bool,
}

/// The events of a spooled feed that are to be written.
pub struct Changes<'a, R: Read + Seek, K> {
    /// None only while the file is wound back, and if that failed.
    feed: Option<Feed<R>>,
    survey: &'a Survey,
    known: &'a K,
    time_zone: &'a str,
    round: u64,
    /// How often each repeated event was met in this round.
    met: Vec<u32>,
    /// Repeated events that wait; none in place of one that has become too large.
    pending: HashMap<Key, Option<Event>>,
    pending_bytes: usize,
    /// Did not fit into the group before.
    carried: Option<Changed>,
    first_round: Option<Tally>,
    written: Written,
}

/// What came of the events of a feed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Not known before.
    pub new: u64,
    /// Known otherwise, or as vanished.
    pub changed: u64,
    /// Known just so: nothing is written.
    pub unchanged: u64,
    /// Became too large by what was repeated.
    pub left_out: u64,
}

impl<'a, R: Read + Seek, K: Known> Changes<'a, R, K> {
    /// Begins the second reading, from the start of the same file, with the same zone, that `survey` was made from.
    ///
    /// # Errors
    /// The file cannot be wound back.
    pub fn new(
        mut file: R,
        options: Options,
        survey: &'a Survey,
        time_zone: &'a str,
        known: &'a K,
    ) -> std::io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Changes {
            feed: Some(Feed::new(file, options)),
            survey,
            known,
            time_zone,
            round: 0,
            met: vec![0; survey.repeats()],
            pending: HashMap::new(),
            pending_bytes: 0,
            carried: None,
            first_round: None,
            written: Written::default(),
        })
    }

    /// The next group: at least one event, at most `events_max`, whose [`Event::size`] sum up to at most `bytes_max`
    /// unless it is one event alone. None when there is nothing more to write.
    ///
    /// # Errors
    /// [`Refused`], which the first reading would have been too, unless the file has changed.
    pub fn next_group(
        &mut self,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<Changed>>, Refused> {
        let mut group: Vec<Changed> = self.carried.take().into_iter().collect();
        let mut bytes: usize = group.iter().map(|changed| changed.event.size()).sum();
        while group.len() < events_max.max(1) {
            let Some(changed) = self.next_changed()? else { break };
            bytes += changed.event.size();
            if bytes > bytes_max && !group.is_empty() {
                self.carried = Some(changed);
                break;
            }
            group.push(changed);
        }
        Ok(if group.is_empty() { None } else { Some(group) })
    }

    /// What was read, left out and repeated, with places; whole once there is no group left.
    pub fn tally(&self) -> Tally {
        let now = self.feed.as_ref().map(Feed::tally);
        let mut tally = self.first_round.as_ref().or(now).cloned().unwrap_or_default();
        tally.events_left_out += self.written.left_out;
        tally.events_repeated = self.survey.tally.events_repeated;
        tally
    }

    /// What has come of the events so far.
    pub fn written(&self) -> Written {
        self.written
    }

    fn next_changed(&mut self) -> Result<Option<Changed>, Refused> {
        while let Some(feed) = &mut self.feed {
            match feed.next_event()? {
                Some(event) => {
                    if let Some(event) = self.settled(event)?
                        && let Some(changed) = self.compare(event)
                    {
                        return Ok(Some(changed));
                    }
                }
                None if self.round + 1 < self.survey.rounds() => self.wind_back()?,
                None => break,
            }
        }
        Ok(None)
    }

    /// The event, once all is known that this feed says of it.
    fn settled(&mut self, event: Event) -> Result<Option<Event>, Refused> {
        let key = key_of(&event.id);
        let Some((at, repeat)) = self.survey.repeat(key) else {
            return Ok(Some(event).filter(|_| self.round == 0));
        };
        if !self.is_of_this_round(key, repeat.differs) {
            return Ok(None);
        }
        self.met[at] += 1;
        let met = self.met[at];
        if met > 1 {
            self.note("event-repeated", || format!("event {:?} stands in it before", excerpt(&event.id)));
        }
        if !repeat.differs {
            return Ok(Some(event).filter(|_| met == 1));
        }
        let merged = match self.pending.remove(&key) {
            None if met == 1 => Some(event),
            Some(Some(mut before)) => {
                self.pending_bytes -= before.footprint();
                before.merge(event);
                Some(before).filter(Event::fits)
            }
            _ => None,
        };
        if met == repeat.times {
            if merged.is_none() {
                self.written.left_out += 1;
                self.note("event-too-large", || "what is said of the event in all is too large".to_owned());
            }
            return Ok(merged);
        }
        self.pending_bytes += merged.as_ref().map_or(0, Event::footprint);
        self.pending.insert(key, merged);
        // The rounds share the keys out evenly, unless somebody has chosen them.
        if self.pending_bytes > PENDING_BYTES_MAX * 2 {
            return Err(self.refuse(Halt::of(Reason::TooManyRepeats)));
        }
        Ok(None)
    }

    fn is_of_this_round(&self, key: Key, differs: bool) -> bool {
        if differs { key[1] % self.survey.rounds() == self.round } else { self.round == 0 }
    }

    fn compare(&mut self, event: Event) -> Option<Changed> {
        let digest = event.digest(self.time_zone);
        let known = self.known.event(&event.id);
        match known {
            Some(known) if known.digest == digest && !known.vanished => {
                self.written.unchanged += 1;
                return None;
            }
            Some(_) => self.written.changed += 1,
            None => self.written.new += 1,
        }
        Some(Changed { event, digest, new: known.is_none() })
    }

    fn wind_back(&mut self) -> Result<(), Refused> {
        let Some(feed) = self.feed.take() else { return Ok(()) };
        let place = feed.place();
        if self.round == 0 {
            self.first_round = Some(feed.tally().clone());
        }
        let (mut file, options) = feed.into_parts();
        file.seek(SeekFrom::Start(0)).map_err(|error| Refused {
            reason: Reason::Unreadable,
            place,
            detail: format!("it could not be read again: {error}"),
        })?;
        self.feed = Some(Feed::new(file, options));
        self.round += 1;
        self.met.fill(0);
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    fn note(&mut self, code: &'static str, detail: impl FnOnce() -> String) {
        match (&mut self.first_round, &mut self.feed) {
            (Some(tally), Some(feed)) => {
                let place = feed.place();
                tally.note(|| place, code, detail);
            }
            (None, Some(feed)) => feed.note(code, detail),
            (_, None) => {}
        }
    }

    fn refuse(&self, halt: Halt) -> Refused {
        let place = self.feed.as_ref().map(Feed::place).unwrap_or(crate::Place { line: None, byte: 0 });
        Refused { reason: halt.reason, place, detail: halt.detail }
    }
}
