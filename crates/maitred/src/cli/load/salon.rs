//! The load of a salon's old clients: they read a week of bookings, write some, and read again.
//!
//! All goes over the routes of the replaced service (`/api/bookings`, `/api/customers`), so that the same load can be
//! applied to that service. What is written lies in the week behind the days that are read, and must be there when the
//! writes are over: as many more bookings as were acknowledged.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use tokio::time::Instant;

use super::answer::Answer;
use super::client::Connection;
use super::display::Display;
use super::generator::{self, Plan, Workload};
use super::judge::number_after;
use super::records::{push_number, push_timestamp, scramble};
use super::report::Report;
use super::tally::{Outcome, Outcomes};
use super::target::{RequestTemplate, Target};
use super::{LoadError, Pace};

/// Bytes of an answer that are looked at: its range and the beginning of the first booking.
const BODY_BYTES_MAX: usize = 1024;
/// Bytes of the list that is counted, whose count may stand behind its bookings.
const COUNTED_BYTES_MAX: usize = 512 << 20;
/// Longest stretch of days that is read at once, and that reads may be in.
const DAYS_MAX: u32 = 366;
const RANGE_DAYS_MAX: i32 = 36_600;
/// Minutes of an opening day, in which what is written lies.
const OPEN_MINUTES: u64 = 10 * 60;
const OPENING_HOUR: i64 = 8;
/// What is written was booked that long before.
const BOOKED_DAYS_BEFORE: i64 = 14;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Options of `load salon`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example, with the data of `maitred generate salon --tenant appc`:
  maitred import appc_customers.csv appc_bookings.csv --tenant appc
  maitred load salon --tenant appc --connections 4 --seconds 10

Three parts, each as long as --seconds says: weeks are read (GET /api/bookings?start&end), bookings are written (POST \
/api/bookings, in the week behind --to), weeks are read again. With --json it is a list of three reports. The exit code \
is 0 if all was answered as expected and everything written was there afterwards, 1 if not, 2 if the run could not be \
made.")]
pub struct LoadSalon {
    /// The server and the tenant
    #[command(flatten)]
    pub target: Target,

    /// First day of the weeks that are read
    #[arg(long, default_value_t = date(2023, 1, 1), value_name = "DATE")]
    pub from: Date,

    /// First day that is not read
    #[arg(long, default_value_t = date(2026, 1, 1), value_name = "DATE")]
    pub to: Date,

    /// Days that each read asks for
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    pub days: u32,

    /// Seed of the order in which weeks are read
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// How the load is applied
    #[command(flatten)]
    pub pace: Pace,
}

/// The reports of the three parts, in their order.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub(super) struct Parts(Vec<Report>);

impl Parts {
    /// The tables, one below the other.
    pub(super) fn table(&self) -> String {
        self.0.iter().map(Report::table).collect::<Vec<_>>().join("\n")
    }

    /// Whether everything was as expected.
    pub(super) fn passed(&self) -> bool {
        self.0.iter().all(Report::passed)
    }
}

/// Reads, writes and reads again.
pub(super) fn run(options: &LoadSalon) -> Result<Parts, LoadError> {
    let plan = options.pace.plan(&options.target)?;
    let salon = Salon::new(options)?;
    let asking = Asking { plan: &plan, target: &options.target };
    let customer = asking.first_customer()?;
    let read = |name: &str, seed| {
        let reads =
            Reads { salon: salon.clone(), seed, request: options.target.salon_request("GET", RANGE)? };
        part(format!("{name} of {} days", options.days), &plan, reads, Outcome::Found)
            .map(|(report, _)| report)
    };
    let first = read("reads", options.seed)?;
    let before = asking.count(&salon)?;
    let request = options.target.salon_request("POST", "/api/bookings")?;
    let writes = Writes { salon: salon.clone(), seed: options.seed, customer, request };
    let (mut written, created) = part("writes".to_owned(), &plan, writes, Outcome::Created)?;
    let after = asking.count(&salon)?;
    if after.checked_sub(before) != Some(created) && written.passed() {
        let more = i128::from(after) - i128::from(before);
        written.fail(format!("{created} bookings were acknowledged, and then there were {more} more"));
    }
    let again = read("reads again", options.seed ^ 1 << 63)?;
    Ok(Parts(vec![first, written, again]))
}

