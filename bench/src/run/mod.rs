//! `maitred-bench run`: starts the yardstick and the server, loads them in turns, and compares.
//!
//! Both servers live through the whole run; at any time only one is loaded, and before each load both are at rest.
//! Rounds alternate which is first, so that a machine that slows down burdens both. What is measured is in
//! [`parts`].

mod backlog;
mod client;
mod load;
mod parts;
mod process;
mod recovery;
mod results;
mod sales;
mod salons;
mod server;
mod storm;

use std::fs;
use std::path::{Path, PathBuf};

use self::load::{Aftermath, LoadTester, Sample};
pub(crate) use self::parts::Part;
use self::results::{Comparison, Figure, Results, Target};
use self::sales::SaleSizes;
use self::salons::SalonSizes;
use self::server::Server;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BenchError(pub(crate) String);

/// Options of the benchmarks.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Parts to be measured [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<Part>,

    /// Small sizes, to see that everything works; the numbers mean little
    #[arg(long)]
    quick: bool,

    /// Rounds, of which the median counts [default: 3, quick: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,

    /// The program that is measured and that loads [default: maitred, beside this one]
    #[arg(long, value_name = "FILE")]
    maitred: Option<PathBuf>,

    /// How the server is started. {maitred}, {bench} and {data} stand for the two programs and the data folder
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "{maitred} serve --data {data} --listen 127.0.0.1:0"
    )]
    server: String,

    /// API key for the server, where it asks for one
    #[arg(long, env = "MAITRED_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,

    /// Folder for the data, on the disk that is to be measured; what is made in it is removed [default: beside this
    /// program]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// Where the tables are written, and beside them the same as .json [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How much is done.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// Appointments that are there before anything is measured.
    records: u64,
    /// Upserts of a burst: their changes fit into the server's memory of what it has not written yet.
    burst_requests: u64,
    seconds: u64,
    /// Time for which upserts arrive on time.
    on_time_seconds: u64,
    sustained_seconds: u64,
    /// Time at the beginning of each load that is not measured. Little, for a burst is short.
    warm_up_seconds: f64,
    /// The same of loads on time. More, for what was not used for a minute may have to be read from the disk first.
    on_time_warm_up_seconds: f64,
    connections: Vec<u64>,
    /// Connections of the sustained load.
    sustained_connections: u64,
    /// Connections whose shares are to be alike, the fewest first.
    degradation_connections: Vec<u64>,
    /// Arrivals a second at which latencies are to be alike.
    degradation_rate: u64,
    /// Upserts that a start has to replay.
    replayed: u64,
    /// Lists that are asked for, as they are and as they were.
    lists: u64,
    sales: SaleSizes,
    salons: SalonSizes,
    rounds: usize,
}

impl Sizes {
    fn full() -> Self {
        Sizes {
            records: 1_000_000,
            burst_requests: 100_000,
            seconds: 5,
            on_time_seconds: 40,
            sustained_seconds: 120,
            warm_up_seconds: 0.1,
            on_time_warm_up_seconds: 5.0,
            connections: vec![16, 64, 256, 1000],
            sustained_connections: 256,
            degradation_connections: vec![64, 1000, 4000],
            degradation_rate: 5000,
            replayed: 130_000,
            lists: 4_000,
            sales: SaleSizes {
                users: 1000,
                purchases: 50_000,
                seconds: 4,
                refusal_rate: 10_000,
                refusal_seconds: 60,
            },
            salons: SalonSizes { bookings: None, seconds: 10, booked: 20_000, days: 366, salons: 1000 },
            rounds: 3,
        }
    }

