//! Starts: after a kill, with as much to replay as memory holds, and without a view; and lists of the past.
//!
//! A start with much to replay is made, not waited for: a server keeps its store close behind. So the store is copied at
//! rest, the server is loaded and killed, and the copy is put in the place of what was written since. That is a store like
//! any other, so far behind as the load was long.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};

use super::client::Client;
use super::load::Aftermath;
use super::server::Server;
use super::{Bench, BenchError, Extent, Load, backlog, parts};

/// A start is to be ready within so many seconds.
const READY_SECONDS_MAX: f64 = 1.0;
/// Commands a second: replayed into memory, and into a view that is not there.
const REPLAYED_MIN: f64 = 200_000.0;
const REBUILT_MIN: f64 = 20_000.0;
/// Anonymous memory with as much of the overlay as a load leaves, in MB.
const ANONYMOUS_MB_MAX: f64 = 250.0;
/// A list as of the past takes at most so many times as long as one of the present.
const PAST_BY_PRESENT_MAX: f64 = 2.0;
/// Bytes of log for each upsert.
const LOG_BYTES_MAX: f64 = 1024.0;

/// What a start needs not have, for it can be made from the log.
const STORE: &str = "view";
const STORE_STAMP: &str = "view.boot";
const SNAPSHOTS: &str = "snapshots";

/// The calendar of `maitred load`: its chairs, the opening of its first day, and how long a day is open.
const CHAIRS: u64 = 1000;
const FIRST_OPENING: &str = "2026-01-01T09:00:00Z";
const OPEN_HOURS: i64 = 8;
/// Its records of one day.
const RECORDS_PER_DAY: u64 = CHAIRS * 16;

pub(crate) fn measure(bench: &mut Bench) -> Result<(), BenchError> {
    lists_of_the_past(bench)?;
    starts(bench)
}

/// Lists of a chair's day, as they are and as they were before many of their appointments were changed, in turns.
fn lists_of_the_past(bench: &mut Bench) -> Result<(), BenchError> {
    let before = Timestamp::try_from(SystemTime::now()).map_err(failed)?;
    let extent = Extent::Requests(bench.sizes.burst_requests);
    let connections = bench.sizes.sustained_connections;
    let updates = Load { mix: "update", connections, extent, rate: None, keys: "uniform" };
    bench.load_server(&updates, Aftermath::Counts)?;

    let mut client = Client::new(bench.server()?.address());
    let first: Timestamp = FIRST_OPENING.parse().map_err(failed)?;
    let days = (bench.sizes.records / RECORDS_PER_DAY).max(1);
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..bench.sizes.lists {
        // A stride that is prime to both visits every chair and every day.
        let (chair, day) = (number * 7919 % CHAIRS, number * 7919 % days);
        let from = first + SignedDuration::from_hours(24 * day.cast_signed());
        let to = from + SignedDuration::from_hours(OPEN_HOURS);
        let list = format!("/v1/tenants/default/appointments?resource=chair-{chair}&from={from}&to={to}");
        let past = format!("{list}&as_of={before:.3}");
        let mut found = [0, 0];
        // Each is the first to read the chair in every other turn.
        let turn = (number % 2) as usize;
        for (place, path) in [(turn, [&list, &past][turn]), (1 - turn, [&list, &past][1 - turn])] {
            let began = Instant::now();
            let (status, body) = client.ask("GET", path, "").map_err(failed)?;
            took[place].push(began.elapsed());
            if status != 200 {
                return Err(BenchError(format!("GET {path}: {status}")));
            }
            found[place] = body.windows(13).filter(|key| key == b"\"external_id\"").count();
        }
        if found[0] == 0 || found[0] != found[1] {
            return Err(BenchError(format!(
                "chair-{chair} has {} appointments, and had {}",
                found[0], found[1]
            )));
        }
    }
    let [now, past] = took.map(|took| median(took).as_secs_f64() * 1e6);
    bench.figure("a list of a chair's day, p50".to_owned(), now, "us");
    bench.figure("the same as of before many were changed, p50".to_owned(), past, "us");
    let name = format!("list as of the past by that of the present, at most {PAST_BY_PRESENT_MAX}");
    bench.target(name, past / now, past <= now * PAST_BY_PRESENT_MAX);
    Ok(())
}