/// Applies one part of the load. Gives its report, and how often the expected outcome came, warm-up included.
fn part<W: Workload>(
    name: String,
    plan: &Plan,
    workload: W,
    expected: Outcome,
) -> Result<(Report, u64), LoadError> {
    let name = format!("salon: {name}");
    let mut display = Display::new(plan, &name);
    let run = generator::drive(plan, &Arc::new(workload), |progress| display.show(progress));
    display.finish();
    let run = run?;
    let came = run.ledger.outcomes().count(expected);
    Ok((Report::new(name, plan, run, Some(&[expected])), came))
}

/// The path of a read, up to its first day.
const RANGE: &str = "/api/bookings?start=";

/// The days that are read and written.
#[derive(Debug, Clone)]
struct Salon {
    /// First days of reads, and how many days each covers.
    first: Date,
    starts: u64,
    days: u32,
    /// The first day of the week that is written to.
    written: Date,
}

impl Salon {
    fn new(options: &LoadSalon) -> Result<Self, LoadError> {
        let LoadSalon { from, to, days, .. } = *options;
        let range = from.until(to).map_or(0, |span| span.get_days());
        let starts = i64::from(range) - i64::from(days) + 1;
        if range > RANGE_DAYS_MAX || starts < 1 {
            let reason =
                format!("--from {from} and --to {to}: expected a range of {days} to {RANGE_DAYS_MAX} days");
            return Err(LoadError::Invalid(reason));
        }
        Ok(Salon { first: from, starts: starts.cast_unsigned(), days, written: to })
    }

    /// Appends `2025-01-06&end=2025-01-13`.
    fn push_range(&self, out: &mut Vec<u8>, first: Date, days: u32) {
        let last = first.saturating_add(i64::from(days).days());
        out.extend_from_slice(format!("{first}&end={last}").as_bytes());
    }
}

/// Reads weeks.
#[derive(Debug)]
struct Reads {
    salon: Salon,
    seed: u64,
    request: RequestTemplate,
}

impl Workload for Reads {
    fn request(&self, number: u64, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        let day = scramble(self.seed ^ number) % self.salon.starts;
        let first = self.salon.first.saturating_add(day.cast_signed().days());
        scratch.clear();
        self.salon.push_range(scratch, first, self.salon.days);
        self.request.write(out, scratch, b"");
    }

    fn judge(&self, _: u64, answer: Answer<'_>) -> Outcomes {
        one(match answer.status {
            200 if has(answer.body, b"\"bookings\":[]") => Outcome::Empty,
            200 if has(answer.body, b"\"bookings\":[") => Outcome::Found,
            200 => Outcome::Other,
            status => Outcome::of_error_status(status),
        })
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
}

/// Writes bookings into the week behind those that are read.
#[derive(Debug)]
struct Writes {
    salon: Salon,
    seed: u64,
    /// Whose they are.
    customer: String,
    request: RequestTemplate,
}

impl Workload for Writes {
    fn request(&self, number: u64, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        let lot = scramble(self.seed ^ number);
        let day = i64::try_from(lot % u64::from(self.salon.days)).unwrap_or_default();
        let minute = (lot >> 32) % OPEN_MINUTES;
        let opens = midnight(self.salon.written) + day * DAY_MILLIS + OPENING_HOUR * 3_600_000;
        let date = opens + minute.cast_signed() * 60_000;
        scratch.clear();
        scratch.extend_from_slice(b"{\"customerId\":");
        scratch.extend_from_slice(serde_json::Value::from(&*self.customer).to_string().as_bytes());
        scratch.extend_from_slice(b",\"title\":\"Load test ");
        push_number(scratch, number);
        scratch.extend_from_slice(b"\",\"description\":\"Written by a load test\",\"date\":\"");
        push_timestamp(scratch, date);
        scratch.extend_from_slice(
            b"\",\"status\":\"confirmed\",\"price\":45.5,\"currency\":\"EUR\",\"createdAt\":\"",
        );
        push_timestamp(scratch, date - BOOKED_DAYS_BEFORE * DAY_MILLIS);
        scratch.extend_from_slice(b"\",\"updatedAt\":\"");
        push_timestamp(scratch, date - BOOKED_DAYS_BEFORE * DAY_MILLIS);
        scratch.extend_from_slice(b"\"}");
        self.request.write(out, b"", scratch);
    }

