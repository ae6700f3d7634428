//! Importing records of the replaced salon system, into a folder or at a server.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use maitred_connectors::Format;
use maitred_connectors::salon::Kind;
use maitred_core::{Actor, Rejection};
use serde::Deserialize;

use super::errors::Errors;
use super::input::Input;
use super::{Target, runtime};
use crate::assemble::Node;
use crate::cli::client::{self, Client, SentBody};
use crate::cli::failure::Failure;
use crate::cli::out;
use crate::cli::progress::Bar;
use crate::imports::{self, Answer, Problem, Tally, tenant};
use crate::transfer::Lines;

/// How much of the file is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What is imported, and where to.
pub(super) struct What<'a> {
    pub(super) tenant: &'a str,
    /// That of the tenant, where it is made.
    pub(super) time_zone: &'a str,
    pub(super) format: Format,
    pub(super) kind: Option<Kind>,
}

/// What became of a file's records, and why it was given up, if it was.
struct Imported {
    tally: Tally,
    given_up: Option<String>,
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
    let imported = match target {
        Target::Node(node) => runtime.block_on(into_engine(node, what, file, &mut told)),
        Target::Server(client) => runtime.block_on(into_server(client, what, file, &mut told)),
    };
    let Told { bar, errors } = told;
    let took = bar.elapsed();
    bar.finish();
    let errors = errors.finish()?;
    let Imported { tally, given_up } = imported?;
    let Tally { imported, unchanged, refused, problems, .. } = tally;
    let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let see = errors.map(|path| format!("; see {}", path.display())).unwrap_or_default();
    out::tell(format_args!(
        "{name}: {imported} records imported, {unchanged} were there already, {refused} refused, {problems} not to be \
         read, in {:.1} s ({} records/s){see}",
        took.as_secs_f64(),
        rate(tally.read, took),
    ));
    if let Some(why) = given_up {
        return Err(Failure::unable(format!("{name}: the import failed: {why}")));
    }
    Ok(refused + problems == 0)
}

/// What the user sees meanwhile.
struct Told {
    bar: Bar,
    errors: Errors,
}

impl Told {
    fn progress(&self, bytes: u64, tally: Tally) {
        let records = tally.read;
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
) -> Result<Imported, Failure> {
    let tenant = tenant::find_or_make(&node.engine, Actor::System, what.tenant, what.time_zone).await;
    let refused =
        |rejection: Rejection| Failure::unable(format!("{} ({})", rejection.detail, rejection.code));
    let who = (tenant.map_err(Failure::unable)?.map_err(refused)?, Actor::System);
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
            for answer in import.take_answers() {
                if let Answer::Problem(problem) = answer {
                    told.errors.add(&problem)?;
                }
            }
            told.progress(bytes, import.tally());
            if !more.map_err(Failure::unable)? {
                break;
            }
        }
        if import.has_ended() {
            return Ok(Imported { tally: import.tally(), given_up: import.given_up().map(str::to_owned) });
        }
    }
}

/// A line of the server's answer.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerLine {
    Problem(Problem),
    Progress {
        bytes: u64,
        #[serde(flatten)]
        tally: Tally,
    },
    Stopped {
        detail: String,
    },
    Failed {
        detail: String,
        #[serde(flatten)]
        tally: Tally,
    },
    Done {
        #[serde(flatten)]
        tally: Tally,
    },
}

async fn into_server(
    client: &Client,
    what: &What<'_>,
    file: BufReader<Box<dyn Read + Send + Sync>>,
    told: &mut Told,
) -> Result<Imported, Failure> {
    let kind = what.kind.map_or("auto", Kind::plural);
    // In names of zones nothing but this has another meaning in a query.
    let time_zone = what.time_zone.replace('+', "%2B");
    let path = format!(
        "/v1/tenants/{}/imports?format={}&kind={kind}&problems_max={}&time_zone={time_zone}",
        what.tenant,
        what.format.as_str(),
        u32::MAX,
    );
    // An import of nothing is answered as the import will be: where it is refused, that is said before all is sent.
    let (status, bytes) = client.exchange(Method::POST, &path, None).await?;
    if !status.is_success() {
        return Err(client::refusal(status, &bytes));
    }
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
                AnswerLine::Problem(problem) => told.errors.add(&problem)?,
                AnswerLine::Progress { bytes, tally } => told.progress(bytes, tally),
                AnswerLine::Stopped { detail } => {
                    return Err(Failure::unable(format!("the import stopped: {detail}")));
                }
                AnswerLine::Failed { detail, tally } => {
                    return Ok(Imported { tally, given_up: Some(detail) });
                }
                AnswerLine::Done { tally } => return Ok(Imported { tally, given_up: None }),
            }
        }
    }
    Err(Failure::unable("the server ended the import without a result; run it again"))
}
