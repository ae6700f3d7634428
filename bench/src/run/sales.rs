//! The flash sale: what refusing and selling cost beside the yardstick, the load test of the service that is replaced,
//! refusals for a minute, and purchases while many log in.
//!
//! The accounts of the buyers are made once, before anything is measured. The load tester looks into the books behind
//! each run against the server: a run that sold a piece too many is no measurement. What it asks for that is in the
//! server's CPU time, but for its latencies it is over.

use super::load::Aftermath;
use super::results::Comparison;
use super::storm::Storm;
use super::{Bench, BenchError};

/// The sale of the yardstick that is sold out, and the one that is not.
const SOLD_OUT: &str = "00000000-0000-0000-0000-000000000000";
const ON: &str = "00000000-0000-0000-0000-000000000001";
/// The load test that is repeated: pieces, tries a second, connections here.
const PIECES: u64 = 100;
const RATE: u64 = 1000;
const CONNECTIONS: u64 = 64;
/// What is wanted of p50, p95 and p99 under the replaced service's load test, in milliseconds. Its own document says 13,
/// 187 and 224.
const SCENARIO_MILLIS_MAX: [Option<f64>; 3] = [Some(2.0), Some(5.0), Some(10.0)];
/// Shares of the ceiling that are wanted, at the connections of [`SHARE_CONNECTIONS`].
const REFUSED_SHARE_MIN: f64 = 0.60;
const ACCEPTED_SHARE_MIN: f64 = 0.40;
const SHARE_CONNECTIONS: u64 = 256;
/// Pieces that a buyer may have where all tries are to be accepted: the server's limit.
const BUYER_LIMIT: u64 = 100;
/// Clients that log in all the time: more than the server lets wait on two cores.
const STORM_CLIENTS: usize = 160;
/// The slowest of a hundred purchases meanwhile, in milliseconds.
const STORM_P99_MILLIS_MAX: f64 = 10.0;

/// How much is done.
#[derive(Debug, Clone)]
pub(crate) struct SaleSizes {
    /// Buyers, each with an account.
    pub(crate) users: u64,
    /// Purchases in a rush that accepts them all: on the average half of what the buyers may have.
    pub(crate) purchases: u64,
    /// How long the repeated load test goes on.
    pub(crate) seconds: u64,
    /// Refusals a second, and how long they go on.
    pub(crate) refusal_rate: u64,
    pub(crate) refusal_seconds: u64,
}

/// How a case is told to the load tester.
struct Case {
    name: &'static str,
    connections: u64,
    rate: Option<u64>,
    /// Everything but connections, rate, tokens and the sale.
    extent: Vec<String>,
    /// What the sale is given at the server, and which one it is at the yardstick.
    stock: u64,
    buyer_limit: u64,
    at_ceiling: &'static str,
}

/// Measures all of it.
pub(crate) fn measure(bench: &mut Bench) -> Result<(), BenchError> {
    bench.make_buyers()?;
    let sizes = bench.sizes.sales.clone();
    let seconds = bench.sizes.seconds.to_string();
    for connections in bench.sizes.connections.clone() {
        let refused = Case {
            name: "refused: sold out",
            connections,
            rate: None,
            extent: words(&["--seconds", &seconds]),
            stock: 0,
            buyer_limit: 1,
            at_ceiling: SOLD_OUT,
        };
        let refusals = compare(bench, &refused)?;
        let accepted = Case {
            name: "accepted, one product",
            extent: words(&["--tries", &sizes.purchases.to_string()]),
            stock: sizes.purchases,
            buyer_limit: BUYER_LIMIT,
            at_ceiling: ON,
            ..refused
        };
        let purchases = compare(bench, &accepted)?;
        if connections == SHARE_CONNECTIONS {
            bench.target_share(&refusals, REFUSED_SHARE_MIN);
            bench.target_share(&purchases, ACCEPTED_SHARE_MIN);
        }
    }
    let on_time = |name, stock, buyer_limit, at_ceiling| Case {
        name,
        connections: CONNECTIONS,
        rate: Some(RATE),
        extent: words(&["--seconds", &sizes.seconds.to_string()]),
        stock,
        buyer_limit,
        at_ceiling,
    };
    let scenario =
        compare(bench, &on_time("100 pieces, the replaced service's load test", PIECES, 1, SOLD_OUT))?;
    bench.target_latencies(&scenario, SCENARIO_MILLIS_MAX);
    // Of which all tries are purchases, in the calm and in the storm.
    let purchases = on_time("purchases on time", RATE * sizes.seconds, BUYER_LIMIT, ON);
    compare(bench, &purchases)?;
    storm(bench, &purchases)?;
    refusals(bench, &sizes)
}

