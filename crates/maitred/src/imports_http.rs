//! `/v1/tenants/{tenant}/imports`: the files of the replaced salon system, streamed in.
//!
//! Invariant: memory is bounded by a piece of the stream, whatever its size ([`crate::upload`]).

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use maitred_booking::app::{App, Scope};
use maitred_connectors::Format;
use maitred_connectors::salon::Kind;
use maitred_web::json::require_plain;
use maitred_web::problem::CONTENT_TYPE_UNSUPPORTED;
use maitred_web::{Path, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::imports::{self, Import, Stopped, Tally};
use crate::upload::{self, Receiving, Upload, write_line};

/// After so many records an import says how far it is.
const PROGRESS_RECORDS: u64 = 10_000;

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
    /// A record was not imported; the others were.
    Problem {
        /// Its line, from 1; absent where there are no lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(required = false)]
        line: Option<u64>,
        /// How many bytes stand before it.
        byte: u64,
        /// The stable code.
        code: String,
        /// A sentence for a person.
        detail: String,
    },
    /// How far it is.
    Progress {
        /// The bytes taken.
        bytes: u64,
        /// Records that are new or newer.
        imported: u64,
        /// Records that were there already.
        unchanged: u64,
        /// Records refused.
        refused: u64,
        /// Places at which no record could be read.
        problems: u64,
    },
    /// The import stopped; what was imported stays, and sending all again does the rest.
    Stopped {
        /// Why.
        detail: String,
    },
    /// The last line.
    Done {
        /// Records that are new or newer.
        imported: u64,
        /// Records that were there already.
        unchanged: u64,
        /// Records refused.
        refused: u64,
        /// Places at which no record could be read.
        problems: u64,
    },
}

/// Takes customers and bookings of the replaced salon system over: JSON, CSV, a dump in SQL or Avro, told by `format`,
/// else by the content type, else by the content. The newest change of a record wins, so that sending all again is
/// harmless; what cannot be read or is refused does not stop the rest. The answer comes while the body is read. A body
/// that is silent for 30 s stops it, and so does a server that is shutting down.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/imports",
    tag = "salons",
    params(("tenant" = String, Path), ImportsQuery),
    request_body(content = String, content_type = "application/octet-stream", description = "The file as it is"),
    responses(
        (status = 200, description = "NDJSON; the last line has the type `done` or `stopped`", content_type = "application/x-ndjson", body = ImportsAnswerLine),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 415, description = "The media type names none of the formats", body = Problem),
    )
)]
pub async fn imports(
    State(app): State<App>,
    scope: Scope,
    Path(_tenant): Path<String>,
    Query(query): Query<ImportsQuery>,
    request: Request,
) -> Result<Response, Problem> {
    require_plain(request.headers())?;
    let format = match query.format {
        Some(format) => Some(format.into()),
        None => of_content_type(request.headers())?,
    };
    let import = Import::new(app.engine().clone(), scope.who(), format, query.kind.kind());
    let upload = Upload::new(&app, request);
    Ok(upload::answer(Running { upload, busy: false, ended: false, bytes: 0, told: 0, import }))
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
    ended: bool,
    bytes: u64,
    /// Records there were when progress was told last.
    told: u64,
    import: Import,
}

impl Receiving for Running {
    async fn step(&mut self, out: &mut Vec<u8>) -> bool {
        let done = self.go_on().await;
        for imports::Problem { line, byte, code, detail } in self.import.take_problems() {
            write_line(out, &ImportsAnswerLine::Problem { line, byte, code: code.into(), detail });
        }
        let tally = self.import.tally();
        let Tally { imported, unchanged, refused, problems } = tally;
        match done {
            Ok(false) => {
                if tally.records() - self.told >= PROGRESS_RECORDS {
                    self.told = tally.records();
                    let bytes = self.bytes;
                    write_line(
                        out,
                        &ImportsAnswerLine::Progress { bytes, imported, unchanged, refused, problems },
                    );
                }
                true
            }
            Ok(true) => {
                write_line(out, &ImportsAnswerLine::Done { imported, unchanged, refused, problems });
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
                None => {
                    self.import.end();
                    self.ended = true;
                }
            }
        }
        self.busy = self.import.advance().await?;
        Ok(self.ended && !self.busy)
    }
}
