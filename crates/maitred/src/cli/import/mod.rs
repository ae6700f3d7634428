//! `maitred import`: what `export` has written, and the files of the replaced salon system.
//!
//! Next: [`exported`] for the one, [`records`] for the other, [`input`] for how they are told apart.

mod errors;
mod exported;
mod input;
mod records;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use maitred_booking::tenants;
use maitred_connectors::Format;
use maitred_connectors::salon::Kind;

use self::input::{Content, Input};
use super::client::Client;
use super::failure::{Done, Failure};
use super::logging;
use super::place::{Place, PlaceArgs, open, runtime};
use crate::assemble::Node;

/// Options of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  maitred import salon.ndjson --data ./maitred-data
  maitred import salon.ndjson --tenant salon-copy --url http://127.0.0.1:8080 --key mk_…
  maitred import appa_customers.csv appa_bookings.csv --tenant appa --data ./maitred-data
  maitred import dump.sql --tenant appa --url http://127.0.0.1:8080

Besides what `export` writes, customers and bookings of the replaced salon system are read: JSON (a list, an object \
with lists, or an object a line), CSV with a header, dumps in SQL (INSERT INTO … VALUES), Avro object container files.

The tenant is made where it is not there (at a running server that takes an admin's key). What is there already \
changes nothing, and of a record the newest change wins: so an import can be repeated, and one that was cut off is \
finished by running it again. What is refused does not stop the rest, and the exit status is 1: lines of an export \
are printed with their numbers to standard error, records are written with theirs to FILE.errors.ndjson.

With another --tenant than an export's, its alias is left out, since it leads to the tenant that was exported: a \
tenant that is there keeps its own, and --alias gives one.")]
pub struct Import {
    /// Files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Tenant to import into; of an export, instead of the one that the file names
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Alias that the tenant gets, instead of an export's
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// Format, instead of what extension and content tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatName>,
    /// What the records are, instead of what each one's fields tell
    #[arg(long, value_enum, value_name = "KIND", default_value = "auto")]
    kind: KindName,
    /// Time zone of a tenant that is made for records
    #[arg(long, value_name = "ZONE", default_value = "Europe/Berlin", value_parser = time_zone)]
    time_zone: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// The formats, as options have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// What `export` has written
    Export,
    Json,
    Ndjson,
    Csv,
    Sql,
    Avro,
}

/// The kinds, as options have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindName {
    Auto,
    Customers,
    Bookings,
}

impl From<FormatName> for Content {
    fn from(from: FormatName) -> Content {
        match from {
            FormatName::Export => Content::Export,
            FormatName::Json | FormatName::Ndjson => Content::Records(Format::Json),
            FormatName::Csv => Content::Records(Format::Csv),
            FormatName::Sql => Content::Records(Format::Sql),
            FormatName::Avro => Content::Records(Format::Avro),
        }
    }
}

impl KindName {
    fn kind(self) -> Option<Kind> {
        match self {
            KindName::Auto => None,
            KindName::Customers => Some(Kind::Customer),
            KindName::Bookings => Some(Kind::Booking),
        }
    }
}

fn time_zone(text: &str) -> Result<String, String> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected an IANA time zone such as Europe/Berlin".to_owned()),
    }
}

/// Where an import goes.
enum Target {
    /// Into a folder that no server uses.
    Node(Box<Node>),
    /// Into a running server.
    Server(Client),
}

impl Import {
    /// Takes the files over, one after the other.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self) -> Done {
        logging::start_quiet()?;
        if let Some(tenant) = &self.tenant
            && !tenants::is_slug(tenant)
        {
            return Err(Failure::usage(format!("--tenant {tenant}: expected a slug such as salon-3")));
        }
        // Before anything is written: a file that is not there, or is none of ours, should not leave half an import.
        let inputs = self.files.iter().map(|file| self.open(file)).collect::<Result<Vec<_>, _>>()?;
        let target = match self.place.place()? {
            Place::Folder(dir) => Target::Node(Box::new(open(&dir)?)),
            Place::Server(client) => Target::Server(client),
        };
        let renamed = exported::Renamed { tenant: self.tenant.clone(), alias: self.alias };
        let done = inputs.into_iter().try_fold(true, |all, (content, input)| {
            let complete = match (content, &self.tenant) {
                (Content::Records(format), Some(tenant)) => {
                    let kind = self.kind.kind();
                    let what = records::What { tenant, time_zone: &self.time_zone, format, kind };
                    records::import(&target, &what, input)?
                }
                (Content::Export | Content::Records(_), _) => {
                    exported::import(&target, renamed.clone(), input)?
                }
            };
            Ok::<_, Failure>(all && complete)
        });
        if let Target::Node(node) = target {
            node.stop();
        }
        Ok(ExitCode::from(u8::from(!done?)))
    }
    /// Opens a file and looks at what it holds.
    fn open(&self, file: &Path) -> Result<(Content, Input), Failure> {
        let input = Input::open(file)?;
        let content = self.format.map_or_else(|| input.content(), Content::from);
        if content == Content::Export || self.tenant.is_some() {
            return Ok((content, input));
        }
        let file = file.display();
        Err(Failure::unable(format!(
            "{file}: this is no export, whose first line names its tenant as `maitred export` writes it. Of records of \
             another system, name the tenant with --tenant"
        )))
    }
}
