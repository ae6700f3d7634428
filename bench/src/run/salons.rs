//! Salons: the three of the replaced system, imported, read by the week and held in memory; what can be booked; bookings
//! beside the yardstick; and a thousand small salons in one process.
//!
//! All of it runs on servers and data folders of its own. Bookings come from threads with a connection each, at the
//! server as at the yardstick: both shares are of the same clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::client::Client;
use super::load::{Aftermath, Sample};
use super::results::Comparison;
use super::server::Server;
use super::{Bench, BenchError};

/// The salons of the replaced system, the largest last.
const SALONS: [&str; 3] = ["appa", "appb", "appc"];
/// What is wanted of the largest: its import, and the slowest of a hundred weeks at so many connections.
const IMPORT_SECONDS_MAX: f64 = 60.0;
const WEEK_CONNECTIONS: usize = 5;
const WEEK_P99_MILLIS_MAX: f64 = 10.0;
/// JSON that a second of one core's time streams, in megabytes.
const STREAM_MB_MIN: f64 = 400.0;
const READY_SECONDS_MAX: f64 = 1.0;
/// Memory without page cache, in megabytes.
const MEMORY_MB_MAX: f64 = 250.0;
const MANY_MEMORY_MB_MAX: f64 = 1000.0;
/// Days of a question for what can be booked, how often it is asked, and its slowest of a hundred answers in
/// milliseconds.
const AVAILABILITY: [(i64, usize, f64); 2] = [(30, 500, 2.0), (366, 200, 15.0)];
const BOOKINGS_SHARE_MIN: f64 = 0.20;
const BOOKINGS_CONNECTIONS: u64 = 64;
/// The salon that is booked: its employees, and the opening hours and step of each day.
const EMPLOYEES: usize = 20;
const OPENS_AT_MINUTES: usize = 9 * 60;
const STEPS_OF_A_DAY: usize = 36;
const STEP_MINUTES: usize = 15;
/// How the bookings are strewn over the salon's steps: a prime, so that each step comes once.
const STRIDE: usize = 15_485_863;

/// How much is done.
#[derive(Debug, Clone)]
pub(crate) struct SalonSizes {
    /// Bookings of the three salons; none: their own number.
    pub(crate) bookings: Option<u64>,
    /// How long weeks are read.
    pub(crate) seconds: u64,
    /// Bookings of a round at the server and at the yardstick.
    pub(crate) booked: usize,
    /// Days over which they are strewn.
    pub(crate) days: usize,
    /// Small salons in one process.
    pub(crate) salons: usize,
}

/// Measures all of it.
pub(crate) fn measure(bench: &mut Bench) -> Result<(), BenchError> {
    bench.rest()?;
    let folder = bench.folder.join("salons");
    fs::create_dir_all(&folder).map_err(|error| BenchError(error.to_string()))?;
    large(bench, &folder)?;
    booked(bench, &folder)?;
    many(bench, &folder)
}

/// The three salons of the replaced system.
fn large(bench: &mut Bench, folder: &Path) -> Result<(), BenchError> {
    let data = folder.join("large");
    for tenant in SALONS {
        let files = generate(bench, folder, tenant)?;
        let began = Instant::now();
        let mut import = Command::new(&bench.tester.program);
        import.arg("import").args(&files).args(["--tenant", tenant, "--data"]).arg(&data);
        succeed(&mut import)?;
        let seconds = began.elapsed().as_secs_f64();
        if tenant == "appc" {
            let name = format!("import of {tenant} from CSV, s, below {IMPORT_SECONDS_MAX}");
            bench.target(name, seconds, seconds < IMPORT_SECONDS_MAX);
        } else {
            bench.figure(format!("import of {tenant} from CSV"), seconds, "s");
        }
        for file in files {
            fs::remove_file(file).map_err(|error| BenchError(error.to_string()))?;
        }
    }
    let server = start(bench, &data, folder)?;
    let ready = server.ready_after.as_secs_f64();
    bench.target(
        format!("three salons ready, s, below {READY_SECONDS_MAX}"),
        ready,
        ready < READY_SECONDS_MAX,
    );
    stream(bench, &server)?;
    let fastest = weeks(bench, &server, None)?;
    let rate = ((fastest.per_second / 2.0) as u64).max(1);
    let on_time = weeks(bench, &server, Some(rate))?;
    let millis = |micros: f64| micros / 1000.0;
    let on = format!("7 days at {rate}/s on {WEEK_CONNECTIONS} connections");
    bench.figure("7 days with customers as fast as answers come".to_owned(), fastest.per_second, "/s");
    bench.target(
        format!("p99 of the first bytes of {on}, ms, below {WEEK_P99_MILLIS_MAX}"),
        millis(on_time.first_p99),
        millis(on_time.first_p99) < WEEK_P99_MILLIS_MAX,
    );
    bench.figure(format!("p50 of the first bytes of {on}"), millis(on_time.first_p50), "ms");
    bench.figure(format!("p50 of all of {on}"), millis(on_time.p50), "ms");
    bench.figure(format!("p99 of all of {on}"), millis(on_time.p99), "ms");
    let memory = server.reading()?.anonymous_bytes as f64 / 1e6;
    bench.target(
        format!("memory with three salons, MB, below {MEMORY_MB_MAX}"),
        memory,
        memory < MEMORY_MB_MAX,
    );
    server.stop()
}