    fn judge(&self, _: u64, answer: Answer<'_>) -> Outcomes {
        // The replaced service answers 200, where others would say 201.
        one(match answer.status {
            200 | 201 if has(answer.body, b"\"id\":") => Outcome::Created,
            200 | 201 => Outcome::Other,
            status => Outcome::of_error_status(status),
        })
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
}

fn has(body: &[u8], label: &[u8]) -> bool {
    body.windows(label.len()).any(|bytes| bytes == label)
}

fn one(outcome: Outcome) -> Outcomes {
    let mut outcomes = Outcomes::default();
    outcomes.add(outcome, 1);
    outcomes
}

fn midnight(day: Date) -> i64 {
    let days = date(1970, 1, 1).until(day).map_or(0, |span| span.get_days());
    let since = SignedDuration::from_hours(24 * i64::from(days));
    Timestamp::UNIX_EPOCH.checked_add(since).map_or(0, Timestamp::as_millisecond)
}

/// Single requests before and between the parts.
struct Asking<'a> {
    plan: &'a Plan,
    target: &'a Target,
}

impl Asking<'_> {
    /// The id of the first customer, whose bookings are written.
    fn first_customer(&self) -> Result<String, LoadError> {
        let request = self.target.salon_request("GET", "/api/customers")?;
        let (status, body) = self.ask(&request, b"")?;
        let customer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        customer["id"].as_str().map(str::to_owned).ok_or_else(|| {
            LoadError::Unavailable(format!(
                "GET /api/customers: status {status}, and no customer: import some first, and check --tenant"
            ))
        })
    }

    /// How many bookings the week has that is written to.
    fn count(&self, salon: &Salon) -> Result<u64, LoadError> {
        let request = self.target.salon_request("GET", RANGE)?;
        let mut range = Vec::new();
        salon.push_range(&mut range, salon.written, salon.days);
        let (status, body) = self.ask(&request, &range)?;
        let count = number_after(&body, b"\"count\":");
        count.ok_or_else(|| {
            LoadError::Unavailable(format!("GET /api/bookings: status {status}, and no count"))
        })
    }

    fn ask(&self, request: &RequestTemplate, path_end: &[u8]) -> Result<(u16, Vec<u8>), LoadError> {
        let unavailable = |error: &dyn std::fmt::Display| LoadError::Unavailable(error.to_string());
        let mut bytes = Vec::new();
        request.write(&mut bytes, path_end, b"");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| unavailable(&error))?.block_on(async {
            let timeout = self.plan.timeout.max(Duration::from_secs(1));
            let opened = Connection::open(self.plan.address, timeout, COUNTED_BYTES_MAX).await;
            let mut connection = opened.map_err(|error| unavailable(&error))?;
            connection.exchange(&bytes, Instant::now()).await.map_err(|error| unavailable(&error))?;
            let Answer { status, body } = connection.answer();
            Ok((status, body.to_vec()))
        })
    }
}

#[cfg(test)]
mod tests;
