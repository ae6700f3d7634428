//! `/v1/tenants/{tenant}/imports`: the files of the replaced salon system, streamed in.
//!
//! Invariants:
//! - Memory is bounded by a piece of the stream, whatever its size ([`crate::upload`]).
//! - Nothing is kept of an import but what it has imported: whoever wants more problems than one answer tells sends the
//!   file again, which changes nothing, and names the place behind which they are to be told.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use maitred_booking::app::{App, Scope, tenant_not_found};
use maitred_booking::tenants;
use maitred_booking::tenants::http::tenants::is_zone_known;
use maitred_connectors::Format;
use maitred_connectors::salon::Kind;
use maitred_web::json::require_plain;
use maitred_web::problem::CONTENT_TYPE_UNSUPPORTED;
use maitred_web::{Path, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::imports::{self, Answer, Import, Stopped, Tally, tenant};
use crate::upload::{self, Receiving, Upload, write_line};

/// After so many records an import says how far it is.
const PROGRESS_RECORDS: u64 = 10_000;
/// How many problems are told where the client does not say: what fits into the buffers of a connection, so that a client
/// may send all before it reads anything.
const PROBLEMS_TOLD: u32 = 1_000;

/// What is sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportsQuery {
    /// The format, where neither the content type nor the content tells it.
    #[serde(default)]
    format: Option<ImportFormat>,
    /// What the records are.
    #[serde(default)]
    #[param(inline, default = "auto")]
    kind: ImportKind,
    /// How many problems are told at most, and those besides that share the byte of the last one. A client that asks for many should read while it sends: what is not read
    /// holds the import up.
    #[serde(default = "problems_told")]
    #[param(default = 1_000)]
    problems_max: u32,
    /// Tells the problems behind this byte alone. Where more were found than told, sending all again with the `byte` of
    /// the last one tells the next.
    problems_after: Option<u64>,
    /// Of which records there is a line in the answer.
    #[serde(default)]
    #[param(inline, default = "problems")]
    outcomes: Outcomes,
    /// The IANA time zone of a tenant that is made. One that is there keeps its own.
    #[serde(default)]
    #[param(value_type = String, default = "Europe/Berlin")]
    time_zone: Zone,
}

fn problems_told() -> u32 {
    PROBLEMS_TOLD
}

/// Of which records there is a line in the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcomes {
    /// Those that were not taken.
    #[default]
    Problems,
    /// All.
    All,
}

/// A time zone that a tenant may have.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Zone(String);

impl Default for Zone {
    fn default() -> Self {
        Zone(tenant::TIME_ZONE.to_owned())
    }
}

impl TryFrom<String> for Zone {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if is_zone_known(&name) {
            Ok(Zone(name))
        } else {
            Err("expected an IANA time zone such as Europe/Berlin")
        }
    }
}

/// How records are written.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportFormat {
    /// A list of objects, an object with such lists in it, or objects one behind the other.
    Json,
    /// An object a line.
    Ndjson,
    /// With a header; separated by commas, semicolons or tabs.
    Csv,
    /// A dump: `INSERT INTO … VALUES (…), (…);`.
    Sql,
    /// An Avro object container file.
    Avro,
}

/// What records are.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportKind {
    /// Each record's fields tell.
    #[default]
    Auto,
    /// Customers.
    Customers,
    /// Bookings.
    Bookings,
}

impl From<ImportFormat> for Format {
    fn from(from: ImportFormat) -> Format {
        match from {
            ImportFormat::Json | ImportFormat::Ndjson => Format::Json,
            ImportFormat::Csv => Format::Csv,
            ImportFormat::Sql => Format::Sql,
            ImportFormat::Avro => Format::Avro,
        }
    }
}

impl ImportKind {
    fn kind(self) -> Option<Kind> {
        match self {
            ImportKind::Auto => None,
            ImportKind::Customers => Some(Kind::Customer),
            ImportKind::Bookings => Some(Kind::Booking),
        }
    }
}

