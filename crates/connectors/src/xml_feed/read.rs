//! One event of a feed after the other.

use std::borrow::Cow;
use std::io::Read;

use quick_xml::errors::{Error, SyntaxError};
use quick_xml::events::{BytesStart, Event as Markup};
use quick_xml::reader::Reader;

use super::attributes::{is_character, undeclared, wanted};
use super::limits::{
    DEPTH_MAX, EVENT_BYTES_MAX, EVENTS_MAX, ID_CHARS_MAX, PLANS_MAX, TEXT_CHARS_MAX, ZONES_MAX,
};
use super::problem::{Halt, Reason, Refused, Tally, complaint, excerpt};
use super::record::{Event, Moment, Plan, SellMode, Zone};
use super::source::Source;
use super::value;
use crate::Place;

/// How a feed is read.
pub struct Options {
    /// Most bytes of it; no more than [`super::limits::FEED_BYTES_MAX`] either way.
    pub bytes_max: u64,
    /// The encoding that the server named beside the feed; the feed's own word counts more.
    pub charset: Option<String>,
    /// How many decimals a price has: two, of most currencies (ISO 4217).
    pub price_decimals: u8,
    /// Asked every 64 KiB: once it answers false, the feed is refused as too slow. A clock looks through here.
    pub go_on: Box<dyn FnMut() -> bool + Send>,
}

impl Default for Options {
    fn default() -> Self {
        let go_on = Box::new(|| true);
        Options { bytes_max: super::limits::FEED_BYTES_MAX, charset: None, price_decimals: 2, go_on }
    }
}

/// A feed that is being read.
pub struct Feed<R: Read> {
    markup: Reader<Source<R>>,
    buffer: Vec<u8>,
    state: State,
    refused: Option<Refused>,
}

/// What is known of the feed so far.
#[derive(Default)]
struct State {
    price_decimals: u8,
    tally: Tally,
    within: Within,
    depth: usize,
    /// How deep in an element that nothing is read from.
    skipped: usize,
    /// Something stood before.
    begun: bool,
    /// None between events, and in one that was found too large.
    event: Option<Event>,
    plan: Option<Plan>,
    /// What the event holds, by [`Event::size`], and how many zones.
    size: usize,
    zones: usize,
    /// Events that were begun, whatever became of them.
    seen: u64,
}

/// The innermost element that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Within {
    #[default]
    Prolog,
    PlanList,
    Output,
    Event,
    Plan,
    Zone,
    Epilog,
}

enum Step {
    /// Nothing to tell yet.
    On,
    Event(Event),
    End,
}

impl<R: Read> Feed<R> {
    /// Begins to read; no byte is read yet.
    pub fn new(input: R, options: Options) -> Self {
        let state = State { price_decimals: options.price_decimals, ..State::default() };
        let mut markup = Reader::from_reader(Source::new(input, options));
        markup.config_mut().check_comments = true;
        Feed { markup, buffer: Vec::new(), state, refused: None }
    }

    /// The next event; none when the feed has ended as it should.
    ///
    /// # Errors
    /// [`Refused`]: everything that came before is to be thrown away too. It is answered again from then on.
    pub fn next_event(&mut self) -> Result<Option<Event>, Refused> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        loop {
            match self.step() {
                Ok(Step::On) => {}
                Ok(Step::Event(event)) => return Ok(Some(event)),
                Ok(Step::End) => return Ok(None),
                Err(halt) => {
                    let source = self.markup.get_ref();
                    // A source that has stopped knows better than the parser, which sees an error or the end.
                    let halt = source.stopped().cloned().unwrap_or(halt);
                    let refused = Refused { reason: halt.reason, place: source.place(), detail: halt.detail };
                    self.refused = Some(refused.clone());
                    return Err(refused);
                }
            }
        }
    }

    /// What was read so far, and left out.
    pub fn tally(&self) -> &Tally {
        &self.state.tally
    }

    /// The same, when reading is over.
    pub fn into_tally(self) -> Tally {
        self.state.tally
    }

    /// Where what was read last begins.
    pub(super) fn place(&self) -> Place {
        self.markup.get_ref().place()
    }

    pub(super) fn note(&mut self, code: &'static str, detail: impl FnOnce() -> String) {
        let place = self.place();
        self.state.tally.note(|| place, code, detail);
    }

    /// What it read from, and how.
    pub(super) fn into_parts(self) -> (R, Options) {
        self.markup.into_inner().into_parts()
    }

    fn step(&mut self) -> Result<Step, Halt> {
        self.buffer.clear();
        self.markup.get_mut().mark();
        let markup = self.markup.read_event_into(&mut self.buffer).map_err(ill_formed)?;
        let source = self.markup.get_ref();
        self.state.take(markup, &|| source.place())
    }
}