/// The files of a salon: customers, then bookings.
fn generate(bench: &Bench, folder: &Path, tenant: &str) -> Result<[PathBuf; 2], BenchError> {
    let mut generate = Command::new(&bench.tester.program);
    generate.args(["generate", "salon", "--tenant", tenant, "--format", "csv", "--out"]).arg(folder);
    if let Some(bookings) = bench.sizes.salons.bookings {
        generate.args(["--bookings", &bookings.to_string()]);
    }
    succeed(&mut generate)?;
    Ok(["customers", "bookings"].map(|kind| folder.join(format!("{tenant}_{kind}.csv"))))
}

/// How much JSON a second of one core's time streams: a week after another, one at a time.
fn stream(bench: &mut Bench, server: &Server) -> Result<(), BenchError> {
    server.rest()?;
    let mut client = Client::of_tenant(server.address(), SALONS[2]);
    let before = server.reading()?.cpu;
    let began = Instant::now();
    let (mut bytes, mut weeks) = (0, 0);
    while began.elapsed() < Duration::from_secs(bench.sizes.salons.seconds) {
        let start = Date::constant(2023, 1, 2) + (7 * (weeks % 150)).days();
        let path = format!("/api/bookings?start={start}&end={}", start + 6.days());
        bytes += asked(&mut client, "GET", &path, "", 200)?.len();
        weeks += 1;
    }
    let cpu = (server.reading()?.cpu - before).as_secs_f64();
    let rate = bytes as f64 / 1e6 / cpu;
    bench.figure("bytes of 7 days with customers".to_owned(), bytes as f64 / 1e6 / weeks as f64, "MB");
    bench.target(
        format!("JSON of 7 days per second of one core, MB, at least {STREAM_MB_MIN}"),
        rate,
        rate >= STREAM_MB_MIN,
    );
    Ok(())
}

