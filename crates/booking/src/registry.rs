//! The domains as one: [`Booking`] is what the engine runs.
//!
//! A domain is one line below. Its number stands before every stored outcome, and its facts' kinds lie in
//! its range; neither is ever given to another domain.

use maitred_core::{At, Context, Decision, Domain, Read, Recorded, Rejection, Storable, Undecodable, Write};

use crate::encoding::{FactKind, undecodable_fact};

/// The version of the rules of all domains together: raised when one decides otherwise than before.
const RULES_VERSION: u16 = 2;
/// The version of the tables of all domains together: raised when one applies its facts otherwise than before.
const VIEW_SCHEMA: u16 = 4;

/// Defines [`Command`], [`Fact`], [`Outcome`] and [`Booking`] over the listed domains.
macro_rules! domains {
    ($($(#[$doc:meta])* $number:literal $name:ident($module:ident) facts $first:literal..=$last:literal;)*) => {
        /// A command of any domain.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Command {
            $($(#[$doc])* $name(crate::$module::Command),)*
        }

        /// A fact of any domain.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fact {
            $($(#[$doc])* $name(crate::$module::Fact),)*
        }

        /// The outcome of a command of any domain.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Outcome {
            $($(#[$doc])* $name(crate::$module::Outcome),)*
        }

        $(
            impl From<crate::$module::Command> for Command {
                fn from(command: crate::$module::Command) -> Self {
                    Command::$name(command)
                }
            }
        )*

        /// Every kind of fact that this build writes.
        pub fn fact_kinds() -> impl Iterator<Item = FactKind> {
            [$(crate::$module::Fact::KINDS),*].into_iter().flatten().copied()
        }

        impl Domain for Booking {
            type Command = Command;
            type Fact = Fact;
            type Outcome = Outcome;
            const RULES_VERSION: u16 = RULES_VERSION;
            const VIEW_SCHEMA: u16 = VIEW_SCHEMA;

            fn decide(
                &self,
                view: &dyn Read,
                command: &Command,
                cx: &Context,
            ) -> Result<Decision<Fact, Outcome>, Rejection> {
                match command {
                    $(Command::$name(command) => {
                        let Decision { facts, outcome } = crate::$module::Rules.decide(view, command, cx)?;
                        let facts = facts.into_iter().map(Fact::$name).collect();
                        Ok(Decision { facts, outcome: Outcome::$name(outcome) })
                    })*
                }
            }

            fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
                match fact {
                    $(Fact::$name(fact) => crate::$module::Rules.apply(view, fact, at),)*
                }
            }
        }

        impl Recorded for Fact {
            fn kind(&self) -> u16 {
                match self {
                    $(Fact::$name(fact) => fact.kind(),)*
                }
            }

            fn version(&self) -> u8 {
                match self {
                    $(Fact::$name(fact) => fact.version(),)*
                }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Fact::$name(fact) => fact.encode(out),)*
                }
            }

            fn decode(kind: u16, version: u8, body: &[u8]) -> Result<Self, Undecodable> {
                match kind {
                    $($first..=$last => Recorded::decode(kind, version, body).map(Fact::$name),)*
                    _ => Err(undecodable_fact(kind, version)),
                }
            }
        }

        impl Storable for Outcome {
            fn store(&self, out: &mut Vec<u8>) {
                match self {
                    $(Outcome::$name(outcome) => {
                        out.push($number);
                        outcome.store(out);
                    })*
                }
            }

            fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
                match bytes.split_first() {
                    $(Some(($number, bytes)) => Storable::restore(bytes).map(Outcome::$name),)*
                    _ => Err(Undecodable { what: "an outcome of a domain that this build knows".into() }),
                }
            }
        }

        $(
            impl crate::app::OfDomain for crate::$module::Command {
                type Outcome = crate::$module::Outcome;

                fn outcome(of_product: Outcome) -> Self::Outcome {
                    match of_product {
                        Outcome::$name(outcome) => outcome,
                        other => unreachable!("a command of {} is answered with {other:?}", stringify!($name)),
                    }
                }
            }
        )*

        /// The ranges of the domains' fact kinds.
        #[cfg(test)]
        const RANGES: &[(std::ops::RangeInclusive<u16>, &[FactKind])] =
            &[$(($first..=$last, crate::$module::Fact::KINDS)),*];
    };
}

/// The whole product's rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Booking;

domains! {
    /// Who the tenants are, and their API keys.
    0 Tenants(tenants) facts 1..=99;
    /// Time on a resource, owned by another system.
    1 Appointments(appointments) facts 100..=199;
    /// Who works in a salon, what is done there, and what is booked.
    2 Salons(salons) facts 200..=299;
    /// The users of a tenant.
    3 Accounts(accounts) facts 300..=399;
    /// Products that are sold in a rush, their sales and orders.
    4 FlashSales(flash_sales) facts 400..=499;
    /// How far the consumers are, and what they could not deal with.
    5 Consumers(consumers) facts 500..=599;
    /// What is sent of a tenant's changes, and where to.
    7 Webhooks(webhooks) facts 700..=799;
    /// Events of providers, and the runs that carry them over.
    8 Catalogue(catalogue) facts 800..=899;
    /// Requests that are many commands.
    9 Batches(batches) facts 900..=999;
    /// Long work, and what queues it by itself.
    10 Jobs(jobs) facts 1000..=1099;
    /// What customers are told by mail.
    11 Mail(mail) facts 1100..=1199;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_kind_lies_in_its_domains_range_and_is_there_once() {
        let mut last = 0;
        for (range, kinds) in RANGES {
            assert!(*range.start() > last, "{range:?} overlaps the range before it");
            last = *range.end();
            for (i, kind) in kinds.iter().enumerate() {
                assert!(range.contains(&kind.kind), "{kind:?} is outside {range:?}");
                assert!(kinds[..i].iter().all(|other| other.kind != kind.kind), "{kind:?} is there twice");
            }
        }
    }

    #[test]
    fn facts_and_outcomes_of_unknown_domains_are_named() {
        let what = "fact 65535 version 1".into();
        assert_eq!(Fact::decode(u16::MAX, 1, b""), Err(Undecodable { what }));
        let what = "an outcome of a domain that this build knows".into();
        assert_eq!(Outcome::restore(&[255, 1]), Err(Undecodable { what }));
    }
}