    fn quick() -> Self {
        Sizes {
            records: 20_000,
            burst_requests: 5_000,
            seconds: 1,
            on_time_seconds: 1,
            sustained_seconds: 2,
            warm_up_seconds: 0.0,
            on_time_warm_up_seconds: 0.0,
            connections: vec![16, 64],
            sustained_connections: 64,
            degradation_connections: vec![64, 256],
            degradation_rate: 1000,
            replayed: 5_000,
            lists: 200,
            sales: SaleSizes {
                users: 40,
                purchases: 2_000,
                seconds: 1,
                refusal_rate: 1_000,
                refusal_seconds: 2,
            },
            salons: SalonSizes { bookings: Some(20_000), seconds: 1, booked: 500, days: 30, salons: 10 },
            rounds: 1,
        }
    }
}

/// The two servers, the load tester, and how far the data has grown.
pub(crate) struct Bench {
    sizes: Sizes,
    tester: LoadTester,
    ceiling: Server,
    /// None while it is being restarted.
    server: Option<Server>,
    server_words: Vec<String>,
    data: PathBuf,
    folder: PathBuf,
    /// Number of the first appointment that does not exist.
    first_new: u64,
    /// Upserts so far, updates too, but for the preload.
    upserts: f64,
    /// Bytes of the log behind the preload, where there is one.
    log_bytes_before: Option<u64>,
    results: Results,
}

impl Run {
    /// Measures, prints the tables, and says whether all could be measured.
    pub(crate) fn run(&self) -> Result<bool, BenchError> {
        let bench_program = std::env::current_exe().map_err(|error| BenchError(error.to_string()))?;
        let beside = bench_program.parent().map(Path::to_path_buf).unwrap_or_default();
        let maitred = self.maitred.clone().unwrap_or_else(|| beside.join("maitred"));
        let parent = self.data.clone().unwrap_or(beside);
        let folder = Folder::new(&parent.join(format!("maitred-bench-{}", std::process::id())))?;
        let data = folder.0.join("data");
        let fill = |word: &str| {
            let word = word.replace("{maitred}", &maitred.to_string_lossy());
            word.replace("{bench}", &bench_program.to_string_lossy())
                .replace("{data}", &data.to_string_lossy())
        };
        let server_words: Vec<String> = self.server.split_ascii_whitespace().map(fill).collect();
        let ceiling_words = [fill("{bench}"), "ceiling".to_owned()];

        let mut sizes = if self.quick { Sizes::quick() } else { Sizes::full() };
        sizes.rounds = self.rounds.map_or(sizes.rounds, usize::from);
        let ceiling = Server::start(&ceiling_words, &folder.0.join("ceiling.log"))?;
        let server = Server::start(&server_words, &folder.0.join("server.log"))?;
        let mut bench = Bench {
            tester: LoadTester { program: maitred, key: self.key.clone() },
            ceiling,
            server: Some(server),
            server_words,
            data,
            folder: folder.0.clone(),
            first_new: sizes.records,
            upserts: 0.0,
            log_bytes_before: None,
            results: Results { setting: self.setting(&sizes), ..Results::default() },
            sizes,
        };
        bench.preload()?;
        let parts = if self.only.is_empty() { Part::ALL.to_vec() } else { self.only.clone() };
        for part in parts {
            eprintln!("== {}", part.name());
            if let Err(error) = part.measure(&mut bench) {
                eprintln!("{error}");
                bench.results.failures.push(format!("{}: {error}", part.name()));
            }
        }
        if let Some(server) = bench.server.take()
            && let Err(error) = server.stop()
        {
            bench.results.failures.push(error.to_string());
        }
        self.publish(&bench.results)?;
        Ok(bench.results.failures.is_empty())
    }

