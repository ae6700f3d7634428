//! `maitred load`: measures a running server, fills it, and checks after a crash that it has kept its word.
//!
//! The load tester shares the machine with the server it measures, so it is built to cost little: its own HTTP
//! client ([`client`], [`answer`]), requests written and judged as bytes ([`appointments`], [`judge`]), one thread
//! without locks that are fought for ([`generator`], [`tally`]). Everything has a bound, and every run ends.
//! A new scenario is a [`generator::Workload`] and a command below.

mod acknowledged;
mod answer;
mod appointments;
mod client;
mod display;
mod flash_sale;
mod generator;
mod judge;
mod mix;
mod records;
mod report;
mod salon;
mod schedule;
mod tally;
mod target;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use self::acknowledged::{Acknowledged, Verification};
pub use self::appointments::Data;
use self::appointments::{Appointments, BATCH_ITEMS_MAX};
use self::display::Display;
pub use self::flash_sale::{Buyers, LoadFlashSale, Mode};
use self::generator::{Plan, Workload};
pub use self::mix::{Kind, Mix};
pub use self::records::KeyOrder;
use self::report::Report;
pub use self::salon::LoadSalon;
pub use self::tally::Outcome;
pub use self::target::Target;

/// Most connections of a run.
const CONNECTIONS_MAX: u64 = 16_384;
/// Most generator threads of a run.
const THREADS_MAX: u64 = 64;
/// Longest run, and the limit of one that ends by its number of requests.
const SECONDS_MAX: f64 = 24.0 * 3600.0;
/// Longest run of `preload` and `verify`.
const ERRAND_SECONDS_MAX: u64 = 4 * 3600;
/// Longest time limit of an exchange. The histograms tell latencies up to this apart.
const TIMEOUT_SECONDS_MAX: f64 = 120.0;
/// Most arrivals a second.
const RATE_MAX: f64 = 10_000_000.0;

/// Why a run could not be made at all. What goes wrong within one is in its report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The server, a file or the machine did not do its part.
    #[error("{0}")]
    Unavailable(String),
}

impl LoadError {
    fn file(path: &Path, error: &std::io::Error) -> Self {
        LoadError::Unavailable(format!("{}: {error}", path.display()))
    }
}

/// Measures a running server, fills it, or checks what it has kept
#[derive(Debug, clap::Subcommand)]
pub enum LoadCommand {
    /// Sends appointments and reads them, and reports latency and throughput
    Appointments(LoadAppointments),
    /// Sells few pieces to many buyers at once, reports latency and throughput, and checks who got them
    FlashSale(LoadFlashSale),
    /// Fills a tenant with appointments, in batches
    Preload(LoadPreload),
    /// Reads back every write that was acknowledged, and fails if one is missing or older
    Verify(LoadVerify),
    /// Reads weeks of a salon's bookings as its old clients do, writes some, and reads again
    Salon(Box<LoadSalon>),
}

/// Options of `load appointments`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Fill a tenant, then read single appointments as fast as answers come:
    maitred load preload --records 1000000
    maitred load appointments --mix get --records 1000000 --connections 64
  Write new appointments behind those for half a minute:
    maitred load appointments --mix upsert --first 1000000 --seconds 30 --connections 256
  Latency under a fixed load, counted from when each request was due:
    maitred load appointments --mix get=9,update=1 --rate 5000 --connections 64
  Write until killed, keeping what was acknowledged, and check that:
    maitred load appointments --mix upsert --acknowledged kept.txt --reconnect --seconds 60
    maitred load verify --acknowledged kept.txt

Latency in a closed loop is from sending to the complete answer; with --rate it is from the instant the request was
due, so that a stall of the server shows in every request it delays. The exit code is 0 if all requests were sent,
answered and had an expected outcome, 1 if not, 2 if the run could not be made.")]
pub struct LoadAppointments {
    /// The server and the tenant
    #[command(flatten)]
    pub target: Target,

    /// Kind of requests, or several with weights: `get=9,upsert=1`. Kinds: upsert (new ids on free times), update
    /// (existing ids, later `updated_at`), conflict (new ids on taken times), stale (existing ids, old
    /// `updated_at`), get (one id), at (what covers an instant), list (a chair's day), batch (many new ids at once),
    /// sesami (new ids on the drop-in route of Sesami's clients, with the tenant as `orgId`)
    #[arg(long, default_value = "upsert", value_name = "KIND[=WEIGHT],…")]
    pub mix: Mix,

