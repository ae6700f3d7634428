//! The routes of the records that are made, changed and taken away one by one: employees, services, resources and
//! customers. What differs between them is a [`Routed`], and the words in their documentation ([`record_routes!`]).

use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_web::{Attempt, Preconditions, Problem};
use serde::Serialize;
use uuid::Uuid;

use super::{if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::flash_sales::Versioned;
use crate::salons::command::{Change, Command};
use crate::salons::rules::{Effect, Outcome};
use crate::salons::view::Kept;

/// A kind of record that has these routes.
pub(super) trait Routed: Kept {
    /// What is shown of it.
    type Body: From<Versioned<Self>> + Serialize;
    /// What a new one is made of.
    type Input;
    /// New values of its fields.
    type Patch;
    /// The part of the path below the tenant.
    const PATH: &'static str;

    /// The command that makes one.
    ///
    /// # Errors
    /// Where a field is no value of its kind.
    fn create(input: Self::Input) -> Result<Command, Problem>;
    /// The command that changes one.
    ///
    /// # Errors
    /// As [`Routed::create`].
    fn update(id: Uuid, patch: Self::Patch, if_version: Option<u64>) -> Result<Command, Problem>;
    /// The command that takes one away.
    fn delete(change: Change<Uuid, ()>) -> Command;
    /// What the outcome of such a command tells; `None` for that of another one.
    fn told(outcome: Outcome) -> Option<(Effect, Versioned<Self>)>;
}

pub(super) async fn create<T: Routed>(
    (app, scope, attempt): (&App, &Scope, &Attempt),
    (input, bytes): (T::Input, &[u8]),
) -> Result<Response, Problem> {
    let accepted = submit(app, scope, attempt, bytes, T::create(input)?).await?;
    Ok(answer::<T>(app, scope.tenant, accepted))
}

pub(super) async fn update<T: Routed>(
    (app, scope, attempt): (&App, &Scope, &Attempt),
    (id, preconditions): (Uuid, &Preconditions),
    (patch, bytes): (T::Patch, &[u8]),
) -> Result<Response, Problem> {
    let if_version = if_version::<T>(app, scope, preconditions, id)?;
    let accepted = submit(app, scope, attempt, bytes, T::update(id, patch, if_version)?).await?;
    Ok(answer::<T>(app, scope.tenant, accepted))
}

pub(super) async fn delete<T: Routed>(
    (app, scope, attempt): (&App, &Scope, &Attempt),
    (id, preconditions): (Uuid, &Preconditions),
) -> Result<Response, Problem> {
    let if_version = if_version::<T>(app, scope, preconditions, id)?;
    let command = T::delete(Change { id, what: (), if_version });
    let accepted = submit(app, scope, attempt, &[], command).await?;
    Ok(answer::<T>(app, scope.tenant, accepted))
}

fn answer<T: Routed>(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome, position, replayed } = accepted;
    let (effect, found) = T::told(outcome).expect("a command on a record is answered with it");
    let path = format!("{}/{}", T::PATH, found.is.id());
    let said = (effect, found.version, T::Body::from(found));
    write_reply(app, tenant, said, || path, (position, replayed))
}

/// A field that is true where it is absent.
pub(super) fn yes() -> bool {
    true
}

