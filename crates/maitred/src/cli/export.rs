//! `maitred export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http_body_util::BodyExt;
use hyper::Method;
use maitred_booking::tenants;

use super::client::{self, Client};
use super::failure::{Done, Failure};
use super::logging;
use super::place::{Place, PlaceArgs, open, require_folder, runtime};
use crate::transfer::Export as Lines;

/// How much is read from one view.
const PIECE_BYTES: usize = 1 << 20;
/// How much of the end is kept, to see whether it is there.
const END_BYTES: usize = 128;

/// Options of `export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  maitred export --tenant salon --data ./maitred-data > salon.ndjson
  maitred export --tenant salon --url http://127.0.0.1:8080 --key mk_… --output salon.ndjson

The lines are the tenant's profile, every version of every user, product, sale, order and appointment in the order of \
the log, and an end. Users come with their email and the hash of their password: keep an export as you keep the data \
folder. API keys are not exported. An export that is imported and exported again is the same, byte by byte.")]
pub struct Export {
    /// Tenant
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// File to write, which has its name only once it is whole; without it standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

impl Export {
    /// Writes the lines.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self) -> Done {
        logging::start_quiet()?;
        if !tenants::is_slug(&self.tenant) {
            return Err(Failure::usage(format!("--tenant {}: expected a slug such as salon-3", self.tenant)));
        }
        let place = self.place.place()?;
        let write = |out: &mut dyn Write| match &place {
            Place::Folder(dir) => {
                require_folder(dir)?;
                let node = open(dir)?;
                let done = from_engine(&node, &self.tenant, out);
                node.stop();
                done
            }
            Place::Server(client) => runtime()?.block_on(from_server(client, &self.tenant, out)),
        };
        match &self.output {
            None => write(&mut BufWriter::new(io::stdout().lock()))?,
            Some(path) => {
                let unfinished = path.with_added_extension("part");
                let failed = |error: io::Error| Failure::unable(format!("{}: {error}", unfinished.display()));
                let file = File::create(&unfinished).map_err(failed)?;
                let written =
                    write(&mut BufWriter::new(&file)).and_then(|()| file.sync_all().map_err(failed));
                if written.is_err() {
                    let _ = std::fs::remove_file(&unfinished); // what failed is told below
                }
                written?;
                std::fs::rename(&unfinished, path).map_err(failed)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn from_engine(node: &crate::assemble::Node, tenant: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let view = node.engine.view();
    let unknown = || Failure::unable(format!("there is no tenant \"{tenant}\""));
    let open = tenants::tenant_by_slug(&view, tenant).map(|tenant| tenant.profile.tenant());
    let number = open.or_else(|| tenants::closed_tenant_by_slug(&view, tenant)).ok_or_else(unknown)?;
    let mut lines = Lines::new(&view, number, view.seq()).map_err(Failure::unable)?;
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let more = lines.fill(&view, &mut piece, PIECE_BYTES);
        out.write_all(&piece)?;
        if !more {
            return Ok(out.flush()?);
        }
    }
}

async fn from_server(client: &Client, tenant: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let body = client::whole(None);
    let response = client.send(Method::GET, &format!("/v1/tenants/{tenant}/export"), "", body).await?;
    if !response.status().is_success() {
        let status = response.status();
        return Err(client::refusal(status, &client::read(response).await?));
    }
    let mut body = response.into_body();
    let mut end: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::unable(format!("the export was cut short: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        out.write_all(&data)?;
        end.extend_from_slice(&data[data.len().saturating_sub(END_BYTES)..]);
        end.drain(..end.len().saturating_sub(END_BYTES));
    }
    let last = end.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if !last.starts_with(b"{\"type\":\"end\",") {
        return Err(Failure::unable("the export was cut short: its last line is missing"));
    }
    Ok(out.flush()?)
}
