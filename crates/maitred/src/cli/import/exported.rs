//! Importing what `export` has written, into a folder or at a server.

use std::io::{BufRead, BufReader, Cursor, Read};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Method, StatusCode};
use maitred_booking::tenants;
use maitred_core::Actor;
use serde::Deserialize;
use serde_json::{Value, json};

use super::input::Input;
use super::{Target, runtime};
use crate::assemble::Node;
use crate::cli::client::{self, Client, SentBody};
use crate::cli::failure::Failure;
use crate::cli::out;
use crate::transfer::{self, Destination, LINE_BYTES_MAX, Lines, Refused, Tally};

/// How much of the file is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Which tenant an export is imported as.
#[derive(Debug, Clone)]
pub(super) struct Renamed {
    /// Its slug, instead of the one that the file names.
    pub(super) tenant: Option<String>,
    /// The alias that it gets, instead of the file's.
    pub(super) alias: Option<String>,
}

/// Takes the lines of a file over, each refused one told on standard error. Returns whether all were taken.
///
/// # Errors
/// [`Failure`].
pub(super) fn import(target: &Target, renamed: Renamed, input: Input) -> Result<bool, Failure> {
    let Renamed { tenant, alias } = renamed;
    let mut file = BufReader::with_capacity(PIECE_BYTES.max(LINE_BYTES_MAX), input.reader);
    let head =
        Head::read(&mut file).map_err(|why| Failure::unable(format!("{}: {why}", input.path.display())))?;
    let runtime = runtime()?;
    let tally = match target {
        Target::Node(node) => {
            let there = head.renamed(tenant.as_deref()).and_then(|slug| {
                tenants::tenant_by_slug(&node.engine.view(), slug)?.profile.alias.map(Value::from)
            });
            let head = head.under(tenant.as_deref(), alias, there);
            runtime.block_on(into_engine(node, tenant, head.chain(file)))?
        }
        Target::Server(client) => {
            let there = match head.renamed(tenant.as_deref()) {
                Some(slug) => runtime.block_on(alias_at(client, slug))?,
                None => None,
            };
            let head = head.under(tenant.as_deref(), alias, there);
            runtime.block_on(into_server(client, tenant, head, file))?
        }
    };
    let Tally { imported, unchanged, refused } = tally;
    out::tell(format_args!("{imported} lines imported, {unchanged} were there already, {refused} refused"));
    Ok(refused == 0)
}

/// The first line of a file that has been looked at.
struct Head {
    line: Vec<u8>,
    /// What it says.
    value: Value,
}

impl Head {
    /// Reads the first line.
    ///
    /// # Errors
    /// A sentence where no export begins so.
    fn read(file: &mut impl BufRead) -> Result<Head, String> {
        let mut line = Vec::new();
        let read = file.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line);
        read.map_err(|error| error.to_string())?;
        let value = serde_json::from_slice::<Value>(&line).unwrap_or_default();
        match value.get("type").and_then(Value::as_str) {
            Some("tenant" | "appointment" | "end") => Ok(Head { line, value }),
            _ => Err("this is no export. Expected are lines of JSON as `maitred export` writes them, of which the first \
                      is the tenant's: {\"type\":\"tenant\",…}"
                .to_owned()),
        }
    }

    /// The slug to import into, where the file names another.
    fn renamed<'a>(&self, into: Option<&'a str>) -> Option<&'a str> {
        into.filter(|into| self.value.get("slug").is_some_and(|slug| slug != into))
    }

    /// The line for the tenant `into`, whose alias is `there` as yet.
    fn under(mut self, into: Option<&str>, alias: Option<String>, there: Option<Value>) -> Cursor<Vec<u8>> {
        let renamed = self.renamed(into).is_some();
        if self.value.get("type") != Some(&"tenant".into()) || (alias.is_none() && !renamed) {
            return Cursor::new(self.line);
        }
        let before = self.value.get("alias").filter(|alias| !alias.is_null()).cloned();
        let wanted = alias.map(Value::from).or(there);
        if wanted.is_none()
            && let Some(before) = before
        {
            eprintln!(
                "maitred: the alias {before} stays with the tenant that was exported; give this one its own with --alias"
            );
        }
        self.value["alias"] = wanted.unwrap_or_default();
        Cursor::new(format!("{}\n", self.value).into_bytes())
    }
}

/// The alias of a tenant of a server; `None` where there is none to be seen.
async fn alias_at(client: &Client, slug: &str) -> Result<Option<Value>, Failure> {
    let (status, bytes) = client.exchange(Method::GET, &format!("/v1/tenants/{slug}"), None).await?;
    let tenant: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(tenant.get("alias").filter(|alias| status.is_success() && !alias.is_null()).cloned())
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
    head: Cursor<Vec<u8>>,
    file: BufReader<Box<dyn Read + Send + Sync>>,
) -> Result<Tally, Failure> {
    let profile = head.into_inner();
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