fn starts(bench: &mut Bench) -> Result<(), BenchError> {
    let aside = bench.folder.join("store-aside");
    stop(bench)?;
    copy_store(&bench.data, &aside).map_err(failed)?;
    start(bench)?;

    let (connections, requests) = (bench.sizes.sustained_connections, bench.sizes.replayed);
    let extent = Extent::Requests(requests);
    let load = Load { mix: "upsert", connections, extent, rate: None, keys: "uniform" };
    bench.load_server(&load, Aftermath::Ignored)?;
    // Killed at once, while its last changes are in memory and in the log only.
    kill(bench)?;
    let after_kill = start(bench)?;
    bench.figure("from a start right after kill -9 to ready".to_owned(), after_kill, "s");
    kill(bench)?;

    remove_store(&bench.data).and_then(|()| copy_store(&aside, &bench.data)).map_err(failed)?;
    let full = start(bench)?;
    let server = bench.server()?;
    let anonymous = server.reading()?.anonymous_bytes as f64 / 1e6;
    let overlay = backlog::overlay(server.address()).unwrap_or(0) as f64 / 1e6;
    bench.figure("overlay behind a start with much to replay".to_owned(), overlay, "MB");
    bench.target(
        format!("from a start with {requests} upserts to replay to ready, s, below {READY_SECONDS_MAX}"),
        full,
        full < READY_SECONDS_MAX,
    );
    let replayed = requests as f64 / full;
    bench.target(
        format!("commands replayed a second, all of the start counted, at least {REPLAYED_MIN}"),
        replayed,
        replayed >= REPLAYED_MIN,
    );
    bench.target(
        format!("anonymous memory behind it, MB, below {ANONYMOUS_MB_MAX}"),
        anonymous,
        anonymous < ANONYMOUS_MB_MAX,
    );
    bench.rest()?;
    stop(bench)?;
    let after_stop = start(bench)?;
    bench.figure("from a start after a stop to ready".to_owned(), after_stop, "s");
    if let (Some(before), Some(after)) = (bench.log_bytes_before, parts::log_bytes(&bench.data)) {
        let grown = after.saturating_sub(before) as f64 / bench.upserts;
        let name = format!(
            "log bytes per upsert over {} upserts, space made ready ahead included, at most {LOG_BYTES_MAX}",
            bench.upserts
        );
        bench.target(name, grown, grown <= LOG_BYTES_MAX);
    }

    stop(bench)?;
    remove_store(&bench.data).and_then(|()| remove(&bench.data.join(SNAPSHOTS))).map_err(failed)?;
    let rebuild = start(bench)?;
    let commands = bench.sizes.records as f64 + bench.upserts;
    bench.figure(
        format!("from a start without a view, {commands} commands in the log, to ready"),
        rebuild,
        "s",
    );
    let rebuilt = commands / rebuild;
    let name = format!("commands a second, view rebuilt from the log, at least {REBUILT_MIN}");
    bench.target(name, rebuilt, rebuilt >= REBUILT_MIN);
    Ok(())
}

/// Starts the server again, and says after how many seconds it was ready.
fn start(bench: &mut Bench) -> Result<f64, BenchError> {
    let server = Server::start(&bench.server_words, &bench.folder.join("server.log"))?;
    let ready_after = server.ready_after;
    bench.server = Some(server);
    Ok(ready_after.as_secs_f64())
}

fn stop(bench: &mut Bench) -> Result<(), BenchError> {
    bench.server.take().map_or(Ok(()), Server::stop)
}

fn kill(bench: &mut Bench) -> Result<(), BenchError> {
    bench.server.take().map_or(Ok(()), Server::kill)
}

fn copy_store(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.join(STORE))?;
    for entry in fs::read_dir(from.join(STORE))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(STORE).join(entry.file_name()))?;
    }
    fs::copy(from.join(STORE_STAMP), to.join(STORE_STAMP)).map(drop)
}

fn remove_store(data: &Path) -> io::Result<()> {
    remove(&data.join(STORE))?;
    fs::remove_file(data.join(STORE_STAMP))
}

/// Removes a folder with all that is in it, where there is one.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError(format!("recovery: {error}"))
}