/// Defines the routes of a [`Routed`]: their paths, and the words of their documentation.
macro_rules! record_routes {
    (
        $kind:ident, $body:ident, $input:ident, $patch:ident;
        $all:tt, $one:tt, $versions:tt;
        $name:tt, $a_name:tt, $names:tt;
        create: $create:tt;
        delete: $delete:tt $(, in_use: $in_use:tt)?;
    ) => {
        #[doc = $create]
        #[utoipa::path(
            post,
            path = $all,
            tag = "salons",
            operation_id = concat!($names, "_create"),
            params(TenantPath, IdempotencyHeader),
            request_body = $input,
            responses((status = 201, description = "It is there", body = $body))
        )]
        pub async fn create(
            State(app): State<App>,
            scope: Scope,
            attempt: Attempt,
            JsonBody { value, bytes }: JsonBody<$input>,
        ) -> Result<Response, Problem> {
            records::create::<$kind>((&app, &scope, &attempt), (value, &bytes)).await
        }

        #[doc = concat!("The ", $names, ".")]
        #[utoipa::path(
            get,
            path = $all,
            tag = "salons",
            summary = concat!(
                "The ", $names, ", by id: those that were noted first come first, to the millisecond."
            ),
            operation_id = concat!($names, "_list"),
            params(TenantPath, ListQuery, PositionHeader),
            responses((
                status = 200,
                description = concat!("A page of ", $names, "; it may be short and have a next one"),
                body = Page<$body>
            ))
        )]
        pub async fn list(
            State(app): State<App>,
            scope: Scope,
            Query(query): Query<ListQuery>,
            at_least: AtLeast,
        ) -> Result<Response, Problem> {
            super::list::<$kind, $body>(&app, &scope, &query, at_least).await
        }

        #[doc = concat!("One ", $name, ".")]
        #[utoipa::path(
            get,
            path = $one,
            tag = "salons",
            summary = concat!("One ", $name, "."),
            operation_id = concat!($names, "_get"),
            params(
                TenantPath,
                ("id" = Uuid, Path, description = concat!("The ", $name, "'s id")),
                OneQuery,
                PositionHeader,
                IfNoneMatchHeader
            ),
            responses(
                (status = 200, description = concat!("The ", $name), body = $body),
                (status = 304, description = "The client has it"),
                (status = 404, description = "It is not there, or was not there then"),
            )
        )]
        pub async fn get(
            State(app): State<App>,
            scope: Scope,
            Path((_tenant, id)): Path<(String, Uuid)>,
            Query(query): Query<OneQuery>,
            at_least: AtLeast,
            preconditions: Preconditions,
        ) -> Result<Response, Problem> {
            super::get::<$kind, $body>(&app, &scope, id, &query, (at_least, preconditions)).await
        }

        #[doc = concat!("Change ", $a_name, ": what is absent stays.")]
        #[utoipa::path(
            patch,
            path = $one,
            tag = "salons",
            summary = concat!("Change ", $a_name, ": what is absent stays."),
            operation_id = concat!($names, "_update"),
            params(
                TenantPath,
                ("id" = Uuid, Path, description = concat!("The ", $name, "'s id")),
                IfMatchHeader,
                IdempotencyHeader
            ),
            request_body = $patch,
            responses(
                (status = 200, description = concat!("The ", $name, " as it is now"), body = $body),
                (status = 412, description = "It is at another version"),
            )
        )]
        pub async fn update(
            State(app): State<App>,
            scope: Scope,
            Path((_tenant, id)): Path<(String, Uuid)>,
            preconditions: Preconditions,
            attempt: Attempt,
            JsonBody { value, bytes }: JsonBody<$patch>,
        ) -> Result<Response, Problem> {
            records::update::<$kind>((&app, &scope, &attempt), (id, &preconditions), (value, &bytes)).await
        }

        #[doc = $delete]
        #[utoipa::path(
            delete,
            path = $one,
            tag = "salons",
            operation_id = concat!($names, "_delete"),
            params(
                TenantPath,
                ("id" = Uuid, Path, description = concat!("The ", $name, "'s id")),
                IfMatchHeader,
                IdempotencyHeader
            ),
            responses(
                (status = 200, description = "It is gone; this is its last version", body = $body),
                (status = 404, description = "It is not there"),
                $((status = 409, description = $in_use),)?
                (status = 412, description = "It is at another version"),
            )
        )]
        pub async fn delete(
            State(app): State<App>,
            scope: Scope,
            Path((_tenant, id)): Path<(String, Uuid)>,
            preconditions: Preconditions,
            attempt: Attempt,
        ) -> Result<Response, Problem> {
            records::delete::<$kind>((&app, &scope, &attempt), (id, &preconditions)).await
        }

        #[doc = concat!("Every version of ", $a_name, ".")]
        #[utoipa::path(
            get,
            path = $versions,
            tag = "salons",
            summary = concat!("Every version of ", $a_name, ", the oldest first, also of one that is gone."),
            operation_id = concat!($names, "_versions"),
            params(
                TenantPath,
                ("id" = Uuid, Path, description = concat!("The ", $name, "'s id")),
                ListQuery,
                PositionHeader
            ),
            responses(
                (status = 200, description = "A page of versions", body = Page<RecordVersion<$body>>),
                (status = 404, description = "It was never there"),
            )
        )]
        pub async fn versions(
            State(app): State<App>,
            scope: Scope,
            Path((_tenant, id)): Path<(String, Uuid)>,
            Query(query): Query<ListQuery>,
            at_least: AtLeast,
        ) -> Result<Response, Problem> {
            super::versions::<$kind, $body>(&app, &scope, id, &query, at_least).await
        }
    };
}
pub(super) use record_routes;