    fn setting(&self, sizes: &Sizes) -> Vec<String> {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        vec![
            format!("server: `{}`", self.server),
            format!("{} appointments preloaded on 1000 resources; new ones behind them", sizes.records),
            format!(
                "bursts of {} upserts, then on time for {} s; other loops {} s, sustained {} s; medians of {} rounds",
                sizes.burst_requests,
                sizes.on_time_seconds,
                sizes.seconds,
                sizes.sustained_seconds,
                sizes.rounds
            ),
            "durable: the server answers an upsert once its batch is on disk (fdatasync)".to_owned(),
            "CPU, and the bytes that the data's device wrote, are counted until the server and the device rest behind a \
             load"
                .to_owned(),
            format!(
                "flash sale: {} buyers with an account each, whose tokens are verified; {} purchases in a rush that \
                 accepts them all; the books are looked into behind each run, which its CPU time includes",
                sizes.sales.users, sizes.sales.purchases
            ),
            format!(
                "salons: weeks of 1.5 million bookings of 9,000 customers, and of two smaller salons beside them; {} \
                 bookings a round",
                sizes.salons.booked
            ),
            format!("{cores} cores, shared by server and load tester; keep-alive, no pipelining"),
            "share: requests/s as a share of the yardstick's, the same HTTP stack with no work behind it"
                .to_owned(),
            "open loops (a rate under `load`) count latency from the instant a request was due".to_owned(),
        ]
    }