fn storm(bench: &mut Bench, purchases: &Case) -> Result<(), BenchError> {
    bench.rest()?;
    let storm = Storm::start(bench.server()?.address(), STORM_CLIENTS);
    let arguments = bench.sale_arguments(purchases, true);
    let sample = bench.tester.run(bench.server()?, &arguments, Aftermath::Ignored);
    let logins = storm.end();
    let sample = sample?;
    let p99 = sample.p99 / 1000.0;
    bench.target(
        format!("p99 of purchases at {RATE}/s beside a login storm, ms, below {STORM_P99_MILLIS_MAX}"),
        p99,
        p99 < STORM_P99_MILLIS_MAX,
    );
    bench.figure(format!("p50 of purchases at {RATE}/s beside a login storm"), sample.p50 / 1000.0, "ms");
    bench.figure(format!("logins a second of {STORM_CLIENTS} clients meanwhile"), logins.per_second(), "/s");
    bench.figure("logins refused meanwhile, to come back later".to_owned(), logins.refused as f64, "");
    if logins.other > 0 {
        return Err(BenchError(format!("{} logins were answered otherwise", logins.other)));
    }
    Ok(())
}

fn refusals(bench: &mut Bench, sizes: &SaleSizes) -> Result<(), BenchError> {
    let case = Case {
        name: "refused: sold out, for long",
        connections: CONNECTIONS,
        rate: Some(sizes.refusal_rate),
        extent: words(&["--seconds", &sizes.refusal_seconds.to_string()]),
        stock: 0,
        buyer_limit: 1,
        at_ceiling: SOLD_OUT,
    };
    bench.rest()?;
    let before = bench.server()?.reading()?.anonymous_bytes as f64;
    let arguments = bench.sale_arguments(&case, true);
    let sample = bench.tester.run(bench.server()?, &arguments, Aftermath::Counts)?;
    let SaleSizes { refusal_rate, refusal_seconds, .. } = sizes;
    let load = format!("{refusal_rate}/s refused for {refusal_seconds} s");
    bench.figure(format!("anonymous memory before {load}"), before / 1e6, "MB");
    bench.figure(format!("anonymous memory behind {load}"), sample.anonymous_bytes / 1e6, "MB");
    let comparison = Comparison {
        part: "flash-sale",
        case: case.name.to_owned(),
        connections: case.connections,
        rate: case.rate,
        ceiling: Vec::new(),
        server: vec![sample],
    };
    bench.tell(comparison);
    Ok(())
}

fn compare(bench: &mut Bench, case: &Case) -> Result<Comparison, BenchError> {
    let comparison = Comparison {
        part: "flash-sale",
        case: case.name.to_owned(),
        connections: case.connections,
        rate: case.rate,
        ceiling: Vec::new(),
        server: Vec::new(),
    };
    let at_server = bench.sale_arguments(case, true);
    let at_ceiling = bench.sale_arguments(case, false);
    bench.in_turns(
        comparison,
        |bench| bench.tester.run(&bench.ceiling, &at_ceiling, Aftermath::Counts),
        |bench| bench.tester.run(bench.server()?, &at_server, Aftermath::Counts),
    )
}

impl Bench {
    /// What the load tester is told: at the server with a sale of its own, at the yardstick with one that is there.
    fn sale_arguments(&self, case: &Case, at_server: bool) -> Vec<String> {
        let mut arguments = words(&["flash-sale", "--users", &self.sizes.sales.users.to_string()]);
        let tokens = self.folder.join("tokens");
        arguments.extend(words(&["--tokens", &tokens.to_string_lossy()]));
        arguments.extend(words(&["--connections", &case.connections.to_string()]));
        match case.rate {
            Some(rate) => arguments.extend(words(&["--rate", &rate.to_string()])),
            None => arguments.extend(words(&["--mode", "rush"])),
        }
        arguments.extend(case.extent.clone());
        if at_server {
            let (stock, limit) = (case.stock.to_string(), case.buyer_limit.to_string());
            arguments.extend(words(&["--stock", &stock, "--buyer-limit", &limit]));
        } else {
            arguments.extend(words(&["--sale", case.at_ceiling]));
        }
        arguments
    }

    /// Makes the buyers' accounts, once.
    pub(crate) fn make_buyers(&self) -> Result<(), BenchError> {
        eprintln!("== {} accounts", self.sizes.sales.users);
        let case = Case {
            name: "accounts",
            connections: 1,
            rate: None,
            extent: words(&["--tries", "1"]),
            stock: 0,
            buyer_limit: 1,
            at_ceiling: SOLD_OUT,
        };
        let arguments = self.sale_arguments(&case, true);
        self.tester.run(self.server()?, &arguments, Aftermath::Ignored).map(drop)
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
