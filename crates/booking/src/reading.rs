//! What reads of one record share: the point in time that they are about, and the answer, or that the client has it.
//!
//! Invariant: a read is about one batch and one instant. The batch says what was recorded, the instant what of it was
//! over: a window or a hold. Next: [`crate::paging`] for lists.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use maitred_core::{Seq, Timestamp};
use maitred_engine::View;
use maitred_web::{AsOf, AtLeast, ETag, Preconditions, Problem, Query, Reply, etag};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::app::{App, Scope};

/// The point in time that a read is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The batch; `None` is the view's own, which costs less.
    pub as_of: Option<Seq>,
    /// The instant.
    pub at: Timestamp,
}

impl Moment {
    /// What `wanted` means: the batch that was the newest then, and that instant; without it, now.
    ///
    /// # Errors
    /// Those of [`App::as_of`].
    pub fn of(app: &App, view: &View, wanted: Option<AsOf>) -> Result<Self, Problem> {
        let now = app.engine().now().max(view.timestamp());
        let as_of = app.as_of(view, wanted)?;
        let at = match (wanted, as_of) {
            (Some(AsOf::Instant(instant)), _) => instant.min(now),
            (_, Some(seq)) => view.timestamp_of(seq),
            (_, None) => now,
        };
        Ok(Moment { as_of, at })
    }
}

/// Which past of one record is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneQuery {
    /// As the system knew it then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
}

impl OneQuery {
    /// What the record is read from, and the point in time.
    ///
    /// # Errors
    /// Those of [`App::view`] and [`App::as_of`].
    pub async fn open(&self, app: &App, at_least: AtLeast) -> Result<(View, Moment), Problem> {
        let view = app.view(at_least).await?;
        let moment = Moment::of(app, &view, self.as_of)?;
        Ok((view, moment))
    }
}

/// A read of one record, as an argument of a handler. `Who` is the argument that says who reads.
///
/// # Errors
/// As an argument: those of `Who`, of its headers, and of [`OneQuery::open`].
#[derive(Debug)]
pub struct One<Who = Scope> {
    /// Who reads.
    pub who: Who,
    /// What it is read from.
    pub view: View,
    /// The point in time.
    pub moment: Moment,
    preconditions: Preconditions,
}

impl<Who: FromRequestParts<App, Rejection = Problem> + Send> FromRequestParts<App> for One<Who> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let who = Who::from_request_parts(parts, app).await?;
        let Query(query) = Query::<OneQuery>::from_request_parts(parts, app).await?;
        let at_least = AtLeast::from_request_parts(parts, app).await?;
        let preconditions = Preconditions::from_request_parts(parts, app).await?;
        let (view, moment) = query.open(app, at_least).await?;
        Ok(One { who, view, moment, preconditions })
    }
}

impl<Who> One<Who> {
    /// The answer: the record, or that the client has it.
    pub fn reply<Body: Serialize>(&self, etag: ETag, body: Body) -> Response {
        if self.preconditions.is_fresh(&etag) {
            return etag::not_modified(etag);
        }
        Reply::ok(body).at(self.view.position()).tagged(etag).into_response()
    }
}