/// A line of the answer to an import of records: at the end what became of all, before that progress and problems.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ImportsAnswerLine {
    /// A record was taken; only with `outcomes=all`.
    Record {
        /// Its line, from 1; absent where there are no lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(required = false)]
        line: Option<u64>,
        /// How many bytes stand before it.
        byte: u64,
        /// Its own id.
        id: String,
        /// What became of it.
        outcome: RecordOutcome,
    },
    /// A record was not imported; the others were.
    Problem {
        /// Its line, from 1; absent where there are no lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(required = false)]
        line: Option<u64>,
        /// How many bytes stand before it.
        byte: u64,
        /// Its own id, where it could be read and was refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(required = false)]
        id: Option<String>,
        /// The stable code.
        code: String,
        /// A sentence for a person.
        detail: String,
    },
    /// How far it is.
    Progress {
        /// The bytes taken.
        bytes: u64,
        /// What became of all that was read so far.
        #[serde(flatten)]
        counts: ImportCounts,
    },
    /// The import stopped; what was imported stays, and sending all again does the rest.
    Stopped {
        /// Why.
        detail: String,
    },
    /// The input is not of the format, as far as it was read: of the wrong kind, or damaged from its beginning.
    Failed {
        /// Why.
        detail: String,
        /// What became of all that was read so far.
        #[serde(flatten)]
        counts: ImportCounts,
    },
    /// The last line: all was read.
    Done {
        /// What became of all that was read so far.
        #[serde(flatten)]
        counts: ImportCounts,
    },
}

/// What became of a record that was taken.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordOutcome {
    /// It is new or newer.
    Imported,
    /// It was there already, or what is there is newer.
    Unchanged,
}

/// How many records there were, and what became of them: `read = imported + unchanged + refused + problems`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ImportCounts {
    /// All of them.
    read: u64,
    /// Records that are new or newer.
    imported: u64,
    /// Records that were there already.
    unchanged: u64,
    /// Records refused.
    refused: u64,
    /// Places at which no record could be read.
    problems: u64,
    /// Of those refused and not to be read, how many were found behind the last that was told, or at `problems_after`
    /// and before.
    untold: u64,
}

/// Takes customers and bookings of the replaced salon system over: JSON, CSV, a dump in SQL or Avro, told by `format`,
/// else by the content type, else by the content. The newest change of a record wins, so that sending all again is
/// harmless; what cannot be read or is refused does not stop the rest, however much it is: each such record is told with
/// its line and its code, as many as `problems_max` says, and the next ones by `problems_after`. An input of which nothing
/// is of the format ends as `failed`. A tenant that is not there is made, where the caller may make tenants. The answer
/// comes while the body is read. A body that is silent for 30 s stops it, and so does a server that is shutting down.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/imports",
    tag = "salons",
    params(("tenant" = String, Path), ImportsQuery),
    request_body(content = String, content_type = "application/octet-stream", description = "The file as it is"),
    responses(
        (status = 200, description = "NDJSON; the last line has the type `done`, `failed` or `stopped`", content_type = "application/x-ndjson", body = ImportsAnswerLine),
        (status = 400, body = Problem),
        (status = 404, description = "There is no such tenant, and the caller may make none", body = Problem),
        (status = 409, description = "The tenant is closed", body = Problem),
        (status = 415, description = "The media type names none of the formats", body = Problem),
    )
)]
pub async fn imports(
    State(app): State<App>,
    scope: Scope,
    Path(slug): Path<String>,
    Query(query): Query<ImportsQuery>,
    request: Request,
) -> Result<Response, Problem> {
    require_plain(request.headers())?;
    let format = match query.format {
        Some(format) => Some(format.into()),
        None => of_content_type(request.headers())?,
    };
    let (mut tenant, actor) = scope.who();
    if scope.is_without_tenant() {
        if !tenants::is_slug(&slug) {
            return Err(tenant_not_found(&slug));
        }
        tenant = tenant::find_or_make(app.engine(), actor, &slug, &query.time_zone.0).await??;
    }
    let import = Import::new(app.engine().clone(), (tenant, actor), format, query.kind.kind());
    let import = import.telling_all(query.outcomes == Outcomes::All);
    let upload = Upload::new(&app, request);
    let (problems_left, problems_after) = (query.problems_max, query.problems_after);
    Ok(upload::answer(Running {
        upload,
        busy: false,
        bytes: 0,
        counted: 0,
        problems_left,
        problems_after,
        last_told: None,
        untold: 0,
        import,
    }))
}

