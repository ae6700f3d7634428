//! Which kinds of requests a load is made of, and what answers they ought to have.
//!
//! Next: [`super::appointments`] for the requests themselves.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::tally::Outcome;

/// Sum of the weights of a mix.
const WEIGHT_MAX: usize = 1000;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// PUT of distinct new ids on distinct free times.
    Upsert,
    /// PUT of existing ids with a later `updated_at`.
    Update,
    /// PUT of new ids on times that are taken.
    Conflict,
    /// PUT of existing ids with an old `updated_at`.
    Stale,
    /// GET of one existing id.
    Get,
    /// GET of the list of what covers an instant.
    At,
    /// GET of the list of a chair's day.
    List,
    /// POST of many new ids at once.
    Batch,
    /// POST of new ids to the drop-in route of Sesami's clients.
    Sesami,
}

/// Kinds of requests and their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Each kind as many times as its weight says.
    pub(super) deck: Vec<Kind>,
}

impl FromStr for Mix {
    type Err = String;

    /// Reads `get` or `get=9,upsert=1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut deck = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let kind = Kind::from_str(name.trim(), false).map_err(|_| {
                let names: Vec<_> = Kind::value_variants().iter().map(ToString::to_string).collect();
                format!("{name} is none of {}", names.join(", "))
            })?;
            let weight: usize =
                weight.trim().parse().map_err(|_| format!("{part}: the weight is no number"))?;
            if weight == 0 || deck.len() + weight > WEIGHT_MAX {
                return Err(format!("weights are 1 or more, and at most {WEIGHT_MAX} together"));
            }
            deck.extend(std::iter::repeat_n(kind, weight));
        }
        Ok(Mix { deck })
    }
}

impl From<Kind> for Mix {
    fn from(kind: Kind) -> Self {
        Mix { deck: vec![kind] }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, run) in self.deck.chunk_by(|one, other| one == other).enumerate() {
            let separator = if number == 0 { "" } else { "," };
            let weight = if run.len() == self.deck.len() { String::new() } else { format!("={}", run.len()) };
            write!(f, "{separator}{}{weight}", run[0])?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Mix {
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.deck.contains(&kind)
    }

    /// Whether every answer is of one appointment and tells its version.
    pub(super) fn only_single_writes(&self) -> bool {
        self.deck
            .iter()
            .all(|kind| matches!(kind, Kind::Upsert | Kind::Update | Kind::Conflict | Kind::Stale))
    }

    /// The outcomes that its answers ought to have, where the records exist as they should.
    pub(super) fn expected(&self, revision: Option<u32>) -> Vec<Outcome> {
        let mut expected = Vec::new();
        for kind in Kind::value_variants().iter().filter(|kind| self.has(**kind)) {
            expected.extend(match kind {
                Kind::Upsert | Kind::Batch if revision.unwrap_or(0) > 0 => {
                    vec![Outcome::Created, Outcome::Updated]
                }
                Kind::Upsert | Kind::Batch | Kind::Sesami => vec![Outcome::Created],
                Kind::Update => vec![Outcome::Updated],
                Kind::Conflict => vec![Outcome::Conflict],
                Kind::Stale => vec![Outcome::IgnoredStale],
                Kind::Get | Kind::At | Kind::List => vec![Outcome::Found],
            });
        }
        expected
    }
}