    fn publish(&self, results: &Results) -> Result<(), BenchError> {
        let markdown = results.markdown();
        let Some(out) = &self.out else {
            println!("{markdown}");
            return Ok(());
        };
        let json = serde_json::to_string_pretty(results).map_err(|error| BenchError(error.to_string()))?;
        fs::write(out, markdown)
            .and_then(|()| fs::write(out.with_extension("json"), json))
            .map_err(|error| BenchError(format!("{}: {error}", out.display())))
    }
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(path: &Path) -> Result<Self, BenchError> {
        fs::create_dir_all(path).map_err(|error| BenchError(format!("{}: {error}", path.display())))?;
        Ok(Folder(path.to_path_buf()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// A load: what `maitred load appointments` is told, but for the numbers of new records.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    mix: &'static str,
    connections: u64,
    extent: Extent,
    rate: Option<u64>,
    keys: &'static str,
}

/// How long a load goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    Requests(u64),
    Seconds(u64),
}

impl Bench {
    /// Loads both servers in turns, as often as there are rounds.
    fn compare(&mut self, part: &'static str, case: &str, load: &Load) -> Result<Comparison, BenchError> {
        let comparison = Comparison {
            part,
            case: case.to_owned(),
            connections: load.connections,
            rate: load.rate,
            ceiling: Vec::new(),
            server: Vec::new(),
        };
        self.in_turns(
            comparison,
            |bench| bench.load_ceiling(load),
            |bench| bench.load_server(load, Aftermath::Counts),
        )
    }

    /// Fills a comparison in, in as many rounds as there are.
    fn in_turns(
        &mut self,
        mut comparison: Comparison,
        ceiling: impl Fn(&mut Bench) -> Result<Sample, BenchError>,
        server: impl Fn(&mut Bench) -> Result<Sample, BenchError>,
    ) -> Result<Comparison, BenchError> {
        for round in 0..self.sizes.rounds {
            for turn in 0..2 {
                self.rest()?;
                if (round + turn) % 2 == 0 {
                    comparison.ceiling.push(ceiling(self)?);
                } else {
                    comparison.server.push(server(self)?);
                }
            }
        }
        self.tell(comparison.clone());
        Ok(comparison)
    }

    fn tell(&mut self, comparison: Comparison) {
        eprintln!("{}", results::row(&comparison));
        self.results.comparisons.push(comparison);
    }

    fn load_ceiling(&mut self, load: &Load) -> Result<Sample, BenchError> {
        self.rest()?;
        // The yardstick does not tire: a short look at it is enough.
        let extent = match load.extent {
            Extent::Seconds(seconds) => Extent::Seconds(seconds.min(self.sizes.seconds)),
            extent @ Extent::Requests(_) => extent,
        };
        let mut arguments = self.arguments(&Load { extent, ..load.clone() });
        arguments.push("--expect-any".to_owned());
        self.tester.run(&self.ceiling, &arguments, Aftermath::Counts)
    }

    fn load_server(&mut self, load: &Load, aftermath: Aftermath) -> Result<Sample, BenchError> {
        self.rest()?;
        let arguments = self.arguments(load);
        let sample = self.tester.run(self.server()?, &arguments, aftermath)?;
        if matches!(load.mix, "upsert" | "update") {
            self.upserts += sample.requests;
        }
        if load.mix == "upsert" {
            self.first_new += rounds_used(sample.requests as u64 + load.connections, self.round_of_new(load));
        }
        Ok(sample)
    }

    /// Waits until neither server does anything, and nothing that any program wrote is still to be put on the disk.
    fn rest(&self) -> Result<(), BenchError> {
        self.ceiling.rest()?;
        self.server()?.rest()?;
        rustix::fs::sync();
        Ok(())
    }

    fn server(&self) -> Result<&Server, BenchError> {
        self.server.as_ref().ok_or_else(|| BenchError("the server could not be started again".to_owned()))
    }

    fn preload(&mut self) -> Result<(), BenchError> {
        eprintln!("== preload");
        let arguments = ["preload", "--records", &self.sizes.records.to_string()].map(str::to_owned);
        self.tester.run(self.server()?, &arguments, Aftermath::Counts)?;
        self.log_bytes_before = parts::log_bytes(&self.data);
        Ok(())
    }

    /// New records of one round: visited at random among themselves.
    fn round_of_new(&self, load: &Load) -> u64 {
        match load.extent {
            Extent::Requests(requests) => requests,
            Extent::Seconds(_) => self.sizes.records,
        }
    }

    fn arguments(&self, load: &Load) -> Vec<String> {
        let mut arguments = vec!["appointments".to_owned()];
        let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        option("mix", load.mix.to_owned());
        option("keys", load.keys.to_owned());
        option("connections", load.connections.to_string());
        let warm_up = match load.rate {
            None => self.sizes.warm_up_seconds,
            Some(_) => self.sizes.on_time_warm_up_seconds,
        };
        option("warm-up", warm_up.to_string());
        if load.mix == "upsert" {
            option("first", self.first_new.to_string());
            option("records", self.round_of_new(load).to_string());
        } else {
            option("records", self.sizes.records.to_string());
        }
        match load.extent {
            Extent::Requests(requests) => option("requests", requests.to_string()),
            Extent::Seconds(seconds) => option("seconds", seconds.to_string()),
        }
        if let Some(rate) = load.rate {
            option("rate", rate.to_string());
        }
        arguments
    }

    fn figure(&mut self, name: String, value: f64, unit: &'static str) {
        self.results.figures.push(Figure { name, value, unit });
    }

    fn target(&mut self, name: String, measured: f64, met: bool) {
        self.results.targets.push(Target { name, measured, met });
    }

    /// Holds the share of a case at its connections against what is wanted of it.
    fn target_share(&mut self, comparison: &Comparison, min: f64) {
        if let Some(share) = comparison.share() {
            let Comparison { case, connections, .. } = comparison;
            let name = format!("share of {case} at {connections} connections, at least {min}");
            self.target(name, share, share >= min);
        }
    }

    /// Holds the latencies of a case on time, in milliseconds, against what is wanted of p50, p95 and p99.
    fn target_latencies(&mut self, comparison: &Comparison, [p50, p95, p99]: [Option<f64>; 3]) {
        let Some(sample) = load::median(&comparison.server) else { return };
        let Comparison { case, connections, .. } = comparison;
        for (name, micros, max) in
            [("p50", sample.p50, p50), ("p95", sample.p95, p95), ("p99", sample.p99, p99)]
        {
            if let Some(max) = max {
                let millis = micros / 1000.0;
                let name = format!("{name} of {case} at {connections} connections, ms, below {max}");
                self.target(name, millis, millis < max);
            }
        }
    }
}

/// Numbers that are spent when `requests` records were made in rounds of `round`.
fn rounds_used(requests: u64, round: u64) -> u64 {
    requests.div_ceil(round) * round
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_round_of_numbers_is_spent() {
        assert_eq!(rounds_used(1, 100), 100);
        assert_eq!(rounds_used(100, 100), 100);
        assert_eq!(rounds_used(101, 100), 200);
    }
}
