//! A flash sale under load: many buyers who all want one of few pieces at once, and whether each piece has found
//! exactly one of them.
//!
//! ```text
//!   shop: product, sale ─▶ buyers: accounts, tokens ─▶ tries: the load itself ─▶ shop: orders against what was said
//! ```
//!
//! Invariants: nothing of it is measured but the tries; which buyer makes try `n` depends on the seed alone; a run
//! passes only if the server's books agree with what the server has answered.
//!
//! Sources: the load test of the flash-sale service that is replaced (1,000 users, 100 pieces, 1,000 tries a second
//! for four seconds), whose figures the report has.

mod buyers;
mod shop;
mod tries;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use maitred_booking::flash_sales::{BUYER_LIMIT_MAX, QUANTITY_MAX};
use serde::Serialize;
use uuid::Uuid;

use self::shop::{Check, Shop};
use self::tries::Tries;
use super::generator::Plan;
use super::report::{Report, grouped};
use super::tally::Outcome;
use super::{
    CONNECTIONS_MAX, LoadError, SECONDS_MAX, THREADS_MAX, Target, rate, seconds, shared_report, timeout,
};

/// Most buyers of a run: the requests of each are kept in memory, half a kilobyte for one.
const USERS_MAX: u64 = 100_000;
/// Arrivals a second, and for how long, unless the options say otherwise: the load test that is repeated.
const RATE_DEFAULT: f64 = 1000.0;
const SECONDS_DEFAULT: f64 = 4.0;
/// Tries of a rush that has neither a number of them nor a time.
const RUSH_TRIES_DEFAULT: u64 = 100_000;

/// Who buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Buyers {
    /// Users with an account each, who send their token
    Users,
    /// Made-up ids for which the key's holder buys: no account is made, and no token is verified
    Named,
}

/// How the tries come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// So many a second, whether or not answers come
    OnTime,
    /// As fast as answers come
    Rush,
}

/// Options of `load flash-sale`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  1,000 buyers try 4,000 times in four seconds to get one of 100 pieces:
    maitred load flash-sale --users 1000 --rate 1000 --seconds 4 --stock 100
  The same, as fast as answers come, 100,000 times; the buyers' tokens are kept for the next run:
    maitred load flash-sale --mode rush --connections 256 --tokens buyers.txt
  What refusals cost: nothing is left from the first try on:
    maitred load flash-sale --stock 0 --rate 10000 --seconds 60 --tokens buyers.txt
  On a server that demands keys, with an owner's key (the shop's side) and the tenant open to the public (the buyers'):
    MAITRED_KEY=mk_… maitred load flash-sale --tenant north

A product and a sale of it are made first, then an account for each buyer. A password is hashed on purpose for
13.5 ms of a core, so that a thousand accounts take 14 seconds on a server of two cores; nothing of that is measured.
--tokens keeps the tokens for further runs of the same day, --buyers named does without accounts. Who makes a try is
drawn at random. Tries go to POST /v1/tenants/…/sales/…/orders over connections that are kept.

Latency on time is from the instant the try was due, so that a stall of the server shows in every try it delays; in a
rush it is from sending. Afterwards the sale is held against what was answered: as many orders as pieces (or as buyers
may have, if that is less), none beyond a buyer's limit, every purchase that was acknowledged there, nothing left that
should not be, and the server's own reconciliation. The sale is ended then; product, orders and accounts stay. The exit
code is 0 if all tries were answered and all of this holds, 1 if not, 2 if the run could not be made.")]
pub struct LoadFlashSale {
    /// The server and the tenant
    #[command(flatten)]
    pub target: Target,

    /// Buyers
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=USERS_MAX))]
    pub users: u64,

    /// Who buys
    #[arg(long, value_enum, default_value = "users", value_name = "WHO")]
    pub buyers: Buyers,

    /// Keeps the buyers' tokens in this file, which nobody else may read, and takes them from there while they are
    /// valid, instead of making accounts
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Pieces that are for sale
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(QUANTITY_MAX)))]
    pub stock: u32,

    /// Pieces that one buyer may have
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(BUYER_LIMIT_MAX)))]
    pub buyer_limit: u32,

    /// Tries a sale that is there, and leaves it and what becomes of it alone
    #[arg(long, value_name = "ID", conflicts_with_all = ["stock", "buyer_limit"])]
    pub sale: Option<Uuid>,

    /// How the tries come
    #[arg(long, value_enum, default_value = "on-time", value_name = "MODE")]
    pub mode: Mode,

    /// Tries a second, on time [default: 1000]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,

    /// How long there are tries [default: 4 on time; a rush takes as long as its tries do]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<f64>,

    /// Ends the run after so many tries [default: 100,000 in a rush without --seconds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub tries: Option<u64>,

    /// Connections, each with one try at a time
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    pub connections: u64,

    /// Threads that generate the load
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=THREADS_MAX))]
    pub threads: u64,

    /// Time limit of each try
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = timeout)]
    pub timeout: f64,

    /// Seed of the order in which buyers come
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Prints the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl LoadFlashSale {
    fn plan(&self) -> Result<Plan, LoadError> {
        if self.threads > self.connections {
            return Err(LoadError::Invalid("--threads: more than --connections".to_owned()));
        }
        let (rate, seconds, tries) = match self.mode {
            Mode::OnTime => {
                let rate = self.rate.unwrap_or(RATE_DEFAULT);
                (Some(rate), self.seconds.unwrap_or(SECONDS_DEFAULT), self.tries.unwrap_or(u64::MAX))
            }
            Mode::Rush if self.rate.is_some() => {
                let reason = "--rate: a rush comes as fast as answers do";
                return Err(LoadError::Invalid(reason.to_owned()));
            }
            Mode::Rush => {
                let tries_default = if self.seconds.is_some() { u64::MAX } else { RUSH_TRIES_DEFAULT };
                (None, self.seconds.unwrap_or(SECONDS_MAX), self.tries.unwrap_or(tries_default))
            }
        };
        Ok(Plan {
            address: self.target.address()?,
            connections: self.connections as usize,
            threads: self.threads as usize,
            rate,
            // The first tries are what a sale is about.
            warm_up: Duration::ZERO,
            duration: Duration::from_secs_f64(seconds),
            requests_max: tries,
            timeout: Duration::from_secs_f64(self.timeout),
            reconnect: false,
        })
    }
}

