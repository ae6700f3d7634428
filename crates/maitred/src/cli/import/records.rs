//! Importing records of the replaced salon system, into a folder or at a server.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Method, StatusCode};
use maitred_booking::tenants::{self, CreateTenant, DropIns};
use maitred_booking::{Command, Outcome};
use maitred_connectors::Format;
use maitred_connectors::salon::Kind;
use maitred_core::{Actor, TenantNumber};
use maitred_engine::Envelope;
use serde::Deserialize;
use serde_json::json;

use super::errors::Errors;
use super::input::Input;
use super::{Target, runtime};
use crate::assemble::Node;
use crate::cli::client::{self, Client, SentBody};
use crate::cli::failure::Failure;
use crate::cli::out;
use crate::cli::progress::Bar;
use crate::imports::{self, Problem, Tally};
use crate::transfer::Lines;

/// How much of the file is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// The currency and the language of a tenant that is made.
const CURRENCY: &str = "EUR";
const LOCALE: &str = "de-DE";

/// What is imported, and where to.
pub(super) struct What<'a> {
    pub(super) tenant: &'a str,
    /// That of the tenant, where it is made.
    pub(super) time_zone: &'a str,
    pub(super) format: Format,
    pub(super) kind: Option<Kind>,
}

/// Takes the records of a file over. Returns whether all of them were taken.
///
/// # Errors
/// [`Failure`].
pub(super) fn import(target: &Target, what: &What<'_>, input: Input) -> Result<bool, Failure> {
    let path = (!input.is_standard_input()).then(|| input.path.clone());
    let mut told = Told { bar: Bar::of_bytes(input.bytes), errors: Errors::beside(path.as_deref())? };
    let file = BufReader::with_capacity(PIECE_BYTES, input.reader);
    let runtime = runtime()?;
    let tally = match target {
        Target::Node(node) => runtime.block_on(into_engine(node, what, file, &mut told)),
        Target::Server(client) => runtime.block_on(into_server(client, what, file, &mut told)),
    };
    let Told { bar, errors } = told;
    let took = bar.elapsed();
    bar.finish();
    let errors = errors.finish()?;
    let tally = tally?;
    let Tally { imported, unchanged, refused, problems } = tally;
    let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let see = errors.map(|path| format!("; see {}", path.display())).unwrap_or_default();
    out::tell(format_args!(
        "{name}: {imported} records imported, {unchanged} were there already, {refused} refused, {problems} not to be \
         read, in {:.1} s ({} records/s){see}",
        took.as_secs_f64(),
        rate(tally.records(), took),
    ));
    Ok(refused + problems == 0)
}

/// What the user sees meanwhile.
struct Told {
    bar: Bar,
    errors: Errors,
}

impl Told {
    fn progress(&self, bytes: u64, tally: Tally) {
        let records = tally.records();
        self.bar.reach(bytes);
        self.bar.say(format!("{records} records, {}/s", rate(records, self.bar.elapsed())));
    }
}

fn rate(records: u64, took: Duration) -> u64 {
    (records as f64 / took.as_secs_f64().max(0.001)) as u64
}

async fn into_engine(
    node: &Node,
    what: &What<'_>,
    mut file: impl BufRead,
    told: &mut Told,
) -> Result<Tally, Failure> {
    let tenant = make_tenant(node, what).await?;
    let who = (tenant, Actor::System);
    let mut import = imports::Import::new(node.engine.clone(), who, Some(what.format), what.kind);
    let mut bytes = 0;
    loop {
        let piece = file.fill_buf()?;
        let length = piece.len();
        if length == 0 {
            import.end();
        } else {
            import.push(piece);
        }
        file.consume(length);
        bytes += length as u64;
        loop {
            let more = import.advance().await;
            import.take_problems().iter().try_for_each(|problem| told.errors.add(problem))?;
            told.progress(bytes, import.tally());
            if !more.map_err(Failure::unable)? {
                break;
            }
        }
        if length == 0 {
            return Ok(import.tally());
        }
    }
}

