//! `/v1/tenants/{tenant}/export` and `…/import`: a tenant as lines of JSON, streamed both ways.
//!
//! Invariants:
//! - Memory is bounded by a piece of the stream, whatever the tenant's size.
//! - No view is held while a socket blocks: each piece of an export is read from a view of its own, and all of them
//!   show the tenant as it stood after one batch.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use maitred_booking::app::{App, Scope, tenant_not_found};
use maitred_core::Position;
use maitred_web::json::require_plain;
use maitred_web::position::{MAITRED_POSITION, header_value};
use maitred_web::{AsOf, AtLeast, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::transfer::{Destination, Export, Import, Lines, Refused, Stopped, Tally};
use crate::upload::{self, NDJSON, Receiving, Upload, write_line};

/// How much of an export is read from one view.
const PIECE_BYTES: usize = 256 * 1024;
/// After so many lines an import says how far it is.
const PROGRESS_LINES: u64 = 10_000;

/// Which past is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// As the system knew it then: an instant or a position.
    #[serde(default)]
    as_of: Option<AsOf>,
}

/// A tenant as lines of JSON: the profile, every version of every user, product, sale, order and appointment and of all
/// that a salon keeps, and an end. Users come with the hashes of their passwords, bookings and calendars with those of
/// their tokens, so keep it as you keep the data folder. API keys are not exported.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/export",
    tag = "tenants",
    params(("tenant" = String, Path), ExportQuery),
    responses(
        (status = 200, description = "NDJSON; the last line has the type `end`", content_type = "application/x-ndjson", body = String),
        (status = 400, body = Problem), (status = 404, body = Problem),
    )
)]
pub async fn export(
    State(app): State<App>,
    scope: Scope,
    Path(tenant): Path<String>,
    Query(query): Query<ExportQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let through = app.as_of(&view, query.as_of)?.map_or(view.seq(), |seq| seq.min(view.seq()));
    let export = Export::new(&view, scope.tenant, through).map_err(|_gone| tenant_not_found(&tenant))?;
    let position = Position { seq: through, ..view.position() };
    drop(view);
    let pieces = stream::unfold(Some((app, export)), |state| async {
        let (app, mut export) = state?;
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        let more = export.fill(&app.engine().view(), &mut piece, PIECE_BYTES);
        Some((Ok::<_, Infallible>(Bytes::from(piece)), more.then_some((app, export))))
    });
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{tenant}.ndjson\""));
    let disposition = disposition.map_err(|_| tenant_not_found(&tenant))?; // a slug is plain ASCII
    let headers = [
        (CONTENT_TYPE, NDJSON),
        (CONTENT_DISPOSITION, disposition),
        (MAITRED_POSITION, header_value(position)),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// A line of the answer to an import: at the end what became of all, before that refused lines and progress.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ImportAnswerLine {
    /// A line was refused; the others were not.
    Refused {
        /// Its number, from 1.
        line: u64,
        /// The stable code.
        code: String,
        /// A sentence for a person.
        detail: String,
    },
    /// How far it is.
    Progress {
        /// The lines taken.
        lines: u64,
    },
    /// The import stopped; what was imported stays, and sending all again does the rest.
    Stopped {
        /// The line at which.
        line: u64,
        /// Why.
        detail: String,
    },
    /// The last line.
    Done {
        /// Lines taken over.
        imported: u64,
        /// Lines that were there already.
        unchanged: u64,
        /// Lines refused.
        refused: u64,
    },
}

/// Takes lines of an export over into a tenant that is there. Lines that are there already change nothing; refused
/// lines do not stop the rest. The answer comes while the body is read. A body that is silent for 30 s stops it, and
/// so does a server that is shutting down.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/import",
    tag = "tenants",
    params(("tenant" = String, Path)),
    request_body(content = String, content_type = "application/x-ndjson", description = "What an export answers"),
    responses(
        (status = 200, description = "NDJSON; the last line has the type `done` or `stopped`", content_type = "application/x-ndjson", body = ImportAnswerLine),
        (status = 404, body = Problem),
    )
)]
pub async fn import(State(app): State<App>, scope: Scope, request: Request) -> Result<Response, Problem> {
    require_plain(request.headers())?;
    let (tenant, actor) = scope.who();
    let import = Import::new(app.engine().clone(), actor, Destination::Tenant(tenant));
    let upload = Upload::new(&app, request);
    Ok(upload::answer(Running { upload, lines: Lines::default(), last: 0, told: 0, import }))
}

/// An import that is being received.
struct Running {
    upload: Upload,
    lines: Lines,
    last: u64,
    told: u64,
    import: Import,
}

impl Receiving for Running {
    async fn step(&mut self, out: &mut Vec<u8>) -> bool {
        let done = match self.upload.next().await {
            Ok(Some(bytes)) => self.take(&bytes).await.map(|()| false),
            Ok(None) => self.end().await.map(|()| true),
            Err(why) => Err(Stopped { line: self.last, why }),
        };
        for Refused { line, code, detail } in self.import.take_refused() {
            write_line(out, &ImportAnswerLine::Refused { line, code: code.into(), detail });
        }
        match done {
            Ok(false) => {
                if self.last - self.told >= PROGRESS_LINES {
                    self.told = self.last;
                    write_line(out, &ImportAnswerLine::Progress { lines: self.last });
                }
                true
            }
            Ok(true) => {
                let Tally { imported, unchanged, refused } = self.import.tally();
                write_line(out, &ImportAnswerLine::Done { imported, unchanged, refused });
                false
            }
            Err(Stopped { line, why }) => {
                write_line(out, &ImportAnswerLine::Stopped { line, detail: why });
                false
            }
        }
    }
}

impl Running {
    async fn take(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        self.lines.push(bytes);
        self.drain().await
    }

    async fn end(&mut self) -> Result<(), Stopped> {
        self.lines.end();
        self.drain().await?;
        self.import.finish(self.last).await
    }

    async fn drain(&mut self) -> Result<(), Stopped> {
        while let Some((number, line)) = self.lines.next() {
            self.last = number;
            self.import.line(number, line).await?;
        }
        Ok(())
    }
}