/// What the parser complains of, in our words.
fn ill_formed(error: Error) -> Halt {
    match error {
        Error::Syntax(SyntaxError::InvalidBangMarkup) => Halt::new(Reason::Malformed, complaint(&error)),
        // All the others are found at the end of the input.
        Error::Syntax(_) => Halt::of(Reason::CutShort),
        Error::Encoding(_) => Halt::of(Reason::Encoding),
        Error::Io(_) => Halt::of(Reason::Unreadable),
        other => Halt::new(Reason::Malformed, complaint(&other)),
    }
}

impl State {
    fn take(&mut self, markup: Markup<'_>, place: &dyn Fn() -> Place) -> Result<Step, Halt> {
        let first = !std::mem::replace(&mut self.begun, true);
        match markup {
            Markup::Start(tag) => {
                self.start(&tag, place)?;
                Ok(Step::On)
            }
            Markup::Empty(tag) => {
                self.start(&tag, place)?;
                Ok(self.end(place))
            }
            Markup::End(_) => Ok(self.end(place)),
            Markup::Text(text) => {
                let text = text.as_ref();
                // By bytes: what XML has not among them is below the blank, and blanks are most of it.
                let only_blanks = text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
                if only_blanks || (self.is_inside() && text.chars().all(is_character)) {
                    return Ok(Step::On);
                }
                Err(self.stray("text"))
            }
            Markup::CData(_) if self.is_inside() => Ok(Step::On),
            Markup::CData(_) => Err(self.stray("text")),
            Markup::GeneralRef(reference) if self.is_inside() => match reference.resolve_char_ref() {
                Ok(Some(_)) => Ok(Step::On),
                Ok(None) if quick_xml::escape::resolve_predefined_entity(&reference).is_some() => {
                    Ok(Step::On)
                }
                Ok(None) => Err(undeclared(&reference)),
                Err(error) => Err(Halt::new(Reason::Malformed, complaint(&error))),
            },
            Markup::GeneralRef(_) => Err(self.stray("a reference")),
            Markup::Decl(_) if first => Ok(Step::On),
            Markup::Decl(_) => Err(Halt::new(Reason::Malformed, "an XML declaration stands within it")),
            Markup::Comment(_) | Markup::PI(_) => Ok(Step::On),
            Markup::DocType(_) => Err(Halt::of(Reason::DocumentType)),
            Markup::Eof => match self.within {
                Within::Epilog => Ok(Step::End),
                Within::Prolog => Err(Halt::of(Reason::Empty)),
                _ => Err(Halt::of(Reason::CutShort)),
            },
        }
    }

    fn is_inside(&self) -> bool {
        !matches!(self.within, Within::Prolog | Within::Epilog)
    }

    fn stray(&self, what: &str) -> Halt {
        let detail = match self.within {
            Within::Prolog => format!("it begins with {what}, not with an element"),
            Within::Epilog => format!("{what} stands behind its end"),
            _ => "a character that XML has not stands in it".to_owned(),
        };
        Halt::new(Reason::Malformed, detail)
    }

    fn start(&mut self, tag: &BytesStart<'_>, place: &dyn Fn() -> Place) -> Result<(), Halt> {
        if self.depth == DEPTH_MAX {
            return Err(Halt::of(Reason::TooDeep));
        }
        self.depth += 1;
        if self.skipped > 0 {
            wanted(tag, [])?;
            self.skipped += 1;
            return Ok(());
        }
        let name = tag.name();
        let within = match (self.within, name.as_ref()) {
            (Within::Epilog, _) => return Err(self.stray("an element")),
            (Within::Prolog, "planList") => Within::PlanList,
            (Within::Prolog, _) => return Err(Halt::of(Reason::NotAPlanList)),
            (Within::PlanList, "output") => Within::Output,
            (Within::Output, "base_plan") => return self.start_event(tag, place),
            (Within::Event, "plan") => return self.start_plan(tag, place),
            (Within::Plan, "zone") => return self.start_zone(tag, place),
            _ => {
                wanted(tag, [])?;
                self.skipped = 1;
                return Ok(());
            }
        };
        wanted(tag, [])?;
        self.within = within;
        Ok(())
    }

