//! `/v1/tenants/{tenant}/export` and `…/import`: a tenant as lines of JSON, streamed both ways.
//!
//! Invariants:
//! - Memory is bounded by a piece of the stream, whatever the tenant's size.
//! - No view is held while a socket blocks: each piece of an export is read from a view of its own, and all of them
//!   show the tenant as it stood after one batch.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use maitred_booking::app::{App, Scope, tenant_not_found};
use maitred_core::Position;
use maitred_web::json::require_plain;
use maitred_web::limits::{BODY_SILENCE_MAX, BodyBytesMax, BodySilenceMax};
use maitred_web::position::{MAITRED_POSITION, header_value};
use maitred_web::{AsOf, AtLeast, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use crate::transfer::{Destination, Export, Import, Lines, Refused, Stopped, Tally};

/// The largest body of an import: 1 GiB. Over it the import stops.
pub const IMPORT_BODY_BYTES_MAX: u64 = 1 << 30;
/// How much of an export is read from one view.
const PIECE_BYTES: usize = 256 * 1024;
/// After so many lines an import says how far it is.
const PROGRESS_LINES: u64 = 10_000;
/// Lines of JSON.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Which past is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// As the system knew it then: an instant or a position.
    #[serde(default)]
    as_of: Option<AsOf>,
}

/// A tenant as lines of JSON: the profile, every version of every user, product, sale, order and appointment, and an end.
/// Users come with the hashes of their passwords, so keep it as you keep the data folder. API keys are not exported.
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
    let bytes_max =
        request.extensions().get::<BodyBytesMax>().map_or(IMPORT_BODY_BYTES_MAX, |max| max.0 as u64);
    let silence_max = request.extensions().get::<BodySilenceMax>().map_or(BODY_SILENCE_MAX, |max| max.0);
    let (tenant, actor) = scope.who();
    let running = Running {
        body: request.into_body().into_data_stream(),
        bytes_left: bytes_max,
        bytes_max,
        silence_max,
        draining: Box::pin(app.readiness().draining()),
        lines: Lines::default(),
        last: 0,
        told: 0,
        import: Import::new(app.engine().clone(), actor, Destination::Tenant(tenant)),
    };
    let pieces = stream::unfold(Some(running), |state| async {
        let mut running = state?;
        let mut out = Vec::new();
        let going_on = loop {
            let going_on = running.step(&mut out).await;
            if !going_on || !out.is_empty() {
                break going_on;
            }
        };
        Some((Ok::<_, Infallible>(Bytes::from(out)), going_on.then_some(running)))
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(pieces)).into_response())
}

/// An import that is being received.
struct Running {
    body: BodyDataStream,
    bytes_left: u64,
    bytes_max: u64,
    silence_max: Duration,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    lines: Lines,
    last: u64,
    told: u64,
    import: Import,
}

impl Running {
    /// Takes the next bytes of the body, and appends what there is to say. Returns whether there is more to do.
    async fn step(&mut self, out: &mut Vec<u8>) -> bool {
        let silence_max = self.silence_max;
        let piece = tokio::select! {
            biased;
            piece = timeout(silence_max, self.body.next()) => Ok(piece),
            () = &mut self.draining => Err("the server is shutting down; send all of it again"),
        };
        let stopped = match piece {
            Ok(Ok(Some(Ok(bytes)))) => self.take(&bytes).await.map(|()| true),
            Ok(Ok(None)) => self.end().await.map(|()| false),
            Ok(Ok(Some(Err(_)))) => Err(self.stopped("the connection ended before the body did".to_owned())),
            Ok(Err(_)) => Err(self.stopped(format!("no byte came for {} s", silence_max.as_secs_f32()))),
            Err(why) => Err(self.stopped(why.to_owned())),
        };
        for Refused { line, code, detail } in self.import.take_refused() {
            write(out, &ImportAnswerLine::Refused { line, code: code.into(), detail });
        }
        match stopped {
            Ok(true) => {
                if self.last - self.told >= PROGRESS_LINES {
                    self.told = self.last;
                    write(out, &ImportAnswerLine::Progress { lines: self.last });
                }
                true
            }
            Ok(false) => {
                let Tally { imported, unchanged, refused } = self.import.tally();
                write(out, &ImportAnswerLine::Done { imported, unchanged, refused });
                false
            }
            Err(Stopped { line, why }) => {
                write(out, &ImportAnswerLine::Stopped { line, detail: why });
                false
            }
        }
    }

    fn stopped(&self, why: String) -> Stopped {
        Stopped { line: self.last, why }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        let left = self.bytes_left.checked_sub(bytes.len() as u64);
        self.bytes_left =
            left.ok_or_else(|| self.stopped(format!("the body may have at most {} bytes", self.bytes_max)))?;
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

fn write(out: &mut Vec<u8>, line: &ImportAnswerLine) {
    serde_json::to_writer(&mut *out, line).expect("texts and numbers have a JSON form");
    out.push(b'\n');
}