/// A finished run: its JSON is that of every load, and what is a sale's.
#[derive(Debug, Serialize)]
pub(super) struct SaleReport {
    #[serde(flatten)]
    run: Report,
    users: UserCounts,
    /// Tries that got a piece.
    accepted: u64,
    /// Tries that got none, by reason.
    refused: BTreeMap<&'static str, u64>,
    /// Null where the sale was there before.
    check: Option<Check>,
}

/// Users as a load tester counts them that takes a new one for each try.
#[derive(Debug, Serialize)]
struct UserCounts {
    /// Tries that were due.
    created: u64,
    /// Tries that were answered.
    completed: u64,
    /// Tries that were not.
    failed: u64,
}

impl SaleReport {
    /// Whether everything was as it should be.
    pub(super) fn passed(&self) -> bool {
        self.run.passed()
    }

    /// The table, with a line per problem below.
    pub(super) fn table(&self) -> String {
        let UserCounts { created, completed, failed } = self.users;
        let [created, completed, failed] = [created, completed, failed].map(grouped);
        let reasons: Vec<_> =
            self.refused.iter().map(|(reason, times)| format!("{reason}: {}", grouped(*times))).collect();
        let refused = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let (accepted, refusals) = (grouped(self.accepted), grouped(self.refused.values().sum()));
        let books =
            self.check.as_ref().map_or("not looked at: the sale was there before".to_owned(), Check::text);
        self.run.table_with(vec![
            ("users", format!("{created} created, {completed} completed, {failed} failed")),
            ("purchases", format!("{accepted} accepted, {refusals} refused{refused}")),
            ("books", books),
        ])
    }
}

/// Runs a sale to its end.
///
/// # Errors
/// [`LoadError`] where it could not be prepared, loaded or looked at.
pub(super) fn run(options: &LoadFlashSale) -> Result<SaleReport, LoadError> {
    let plan = options.plan()?;
    let shop = Shop::new(&options.target)?;
    // The shop comes first: who may not open one need not wait for a thousand accounts.
    let sale = match options.sale {
        Some(sale) => sale,
        None => shop.announce(options.stock, options.buyer_limit)?,
    };
    let outcome = sell(options, &plan, &shop, sale);
    if options.sale.is_none() {
        shop.end(sale)?;
    }
    outcome
}

fn sell(options: &LoadFlashSale, plan: &Plan, shop: &Shop, sale: Uuid) -> Result<SaleReport, LoadError> {
    let requests = match options.buyers {
        Buyers::Named => buyers::named(&options.target, sale, options.users)?,
        Buyers::Users => {
            let tokens = buyers::tokens(&options.target, options.users, options.tokens.as_deref())?;
            buyers::with_tokens(&options.target, sale, &tokens)?
        }
    };
    let tries = Arc::new(Tries::new(requests, options.seed));
    let wanted =
        if options.sale.is_some() { "of what is there".to_owned() } else { grouped(options.stock.into()) };
    let scenario = format!("flash sale: {} buyers, {wanted} pieces", grouped(options.users));
    let expected = [Outcome::Created, Outcome::SoldOut, Outcome::BuyerLimitReached];
    let mut run = shared_report(scenario, plan, &tries, Some(&expected))?;
    let check = match options.sale {
        Some(_) => None,
        None => {
            let said = tries.said(options.stock, options.buyer_limit, run.failures());
            let check = shop.check(sale, &said)?;
            for problem in check.problems(&said) {
                run.fail(problem);
            }
            Some(check)
        }
    };
    let completed = run.requests();
    let created = plan.arrivals().unwrap_or(completed + run.failures());
    let (accepted, refused) = tries.counts();
    let users = UserCounts { created, completed, failed: created.saturating_sub(completed) };
    Ok(SaleReport { run, users, accepted, refused, check })
}

#[cfg(test)]
mod tests;