    fn end(&mut self, place: &dyn Fn() -> Place) -> Step {
        self.depth -= 1;
        if self.skipped > 0 {
            self.skipped -= 1;
            return Step::On;
        }
        match self.within {
            Within::Zone => self.within = Within::Plan,
            Within::Plan => {
                self.within = Within::Event;
                self.end_plan(place);
            }
            Within::Event => {
                self.within = Within::Output;
                if let Some(event) = self.end_event(place) {
                    return Step::Event(event);
                }
            }
            Within::Output => self.within = Within::PlanList,
            Within::PlanList | Within::Prolog | Within::Epilog => self.within = Within::Epilog,
        }
        Step::On
    }

    fn start_event(&mut self, tag: &BytesStart<'_>, place: &dyn Fn() -> Place) -> Result<(), Halt> {
        self.seen += 1;
        if self.seen > EVENTS_MAX {
            return Err(Halt::of(Reason::TooManyEvents));
        }
        match event_of(wanted(tag, ["base_plan_id", "title", "sell_mode", "organizer_company_id"])?) {
            Ok(event) => {
                self.within = Within::Event;
                self.size = event.size();
                self.zones = 0;
                self.event = Some(event);
            }
            Err(detail) => {
                self.tally.events_left_out += 1;
                self.tally.note(place, "event-invalid", || detail);
                self.skipped = 1;
            }
        }
        Ok(())
    }

    fn start_plan(&mut self, tag: &BytesStart<'_>, place: &dyn Fn() -> Place) -> Result<(), Halt> {
        let names = ["plan_id", "plan_start_date", "plan_end_date", "sell_from", "sell_to", "sold_out"];
        let found = plan_of(wanted(tag, names)?);
        let Some(event) = &mut self.event else {
            self.skipped = 1;
            return Ok(());
        };
        match found {
            Ok(plan) => {
                self.within = Within::Plan;
                self.size += plan.size();
                let too_large = event.plans.len() == PLANS_MAX || self.size > EVENT_BYTES_MAX;
                self.plan = Some(plan);
                if too_large {
                    self.give_up_event(place);
                }
            }
            Err(detail) => {
                self.tally.plans_left_out += 1;
                self.tally.note(place, "plan-invalid", || detail);
                self.skipped = 1;
            }
        }
        Ok(())
    }

    fn start_zone(&mut self, tag: &BytesStart<'_>, place: &dyn Fn() -> Place) -> Result<(), Halt> {
        let stated = wanted(tag, ["zone_id", "capacity", "price", "name", "numbered"])?;
        let found = zone_of(stated, self.price_decimals);
        let Some(plan) = &mut self.plan else {
            self.skipped = 1;
            return Ok(());
        };
        match found {
            Ok(zone) => {
                self.within = Within::Zone;
                self.size += zone.size();
                self.zones += 1;
                plan.zones.push(zone);
                if self.zones > ZONES_MAX || self.size > EVENT_BYTES_MAX {
                    self.give_up_event(place);
                }
            }
            Err(detail) => {
                self.tally.zones_left_out += 1;
                self.tally.note(place, "zone-invalid", || detail);
                self.skipped = 1;
            }
        }
        Ok(())
    }

    /// The rest of the event is read for its form alone.
    fn give_up_event(&mut self, place: &dyn Fn() -> Place) {
        self.plan = None;
        let id = self.event.take().map(|event| event.id).unwrap_or_default();
        self.tally.events_left_out += 1;
        self.tally.note(place, "event-too-large", || {
            format!(
                "event {:?} has more than {PLANS_MAX} plans, {ZONES_MAX} zones or {EVENT_BYTES_MAX} bytes",
                excerpt(&id)
            )
        });
    }

