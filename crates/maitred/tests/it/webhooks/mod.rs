//! `/v1/tenants/{tenant}/webhooks…`, and what arrives at a receiver that does as it is told.

mod api;
mod deliveries;
mod receiver;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maitred_core::Timestamp;
use maitred_engine::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::server::Server;

/// The machine's clocks, both of them as far ahead as a test wants.
#[derive(Debug, Default)]
pub(crate) struct Adjustable {
    clock: SystemClock,
    ahead_micros: AtomicU64,
}

impl Adjustable {
    fn advance(&self, by: Duration) {
        self.ahead_micros.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }

    fn ahead(&self) -> Duration {
        Duration::from_micros(self.ahead_micros.load(Ordering::SeqCst))
    }
}

impl Clock for Adjustable {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.wall().as_micros() + self.ahead().as_micros() as i64)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic() + self.ahead()
    }
}

/// A server whose clock a test turns, and its tenant's webhooks.
struct World {
    clock: Arc<Adjustable>,
    server: Server,
}

const WEBHOOKS: &str = "/v1/tenants/default/webhooks";

impl World {
    fn new() -> Self {
        let clock = Arc::new(Adjustable::default());
        World { server: Server::open_by(clock.clone()), clock }
    }

    /// Creates a webhook, which gets the changes of appointments, and returns its id and secret.
    fn webhook(&self, url: &str) -> (String, String) {
        let created = self.create(&json!({ "url": url, "kinds": ["appointment"] }));
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        (text("id"), text("secret"))
    }

    fn create(&self, input: &Value) -> Value {
        self.server.post(WEBHOOKS).json(input).send().ok(201)
    }

    fn webhook_path(&self, id: &str) -> String {
        format!("{WEBHOOKS}/{id}")
    }

    /// Puts the next version of an appointment.
    fn put(&self, id: &str, version: u32) {
        let day = 1 + version;
        let at = |hour: u32| format!("2030-05-{day:02}T{hour:02}:00:00Z");
        let body = json!({
            "resource": id, "starts_at": at(10), "ends_at": at(11),
            "created_at": "2030-01-01T08:00:00Z", "updated_at": format!("2030-01-{day:02}T08:00:00Z"),
        });
        let path = format!("/v1/tenants/default/appointments/{id}");
        let status = self.server.put(path, &body).send().status;
        assert!(matches!(status, 200 | 201), "{status}");
    }

    fn deliveries(&self, id: &str, state: &str) -> Vec<Value> {
        let path = format!("{WEBHOOKS}/{id}/deliveries?state={state}");
        let page = self.server.get(path).send().ok(200);
        page["items"].as_array().expect("a list").clone()
    }

    /// Waits until this holds; each look turns the clock on by `by`.
    fn until<T>(&self, what: &str, by: Duration, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..3_000 {
            if let Some(found) = look() {
                return found;
            }
            self.clock.advance(by);
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{what} never came");
    }
}
