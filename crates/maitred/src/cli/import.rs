//! `maitred import`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Method, StatusCode};
use maitred_booking::tenants;
use maitred_core::Actor;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{self, Client, SentBody};
use super::failure::{Done, Failure};
use super::logging;
use super::place::{Place, PlaceArgs, open, runtime};
use crate::assemble::Node;
use crate::transfer::{self, Destination, LINE_BYTES_MAX, Lines, Refused, Tally};

/// How much of the file is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Options of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  maitred import salon.ndjson --data ./maitred-data
  maitred import salon.ndjson --tenant salon-copy --url http://127.0.0.1:8080 --key mk_…

The tenant is made where it is not there (at a running server that takes an admin's key). What is there already \
changes nothing, so an import can be repeated. Lines that are refused, for an overlap or another reason, are printed \
with their numbers to standard error; the rest is imported, and the exit status is 1.")]
pub struct Import {
    /// File that `export` has written; `-` is standard input
    file: PathBuf,
    /// Tenant to import into, instead of the one that the file names
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

impl Import {
    /// Takes the lines over.
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
        let file: Box<dyn Read + Send + Sync> = if self.file.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            let unreadable = |error| Failure::unable(format!("{}: {error}", self.file.display()));
            Box::new(File::open(&self.file).map_err(unreadable)?)
        };
        let file = BufReader::with_capacity(PIECE_BYTES.max(LINE_BYTES_MAX), file);
        let tally = match self.place.place()? {
            Place::Folder(dir) => {
                let node = open(&dir)?;
                let done = runtime()?.block_on(into_engine(&node, self.tenant, file));
                node.stop();
                done?
            }
            Place::Server(client) => runtime()?.block_on(into_server(&client, self.tenant, file))?,
        };
        let Tally { imported, unchanged, refused } = tally;
        println!("{imported} lines imported, {unchanged} were there already, {refused} refused");
        Ok(ExitCode::from(u8::from(refused > 0)))
    }
}

fn tell(refused: Refused) {
    eprintln!("line {}: {} ({})", refused.line, refused.detail, refused.code);
}

async fn into_engine(node: &Node, tenant: Option<String>, mut file: impl BufRead) -> Result<Tally, Failure> {
    let into = Destination::Slug(tenant);
    let mut import = transfer::Import::new(node.engine.clone(), Actor::System, into);
    let mut lines = Lines::default();
    let mut last = 0;
    loop {
        let piece = file.fill_buf()?;
        let bytes = piece.len();
        if bytes == 0 {
            lines.end();
        } else {
            lines.push(piece);
        }
        file.consume(bytes);
        while let Some((number, line)) = lines.next() {
            last = number;
            import.line(number, line).await.map_err(Failure::unable)?;
        }
        if bytes == 0 {
            import.finish(last).await.map_err(Failure::unable)?;
        }
        import.take_refused().into_iter().for_each(tell);
        if bytes == 0 {
            return Ok(import.tally());
        }
    }
}

/// A line of the server's answer.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerLine {
    Refused { line: u64, code: String, detail: String },
    Progress {},
    Stopped { line: u64, detail: String },
    Done { imported: u64, unchanged: u64, refused: u64 },
}

async fn into_server(
    client: &Client,
    tenant: Option<String>,
    mut file: BufReader<Box<dyn Read + Send + Sync>>,
) -> Result<Tally, Failure> {
    let profile = first_line(&mut file)?;
    let slug = match tenant {
        Some(slug) => slug,
        None => transfer::tenant_slug(&profile)
            .ok_or_else(|| Failure::unable("the first line names no tenant; name one with --tenant"))?,
    };
    make_tenant(client, &slug, &profile).await?;
    let first = Frame::data(Bytes::from(profile));
    let pieces = stream::unfold(file, |mut file| async {
        let piece = file.fill_buf().map(Bytes::copy_from_slice);
        match piece {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => {
                file.consume(piece.len());
                Some((Ok(Frame::data(piece)), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    let pieces = stream::iter([Ok(first)]).chain(pieces);
    let body: SentBody = BodyExt::boxed(StreamBody::new(pieces));
    let path = format!("/v1/tenants/{slug}/import");
    let response = client.send(Method::POST, &path, "application/x-ndjson", body).await?;
    if !response.status().is_success() {
        let status = response.status();
        return Err(client::refusal(status, &client::read(response).await?));
    }
    let mut body = response.into_body();
    let mut lines = Lines::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::unable(format!("the import was cut short: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        lines.push(&data);
        while let Some((_, line)) = lines.next() {
            let line = line.map_err(|()| Failure::unable("the answer has a line that is too long"))?;
            match serde_json::from_slice(line) {
                Ok(AnswerLine::Refused { line, code, detail }) => {
                    tell(Refused { line, code: code.into(), detail });
                }
                Ok(AnswerLine::Progress {}) => {}
                Ok(AnswerLine::Stopped { line, detail }) => {
                    return Err(Failure::unable(format!("the import stopped at line {line}: {detail}")));
                }
                Ok(AnswerLine::Done { imported, unchanged, refused }) => {
                    return Ok(Tally { imported, unchanged, refused });
                }
                Err(error) => {
                    return Err(Failure::unable(format!("the answer is none of an import: {error}")));
                }
            }
        }
    }
    Err(Failure::unable("the server ended the import without a result; run it again"))
}

fn first_line(file: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    file.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Makes the tenant where it is not there. Its profile is the import's business.
async fn make_tenant(client: &Client, slug: &str, profile: &[u8]) -> Result<(), Failure> {
    // An import of nothing is answered as the import will be, and changes nothing.
    let path = format!("/v1/tenants/{slug}/import");
    let (status, bytes) = client.exchange(Method::POST, &path, None).await?;
    if status.is_success() {
        return Ok(());
    }
    if status != StatusCode::NOT_FOUND {
        return Err(client::refusal(status, &bytes));
    }
    let profile: Value = serde_json::from_slice(profile).unwrap_or_default();
    let field = |name: &str, absent: &str| profile.get(name).cloned().unwrap_or_else(|| absent.into());
    let body = json!({
        "slug": slug,
        "name": field("name", slug),
        "time_zone": field("time_zone", "UTC"),
        "currency": field("currency", "EUR"),
        "locale": field("locale", "en"),
    });
    client.json(Method::POST, "/v1/tenants", Some(&body)).await.map(drop)
}