    fn end_plan(&mut self, place: &dyn Fn() -> Place) {
        let (Some(event), Some(mut plan)) = (&mut self.event, self.plan.take()) else { return };
        let repeated = plan.settle();
        if repeated > 0 {
            self.tally.zones_repeated += repeated;
            self.tally.note(place, "zone-repeated", || {
                format!("plan {:?} has zones of one id: the last hold", excerpt(&plan.id))
            });
        }
        event.plans.push(plan);
    }

    fn end_event(&mut self, place: &dyn Fn() -> Place) -> Option<Event> {
        let mut event = self.event.take()?;
        let repeated = event.settle();
        if repeated > 0 {
            self.tally.plans_repeated += repeated;
            self.tally.note(place, "plan-repeated", || {
                format!("event {:?} has plans of one id: they are merged", excerpt(&event.id))
            });
        }
        self.tally.events += 1;
        self.tally.plans += event.plans.len() as u64;
        self.tally.zones += event.plans.iter().map(|plan| plan.zones.len() as u64).sum::<u64>();
        Some(event)
    }
}

type Value<'a> = Option<Cow<'a, str>>;

fn event_of([id, title, sell_mode, company]: [Value<'_>; 4]) -> Result<Event, String> {
    Ok(Event {
        id: id_of(id, "base_plan_id")?,
        title: text_of(title, "title")?,
        sell_mode: sell_mode.and_then(|mode| SellMode::parse(&mode)),
        organizer_company_id: match company {
            Some(company) if !company.is_empty() => Some(id_of(Some(company), "organizer_company_id")?),
            _ => None,
        },
        plans: Vec::new(),
    })
}

fn plan_of([id, starts_at, ends_at, sell_from, sell_to, sold_out]: [Value<'_>; 6]) -> Result<Plan, String> {
    Ok(Plan {
        id: id_of(id, "plan_id")?,
        starts_at: moment_of(starts_at, "plan_start_date")?,
        ends_at: moment_of(ends_at, "plan_end_date")?,
        sell_from: moment_of(sell_from, "sell_from")?,
        sell_to: moment_of(sell_to, "sell_to")?,
        sold_out: sold_out.is_some_and(|switch| value::switch(&switch)),
        zones: Vec::new(),
    })
}

fn zone_of([id, capacity, price, name, numbered]: [Value<'_>; 5], decimals: u8) -> Result<Zone, String> {
    let (capacity, price) = (given(capacity, "capacity")?, given(price, "price")?);
    Ok(Zone {
        id: id_of(id, "zone_id")?,
        capacity: value::capacity(&capacity)
            .ok_or_else(|| is_no(&capacity, "capacity", "number of places"))?,
        price_minor: value::price(&price, decimals).ok_or_else(|| is_no(&price, "price", "price"))?,
        name: text_of(name, "name")?,
        numbered: value::switch(&given(numbered, "numbered")?),
    })
}

fn given<'a>(value: Value<'a>, name: &str) -> Result<Cow<'a, str>, String> {
    value.ok_or_else(|| format!("{name} is missing"))
}

fn is_no(value: &str, name: &str, what: &str) -> String {
    format!("{name} {:?} is no {what}", excerpt(value))
}

fn id_of(value: Value<'_>, name: &str) -> Result<String, String> {
    let id = given(value, name)?;
    if id.is_empty() {
        return Err(format!("{name} is empty"));
    }
    not_longer(id, name, ID_CHARS_MAX)
}

fn text_of(value: Value<'_>, name: &str) -> Result<String, String> {
    not_longer(given(value, name)?, name, TEXT_CHARS_MAX)
}

fn not_longer(text: Cow<'_, str>, name: &str, chars_max: usize) -> Result<String, String> {
    // Only what has more bytes can have more characters.
    if text.len() > chars_max && text.chars().count() > chars_max {
        return Err(format!("{name} has more than {chars_max} characters"));
    }
    Ok(text.into_owned())
}

fn moment_of(value: Value<'_>, name: &str) -> Result<Moment, String> {
    let text = given(value, name)?;
    value::moment(&text).ok_or_else(|| is_no(&text, name, "time"))
}
