//! `maitred generate`: test data that look like a salon's, in the shapes of the system that is replaced.
//!
//! Invariants:
//! - The same options give the same bytes, on every machine.
//! - Records are made one by one and written as they are made: memory does not grow with their number.
//!
//! Next: [`people`] for customers, [`diary`] for bookings, [`maitred_connectors::Writer`] for the files.

mod diary;
mod people;
mod random;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use maitred_connectors::salon::{Kind, Record};
use maitred_connectors::{Format, Writer};

use self::diary::Diary;
use self::people::People;
use self::random::Random;
use super::failure::{Done, Failure};
use super::out;
use super::progress::Bar;

/// Most customers and most bookings of a salon.
const CUSTOMERS_MAX: u64 = 10_000_000;
const BOOKINGS_MAX: u64 = 100_000_000;
/// What is written at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Makes test data
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// Customers and bookings of a salon, from 2023 to 2025
    Salon(Salon),
}

impl Generate {
    /// Writes the files.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self) -> Done {
        let Generate::Salon(salon) = self;
        salon.run()
    }
}

/// Options of `generate salon`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  maitred generate salon --tenant appa --out ./salon-data
  maitred generate salon --tenant appc --out ./salon-data --format csv,avro --seed 7
  maitred generate salon --tenant tiny --out . --customers 50 --bookings 500

Salons: appa has 3,000 customers and 50,000 bookings, appb 6,000 and 600,000, appc 9,000 and 1,500,000; any other \
name needs --customers and --bookings. The files are <tenant>_customers.<format> and <tenant>_bookings.<format>.
SQL is a dump: CREATE TABLE, and INSERTs of 500 rows, a row a line. JSON is a list, a record a line.")]
pub struct Salon {
    /// Which salon; the records carry it as their tenantId
    #[arg(long, value_name = "NAME", default_value = "appa", value_parser = name)]
    tenant: String,
    /// Folder for the files; made where it is not there
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Formats
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORMAT,…", default_values = ["json", "csv", "sql"])]
    format: Vec<FormatName>,
    /// Seed. The same options make the same files, byte for byte
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Customers, instead of the salon's own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CUSTOMERS_MAX))]
    customers: Option<u64>,
    /// Bookings, instead of the salon's own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=BOOKINGS_MAX))]
    bookings: Option<u64>,
}

/// The formats, as options have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Json,
    Csv,
    Sql,
    Avro,
}

impl From<FormatName> for Format {
    fn from(from: FormatName) -> Format {
        match from {
            FormatName::Json => Format::Json,
            FormatName::Csv => Format::Csv,
            FormatName::Sql => Format::Sql,
            FormatName::Avro => Format::Avro,
        }
    }
}

/// The name of a tenant stands in the names of files.
fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=63).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 63 letters, digits, - and _".to_owned())
    }
}

impl Salon {
    fn run(self) -> Done {
        let (customers, bookings) = self.sizes()?;
        let mut formats: Vec<Format> = self.format.iter().copied().map(Format::from).collect();
        formats.sort_by_key(|format| format.as_str());
        formats.dedup();
        fs::create_dir_all(&self.out)
            .map_err(|error| Failure::unable(format!("{}: {error}", self.out.display())))?;
        let bar = Bar::new(customers + bookings, "records");
        let people = People::new(self.seed, &self.tenant, customers);
        let records = (0..customers).map(|number| Record::Customer(people.customer(number)));
        self.write(Kind::Customer, &formats, records, &bar)?;
        let diary = Diary::new(&people, bookings);
        self.write(Kind::Booking, &formats, diary.map(Record::Booking), &bar)?;
        bar.finish();
        for kind in [Kind::Customer, Kind::Booking] {
            for format in &formats {
                out::line(self.path(kind, *format).display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// How many customers and bookings there are.
    fn sizes(&self) -> Result<(u64, u64), Failure> {
        let (customers, bookings) = match &*self.tenant.to_ascii_lowercase() {
            "appa" => (Some(3_000), Some(50_000)),
            "appb" => (Some(6_000), Some(600_000)),
            "appc" => (Some(9_000), Some(1_500_000)),
            _ => (None, None),
        };
        match (self.customers.or(customers), self.bookings.or(bookings)) {
            (Some(customers), Some(bookings)) => Ok((customers, bookings)),
            _ => Err(Failure::usage(format!(
                "--tenant {}: say how large it is, by --customers and --bookings (appa, appb and appc are known)",
                self.tenant
            ))),
        }
    }

    fn path(&self, kind: Kind, format: Format) -> PathBuf {
        self.out.join(format!("{}_{}.{}", self.tenant, kind.plural(), format.as_str()))
    }

    /// Writes the records of a kind to a file for each format.
    fn write(
        &self,
        kind: Kind,
        formats: &[Format],
        records: impl Iterator<Item = Record>,
        bar: &Bar,
    ) -> Result<(), Failure> {
        let mut random = Random::of(self.seed, b's', kind as u64);
        let mut files = Vec::new();
        for format in formats {
            let path = self.path(kind, *format);
            let sync = random.bytes();
            files.push(Part::create(path, *format, kind, sync)?);
        }
        for record in records {
            for file in &mut files {
                file.writer.write(&record).map_err(|error| failed(&file.part, &error))?;
            }
            bar.advance(1);
        }
        files.into_iter().try_for_each(Part::finish)
    }
}

/// A file that is not whole yet, and is named so.
struct Part {
    writer: Writer<BufWriter<File>>,
    part: PathBuf,
    path: PathBuf,
}

impl Part {
    fn create(path: PathBuf, format: Format, kind: Kind, sync: [u8; 16]) -> Result<Self, Failure> {
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map(|file| BufWriter::with_capacity(PIECE_BYTES, file));
        let writer = file.and_then(|file| Writer::new(file, format, kind, sync));
        Ok(Part { writer: writer.map_err(|error| failed(&part, &error))?, part, path })
    }

    fn finish(self) -> Result<(), Failure> {
        let done = self.writer.finish().and_then(|_file| fs::rename(&self.part, &self.path));
        done.map_err(|error| failed(&self.part, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::unable(format!("{}: {error}", path.display()))
}