    /// The records
    #[command(flatten)]
    pub data: Data,

    /// Which version of the records is written: each has a later `updated_at` [default: 1 for update, 0 else]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub revision: Option<u32>,

    /// Appointments in each request of the kind batch
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=BATCH_ITEMS_MAX))]
    pub batch_size: u64,

    /// How the load is applied
    #[command(flatten)]
    pub pace: Pace,

    /// Appends each acknowledged write to this file, for `load verify`
    #[arg(long, value_name = "FILE")]
    pub acknowledged: Option<PathBuf>,

    /// Outcomes that the answers may have; any other fails the run [default: those the mix asks for]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "OUTCOME,…")]
    pub expect: Vec<Outcome>,

    /// Accepts every outcome
    #[arg(long, conflicts_with = "expect")]
    pub expect_any: bool,
}

/// How a load is applied.
#[derive(Debug, Clone, clap::Args)]
pub struct Pace {
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    pub connections: u64,

    /// Threads that generate the load
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=THREADS_MAX))]
    pub threads: u64,

    /// Measured time, behind the warm-up [default: 10, or as long as --requests takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<f64>,

    /// Ends the run after so many requests, those of the warm-up included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,

    /// Sends so many requests a second on a fixed schedule, spread over the connections, whether or not answers
    /// come; without it each connection sends as soon as it has its answer
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,

    /// Time at the beginning that is not measured
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = seconds)]
    pub warm_up: f64,

    /// Time limit of each request
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = timeout)]
    pub timeout: f64,

    /// Opens lost connections again and goes on; losses are counted and fail nothing
    #[arg(long)]
    pub reconnect: bool,

    /// Prints the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `load preload`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: maitred load preload --tenant salon-3 --records 1000000 --resources 1000

The same options make the same records. Filling twice is harmless: what is there already is ignored as stale.")]
pub struct LoadPreload {
    /// The server and the tenant
    #[command(flatten)]
    pub target: Target,

    /// The records: --records of them from --first on
    #[command(flatten)]
    pub data: Data,

    /// Appointments in each request
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=BATCH_ITEMS_MAX))]
    pub batch_size: u64,

    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    pub connections: u64,

    /// Time limit of each request
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = timeout)]
    pub timeout: f64,

    /// Prints the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `load verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: maitred load verify --acknowledged kept.txt")]
pub struct LoadVerify {
    /// The server and the tenant
    #[command(flatten)]
    pub target: Target,

    /// What `load appointments --acknowledged` has written
    #[arg(long, value_name = "FILE")]
    pub acknowledged: PathBuf,

    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    pub connections: u64,

    /// Time limit of each request
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = timeout)]
    pub timeout: f64,

    /// Prints the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs a load command to its end and prints its report. Blocks; brings its own threads and runtimes.