/// Weeks of the largest salon, read as fast as answers come or on time.
fn weeks(bench: &Bench, server: &Server, rate: Option<u64>) -> Result<Sample, BenchError> {
    let mut arguments: Vec<String> =
        ["salon", "--tenant", SALONS[2], "--connections"].map(str::to_owned).into();
    arguments.extend([
        WEEK_CONNECTIONS.to_string(),
        "--seconds".to_owned(),
        bench.sizes.salons.seconds.to_string(),
    ]);
    arguments.extend(rate.into_iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
    bench.tester.run(server, &arguments, Aftermath::Ignored)
}

/// A salon that is booked, beside the yardstick; then what is left of it to be booked.
fn booked(bench: &mut Bench, folder: &Path) -> Result<(), BenchError> {
    let server = start(bench, &folder.join("booked"), folder)?;
    let SalonSizes { booked, days, .. } = bench.sizes.salons;
    let salon = Salon::open(&server, "default", EMPLOYEES)?;
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let first_day = today + 2.days();
    let rounds = bench.sizes.rounds;
    let mut comparison = Comparison {
        part: "salons",
        case: format!("booking, {EMPLOYEES} employees, {days} days"),
        connections: BOOKINGS_CONNECTIONS,
        rate: None,
        ceiling: Vec::new(),
        server: Vec::new(),
    };
    for round in 0..rounds {
        let visits: Vec<String> = (round * booked..(round + 1) * booked)
            .map(|number| salon.visit(number, first_day, days))
            .collect();
        comparison.ceiling.push(book(&bench.ceiling, &visits)?);
        comparison.server.push(book(&server, &visits)?);
    }
    bench.target_share(&comparison, BOOKINGS_SHARE_MIN);
    bench.tell(comparison);

    let mut client = Client::new(server.address());
    for (days, questions, p99_max) in AVAILABILITY {
        let to = first_day + days.days();
        let path = format!(
            "/v1/tenants/default/availability?service_id={}&employee_id=any&from={first_day}&to={to}",
            salon.service
        );
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..questions {
            let began = Instant::now();
            bytes = asked(&mut client, "GET", &path, "", 200)?.len();
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let p99 = took[(questions * 99).div_ceil(100) - 1].as_secs_f64() * 1e3;
        let median = took[questions / 2].as_secs_f64() * 1e3;
        bench.figure(format!("p50 of what can be booked in {days} days"), median, "ms");
        bench.figure(format!("its answer for {days} days"), bytes as f64 / 1e3, "kB");
        let name =
            format!("p99 of what can be booked in {days} days, {EMPLOYEES} employees, ms, below {p99_max}");
        bench.target(name, p99, p99 < p99_max);
    }
    server.stop()
}

/// Books every visit, each connection the next one that is left. Latencies are from sending to the whole answer.
fn book(server: &Server, visits: &[String]) -> Result<Sample, BenchError> {
    server.rest()?;
    let next = AtomicUsize::new(0);
    let before = server.reading()?;
    let began = Instant::now();
    let mut took: Vec<Duration> = Vec::with_capacity(visits.len());
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..BOOKINGS_CONNECTIONS)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<Duration>, BenchError> {
                    let mut client = Client::new(server.address());
                    let mut took = Vec::new();
                    while let Some(visit) = visits.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let began = Instant::now();
                        asked(&mut client, "POST", "/v1/tenants/default/bookings", visit, 201)?;
                        took.push(began.elapsed());
                    }
                    Ok(took)
                })
            })
            .collect();
        for client in clients {
            took.extend(client.join().map_err(|_| BenchError("a client broke off".to_owned()))??);
        }
        Ok::<(), BenchError>(())
    })?;
    let elapsed = began.elapsed().as_secs_f64();
    let anonymous_bytes = server.reading()?.anonymous_bytes as f64;
    server.rest()?;
    let after = server.reading()?;
    took.sort_unstable();
    let of = |per_mille: usize| took[(took.len() * per_mille).div_ceil(1000) - 1].as_secs_f64() * 1e6;
    let requests = visits.len() as f64;
    Ok(Sample {
        per_second: requests / elapsed,
        p50: of(500),
        p95: of(950),
        p99: of(990),
        p99_9: of(999),
        first_p50: of(500),
        first_p99: of(990),
        max: of(1000),
        cpu_micros: (after.cpu - before.cpu).as_secs_f64() * 1e6 / requests,
        client_cpu_micros: 0.0,
        written_bytes: (after.written_bytes - before.written_bytes) as f64 / requests,
        anonymous_bytes,
        requests,
    })
}

/// Many small salons in one process, each with a booking and a question about a week.
fn many(bench: &mut Bench, folder: &Path) -> Result<(), BenchError> {
    let server = start(bench, &folder.join("many"), folder)?;
    let salons = bench.sizes.salons.salons;
    let first_day = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date() + 2.days();
    let mut client = Client::new(server.address());
    for number in 0..salons {
        let slug = format!("salon-{number}");
        let tenant = json!({
            "slug": slug, "name": slug, "time_zone": "UTC", "currency": "EUR", "locale": "de-DE",
        });
        asked(&mut client, "POST", "/v1/tenants", &tenant.to_string(), 201)?;
        let salon = Salon::open(&server, &slug, 3)?;
        for visit in 0..10 {
            let body = salon.visit(visit, first_day, 7);
            asked(&mut client, "POST", &format!("/v1/tenants/{slug}/bookings"), &body, 201)?;
        }
        let path = format!(
            "/v1/tenants/{slug}/availability?service_id={}&employee_id=any&from={first_day}&to={}",
            salon.service,
            first_day + 7.days()
        );
        asked(&mut client, "GET", &path, "", 200)?;
    }
    let memory = server.reading()?.anonymous_bytes as f64 / 1e6;
    let name = format!("memory with {salons} small salons, MB, below {MANY_MEMORY_MB_MAX}");
    bench.target(name, memory, memory < MANY_MEMORY_MB_MAX);
    server.stop()
}