/// The format that the content type names; `None` where it names none, and the content has to tell.
fn of_content_type(headers: &HeaderMap) -> Result<Option<Format>, Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match (Format::from_media_type(&essence), &*essence) {
        (Some(format), _) => Ok(Some(format)),
        // What clients send that were told none.
        (None, "" | "application/octet-stream" | "application/x-www-form-urlencoded" | "text/plain") => {
            Ok(None)
        }
        (None, _) => {
            let detail = "Send JSON, NDJSON, CSV, SQL or Avro by its media type, or name it by `?format=`.";
            Err(Problem::header_invalid(CONTENT_TYPE_UNSUPPORTED, &CONTENT_TYPE, detail))
        }
    }
}

/// An import that is being received.
struct Running {
    upload: Upload,
    /// There is something to do before more bytes are read.
    busy: bool,
    bytes: u64,
    /// Records there were when progress was told last.
    counted: u64,
    /// How many problems are still told, and behind which byte.
    problems_left: u32,
    problems_after: Option<u64>,
    /// The byte of the last one that was told: a block of Avro has one place for all of its records.
    last_told: Option<u64>,
    untold: u64,
    import: Import,
}

impl Receiving for Running {
    async fn step(&mut self, out: &mut Vec<u8>) -> bool {
        let done = self.go_on().await;
        for answer in self.import.take_answers() {
            self.tell(answer, out);
        }
        let read = self.import.tally().read;
        match done {
            Ok(false) => {
                if read - self.counted >= PROGRESS_RECORDS {
                    self.counted = read;
                    write_line(
                        out,
                        &ImportsAnswerLine::Progress { bytes: self.bytes, counts: self.counts() },
                    );
                }
                true
            }
            Ok(true) => {
                let counts = self.counts();
                let line = match self.import.given_up() {
                    Some(why) => ImportsAnswerLine::Failed { detail: why.to_owned(), counts },
                    None => ImportsAnswerLine::Done { counts },
                };
                write_line(out, &line);
                false
            }
            Err(Stopped(detail)) => {
                write_line(out, &ImportsAnswerLine::Stopped { detail });
                false
            }
        }
    }
}

impl Running {
    /// Reads more where there is nothing else to do. Returns whether all is done.
    async fn go_on(&mut self) -> Result<bool, Stopped> {
        if !self.busy {
            match self.upload.next().await.map_err(Stopped)? {
                Some(bytes) => {
                    self.bytes += bytes.len() as u64;
                    self.import.push(&bytes);
                }
                None => self.import.end(),
            }
        }
        self.busy = self.import.advance().await?;
        Ok(self.import.has_ended() && !self.busy)
    }

    /// Tells what became of a record, unless it is one of more problems than are told.
    fn tell(&mut self, answer: Answer, out: &mut Vec<u8>) {
        match answer {
            Answer::Taken { line, byte, id, imported } => {
                let outcome = if imported { RecordOutcome::Imported } else { RecordOutcome::Unchanged };
                write_line(out, &ImportsAnswerLine::Record { line, byte, id, outcome });
            }
            Answer::Problem(imports::Problem { line, byte, id, code, detail }) => {
                let is_told = self.problems_left > 0 || self.last_told == Some(byte);
                if !is_told || self.problems_after.is_some_and(|after| byte <= after) {
                    self.untold += 1;
                    return;
                }
                self.last_told = Some(byte);
                self.problems_left = self.problems_left.saturating_sub(1);
                write_line(out, &ImportsAnswerLine::Problem { line, byte, id, code: code.into(), detail });
            }
        }
    }

    fn counts(&self) -> ImportCounts {
        let Tally { read, imported, unchanged, refused, problems } = self.import.tally();
        ImportCounts { read, imported, unchanged, refused, problems, untold: self.untold }
    }
}
