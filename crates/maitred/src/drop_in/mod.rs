//! The services that this one replaces, each as its clients know it: all that is legacy lives here.
//!
//! Invariants:
//! - A drop-in translates: it calls the commands and queries that the native API calls, and has no rule of its own.
//! - Nothing depends on a drop-in but its line in [`crate::router`], and on [`sesami`] its line among the shapes of
//!   messages (`crate::brokers::shape`): retiring one deletes a folder and these lines.
//!
//! Next: [`sesami`] for appointments, [`fapi`] for bookings of salons, [`bookipi`] for the flash sale,
//! [`integrator`] for events.

pub mod bookipi;
pub mod fapi;
pub mod integrator;
mod keep_alive;
pub mod sesami;
mod tenant;
mod time;

use axum::response::Response;
use axum::routing::MethodRouter;
use maitred_booking::app::{App, count};
use maitred_web::{Guard, Problem};

/// Counts the requests of these routes, where rates are limited. Who sends too many is told so by `refuse`, in the
/// manner of the service.
fn counted(app: &App, routes: MethodRouter<App>, refuse: fn(Problem) -> Response) -> MethodRouter<App> {
    match app.rates() {
        Some(_) => routes.layer(Guard::new(count(app.clone())).refusing(refuse)),
        None => routes,
    }
}