///
/// The exit code is 0 if the run passed, 1 if it did not, 2 if it could not be made.
pub fn run(command: &LoadCommand) -> ExitCode {
    let ended =
        match command {
            LoadCommand::Appointments(options) => appointments_report(options)
                .map(|report| tell(&report, &report.table(), report.passed(), options.pace.json)),
            LoadCommand::FlashSale(options) => {
                flash_sale::run(options).map(|sale| tell(&sale, &sale.table(), sale.passed(), options.json))
            }
            LoadCommand::Preload(options) => preload_report(options)
                .map(|report| tell(&report, &report.table(), report.passed(), options.json)),
            LoadCommand::Salon(options) => salon::run(options)
                .map(|parts| tell(&parts, &parts.table(), parts.passed(), options.pace.json)),
            LoadCommand::Verify(options) => verify_report(options)
                .map(|report| tell(&report, &report.table(), report.passed(), options.json)),
        };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

/// Prints a report, and gives its exit code.
fn tell(report: &impl serde::Serialize, table: &str, passed: bool, json: bool) -> ExitCode {
    if json {
        println!("{}", serde_json::json!(report));
    } else {
        print!("{table}");
    }
    ExitCode::from(u8::from(!passed))
}

fn appointments_report(options: &LoadAppointments) -> Result<Report, LoadError> {
    let acknowledged = match &options.acknowledged {
        Some(_) if !options.mix.only_single_writes() => {
            let reason = "--acknowledged goes with the kinds upsert, update, conflict and stale only";
            return Err(LoadError::Invalid(reason.to_owned()));
        }
        Some(path) => Some(Acknowledged::append_to(path)?),
        None => None,
    };
    let workload = Appointments {
        revision: options.revision,
        batch_items: options.batch_size,
        acknowledged,
        ..Appointments::new(&options.target, &options.data, options.mix.clone())?
    };
    let expected = match (options.expect_any, options.expect.as_slice()) {
        (true, _) => None,
        (false, []) => Some(options.mix.expected(options.revision)),
        (false, expect) => Some(expect.to_vec()),
    };
    report(options.mix.to_string(), &options.pace.plan(&options.target)?, workload, expected.as_deref())
}

fn preload_report(options: &LoadPreload) -> Result<Report, LoadError> {
    let records = options.data.records;
    let workload = Appointments {
        batch_items: options.batch_size,
        new_records_max: records,
        ..Appointments::new(&options.target, &options.data, Mix::from(Kind::Batch))?
    };
    let batches = records.div_ceil(options.batch_size);
    let plan = errand(&options.target, options.connections.min(batches), batches, options.timeout)?;
    let mut report =
        report("preload".to_owned(), &plan, workload, Some(&[Outcome::Created, Outcome::IgnoredStale]))?;
    report.demand_requests(batches);
    Ok(report)
}

fn verify_report(options: &LoadVerify) -> Result<Report, LoadError> {
    let records = acknowledged::read(&options.acknowledged)?;
    if records.is_empty() {
        let reason = format!(
            "{}: holds no acknowledged write, so nothing would be verified",
            options.acknowledged.display()
        );
        return Err(LoadError::Invalid(reason));
    }
    let workload = Arc::new(Verification::new(&options.target, records)?);
    let records = workload.records();
    let plan = errand(&options.target, options.connections.min(records), records, options.timeout)?;
    let mut report = shared_report("verify".to_owned(), &plan, &workload, Some(&[Outcome::Found]))?;
    report.demand_requests(records);
    for problem in workload.problems() {
        report.fail(problem);
    }
    Ok(report)
}

/// A plan that sends a fixed number of requests, all of them measured.
fn errand(target: &Target, connections: u64, requests: u64, timeout: f64) -> Result<Plan, LoadError> {
    Ok(Plan {
        address: target.address()?,
        connections: connections as usize,
        threads: 1,
        rate: None,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(ERRAND_SECONDS_MAX),
        requests_max: requests,
        timeout: Duration::from_secs_f64(timeout),
        reconnect: false,
    })
}

fn report<W: Workload>(
    scenario: String,
    plan: &Plan,
    workload: W,
    expected: Option<&[Outcome]>,
) -> Result<Report, LoadError> {
    shared_report(scenario, plan, &Arc::new(workload), expected)
}

fn shared_report<W: Workload>(
    scenario: String,
    plan: &Plan,
    workload: &Arc<W>,
    expected: Option<&[Outcome]>,
) -> Result<Report, LoadError> {
    let mut display = Display::new(plan, &scenario);
    let run = generator::drive(plan, workload, |progress| display.show(progress));
    display.finish();
    Ok(Report::new(scenario, plan, run?, expected))
}

impl Pace {
    fn plan(&self, target: &Target) -> Result<Plan, LoadError> {
        if self.threads > self.connections {
            return Err(LoadError::Invalid("--threads: more than --connections".to_owned()));
        }
        let seconds = match (self.seconds, self.requests) {
            (Some(seconds), _) => seconds,
            (None, Some(_)) => SECONDS_MAX,
            (None, None) => 10.0,
        };
        Ok(Plan {
            address: target.address()?,
            connections: self.connections as usize,
            threads: self.threads as usize,
            rate: self.rate,
            warm_up: Duration::from_secs_f64(self.warm_up),
            duration: Duration::from_secs_f64(seconds),
            requests_max: self.requests.unwrap_or(u64::MAX),
            timeout: Duration::from_secs_f64(self.timeout),
            reconnect: self.reconnect,
        })
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    number_within(text, 0.0, SECONDS_MAX)
}

fn timeout(text: &str) -> Result<f64, String> {
    number_within(text, 0.001, TIMEOUT_SECONDS_MAX)
}

fn rate(text: &str) -> Result<f64, String> {
    number_within(text, 0.01, RATE_MAX)
}

fn number_within(text: &str, min: f64, max: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(format!("not between {min} and {max}")) }
}

#[cfg(test)]
mod tests;
