//! `/v1/clock/confirm`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maitred_booking::tenants::Role;
use maitred_core::Timestamp;
use maitred_engine::clock::{Clock, SystemClock};
use serde_json::json;

use crate::server::Server;

/// The machine's clock, so many seconds ahead.
#[derive(Default)]
pub(crate) struct Ahead {
    clock: SystemClock,
    pub(crate) seconds: AtomicU64,
}

impl Clock for Ahead {
    fn wall(&self) -> Timestamp {
        let ahead = self.seconds.load(Ordering::Relaxed) as i64 * 1_000_000;
        Timestamp::from_micros(self.clock.wall().as_micros() + ahead)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

#[test]
fn a_clock_that_jumped_stops_writes_until_an_admin_confirms_it() {
    let clock = Arc::new(Ahead::default());
    let server = Server::with_keys_by(clock.clone());
    let owner = server.tenant_key("salon", Role::Owner);
    let body = json!({
        "starts_at": "2030-05-06T10:00:00Z", "ends_at": "2030-05-06T11:00:00Z",
        "created_at": "2030-05-01T08:00:00Z", "updated_at": "2030-05-01T08:00:00Z",
    });
    let put = || server.put("/v1/tenants/salon/appointments/a", &body).send();
    clock.seconds.store(3_600, Ordering::Relaxed);
    assert_eq!(put().refusal(), (503, "clock-suspect".to_owned()));
    server.get("/v1/tenants/salon").send().ok(200);

    let confirm = || server.anonymous("POST", "/v1/clock/confirm");
    assert_eq!(confirm().send().refusal().0, 401);
    assert_eq!(confirm().key(&owner).send().refusal(), (403, "forbidden".to_owned()));
    assert_eq!(put().refusal().0, 503, "an owner's word is not enough");

    let confirmed = server.post("/v1/clock/confirm").send().ok(200);
    assert_eq!(confirmed["was_suspect"], true, "{confirmed}");
    let instant = |member: &str| -> jiff::Timestamp {
        confirmed[member].as_str().expect("an instant").parse().expect("an instant")
    };
    let ahead = instant("now").duration_since(instant("expected")).as_secs();
    assert!((3_599..=3_601).contains(&ahead), "{confirmed}");
    put().ok(201);

    let again = server.post("/v1/clock/confirm").send().ok(200);
    assert_eq!(again["was_suspect"], false, "{again}");
}