/// The tenant, which is made where it is not there.
async fn make_tenant(node: &Node, what: &What<'_>) -> Result<TenantNumber, Failure> {
    if let Some(tenant) = tenants::tenant_by_slug(&node.engine.view(), what.tenant) {
        return Ok(tenant.profile.tenant());
    }
    let command = tenants::Command::CreateTenant(CreateTenant {
        slug: what.tenant.to_owned(),
        alias: None,
        name: what.tenant.to_owned(),
        time_zone: what.time_zone.to_owned(),
        currency: CURRENCY.to_owned(),
        locale: LOCALE.to_owned(),
        drop_ins: DropIns::default(),
        public: false,
        automatic: false,
    });
    let envelope = Envelope {
        tenant: TenantNumber::SYSTEM,
        actor: Actor::System,
        idempotency: None,
        bytes: 1_024,
        command: Command::Tenants(command),
    };
    match node.engine.submit(envelope).await.map_err(Failure::unable)?.result {
        Ok(Outcome::Tenants(
            tenants::Outcome::TenantCreated(tenant) | tenants::Outcome::TenantExists(tenant),
        )) => Ok(tenant.profile.tenant()),
        Ok(other) => unreachable!("creating a tenant is answered with {other:?}"),
        Err(rejection) => Err(Failure::unable(format!("{} ({})", rejection.detail, rejection.code))),
    }
}

/// A line of the server's answer.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerLine {
    Problem { line: Option<u64>, byte: u64, code: String, detail: String },
    Progress { bytes: u64, imported: u64, unchanged: u64, refused: u64, problems: u64 },
    Stopped { detail: String },
    Done { imported: u64, unchanged: u64, refused: u64, problems: u64 },
}

async fn into_server(
    client: &Client,
    what: &What<'_>,
    file: BufReader<Box<dyn Read + Send + Sync>>,
    told: &mut Told,
) -> Result<Tally, Failure> {
    let kind = what.kind.map_or("auto", Kind::plural);
    let path = format!("/v1/tenants/{}/imports?format={}&kind={kind}", what.tenant, what.format.as_str());
    make_tenant_at(client, &path, what).await?;
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
    let body: SentBody = BodyExt::boxed(StreamBody::new(pieces));
    let response = client.send(Method::POST, &path, "application/octet-stream", body).await?;
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
            let line = serde_json::from_slice(line)
                .map_err(|error| Failure::unable(format!("the answer is none of an import: {error}")))?;
            match line {
                AnswerLine::Problem { line, byte, code, detail } => {
                    told.errors.add(&Problem { line, byte, code: code.into(), detail })?;
                }
                AnswerLine::Progress { bytes, imported, unchanged, refused, problems } => {
                    told.progress(bytes, Tally { imported, unchanged, refused, problems });
                }
                AnswerLine::Stopped { detail } => {
                    return Err(Failure::unable(format!("the import stopped: {detail}")));
                }
                AnswerLine::Done { imported, unchanged, refused, problems } => {
                    return Ok(Tally { imported, unchanged, refused, problems });
                }
            }
        }
    }
    Err(Failure::unable("the server ended the import without a result; run it again"))
}

/// Makes the tenant at a server where it is not there.
async fn make_tenant_at(client: &Client, path: &str, what: &What<'_>) -> Result<(), Failure> {
    // An import of nothing is answered as the import will be, and changes nothing.
    let (status, bytes) = client.exchange(Method::POST, path, None).await?;
    if status.is_success() {
        return Ok(());
    }
    if status != StatusCode::NOT_FOUND {
        return Err(client::refusal(status, &bytes));
    }
    let tenant = json!({
        "slug": what.tenant,
        "name": what.tenant,
        "time_zone": what.time_zone,
        "currency": CURRENCY,
        "locale": LOCALE,
    });
    client.json(Method::POST, "/v1/tenants", Some(&tenant)).await.map(drop)
}