/// A salon whose employees all do one service, from 9 to 18 on every day.
struct Salon {
    service: String,
    customer: String,
    employees: Vec<String>,
}

impl Salon {
    fn open(server: &Server, tenant: &str, employees: usize) -> Result<Self, BenchError> {
        let mut client = Client::new(server.address());
        let base = format!("/v1/tenants/{tenant}");
        let mut make = |what: &str, body: Value| -> Result<String, BenchError> {
            let path = format!("{base}/{what}");
            let answer = asked(&mut client, "POST", &path, &body.to_string(), 201)?;
            let made: Value =
                serde_json::from_slice(answer).map_err(|error| BenchError(error.to_string()))?;
            Ok(made["id"].as_str().unwrap_or_default().to_owned())
        };
        let price = json!({"amount": 2500, "currency": "EUR"});
        let service = json!({"name": "Cut", "duration_minutes": STEP_MINUTES, "price": price});
        let service = make("services", service)?;
        let customer = make("customers", json!({"name": "Eve", "phone": "030 1"}))?;
        let employees = (0..employees)
            .map(|number| make("employees", json!({"name": format!("Ann {number}"), "skills": [service]})))
            .collect::<Result<Vec<_>, _>>()?;
        let span = json!([{"from": "09:00", "to": "18:00"}]);
        let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let days: serde_json::Map<_, _> =
            names.map(|day| (day.to_owned(), span.clone())).into_iter().collect();
        let shifts = json!({"patterns": [{"valid_from": "2020-01-01", "days": days}]}).to_string();
        for employee in &employees {
            asked(&mut client, "PUT", &format!("{base}/employees/{employee}/shifts"), &shifts, 200)?;
        }
        let settings = json!({"max_horizon_days": 731, "step_minutes": STEP_MINUTES}).to_string();
        asked(&mut client, "PATCH", &format!("{base}/salon-settings"), &settings, 200)?;
        Ok(Salon { service, customer, employees })
    }

    /// A visit with a number: each has a step of an employee's day to itself.
    fn visit(&self, number: usize, first_day: Date, days: usize) -> String {
        let steps = self.employees.len() * days * STEPS_OF_A_DAY;
        let step = number * STRIDE % steps;
        let (employee, step) = (step % self.employees.len(), step / self.employees.len());
        let (day, step) = (step / STEPS_OF_A_DAY, step % STEPS_OF_A_DAY);
        let minutes = OPENS_AT_MINUTES + step * STEP_MINUTES;
        let date = first_day + (day as i64).days();
        json!({
            "customer_id": self.customer,
            "starts_at": format!("{date}T{:02}:{:02}:00Z", minutes / 60, minutes % 60),
            "items": [{"service_id": self.service, "employee_id": self.employees[employee]}],
        })
        .to_string()
    }
}

/// A server on a data folder of its own.
fn start(bench: &Bench, data: &Path, folder: &Path) -> Result<Server, BenchError> {
    let (from, to) = (bench.data.to_string_lossy(), data.to_string_lossy());
    let words: Vec<String> = bench.server_words.iter().map(|word| word.replace(&*from, &to)).collect();
    Server::start(&words, &folder.join("server.log"))
}

/// The body of an answer that must have a certain status.
fn asked<'a>(
    client: &'a mut Client,
    method: &str,
    path: &str,
    body: &str,
    status: u16,
) -> Result<&'a [u8], BenchError> {
    let (found, answer) =
        client.ask(method, path, body).map_err(|error| BenchError(format!("{method} {path}: {error}")))?;
    if found != status {
        let said = String::from_utf8_lossy(&answer[..answer.len().min(300)]);
        return Err(BenchError(format!("{method} {path}: {found} instead of {status}: {said}")));
    }
    Ok(answer)
}

fn succeed(command: &mut Command) -> Result<(), BenchError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| BenchError(format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(BenchError(format!("{command:?}: {}", said.lines().last().unwrap_or_default())))
}
