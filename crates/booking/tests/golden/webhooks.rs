//! A fact of every kind of webhooks, and more where a field can be missing.

use maitred_booking::webhooks::Fact;
use maitred_booking::webhooks::fact::{
    Attempt, Cursor, CursorsKept, DeliveryDied, DeliveryFailed, Disabled, DisabledReason, Endpoint,
    EndpointRecovered, Lane, LaneMoved, Place, Previous, RecordKey, Replay, ReplayBegun, RetryAsked,
};
use maitred_booking::webhooks::secret::Sealed;
use maitred_core::Timestamp;
use uuid::Uuid;

pub(super) fn all() -> impl Iterator<Item = (&'static str, Fact)> {
    let id = Uuid::from_bytes([7, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 1]);
    let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis);
    let place = |ordinal| Place { seq: 40, ordinal };
    let created = Endpoint {
        id,
        url: "https://example.com/hooks".into(),
        description: None,
        kinds: Vec::new(),
        types: Vec::new(),
        active: true,
        disabled: None,
        secret: Sealed((0..60).collect()),
        previous: None,
        deleted: false,
        created_at: at(0),
    };
    let updated = Endpoint {
        description: Some("für die Kasse".into()),
        kinds: vec!["appointment".into(), "order".into()],
        types: vec!["created".into()],
        secret: Sealed(vec![9; 60]),
        previous: Some(Previous { secret: created.secret.clone(), until: at(86_400_000) }),
        ..created.clone()
    };
    let disabled = |reason| Endpoint { disabled: Some(Disabled { reason, at: at(5) }), ..updated.clone() };
    // Another one, so that the view keeps what the first has.
    let other = Uuid::from_u128(id.as_u128() + 1);
    let deleted = Endpoint { id: other, active: false, deleted: true, ..disabled(DisabledReason::Failing) };
    let answered =
        Attempt { at: at(6), duration_ms: 120, status: Some(503), answer: "später".into(), problem: None };
    let unanswered = Attempt {
        at: at(7),
        duration_ms: 15_000,
        status: None,
        answer: String::new(),
        problem: Some("too slow: waiting for an answer".into()),
    };
    let lane = |attempts, last| Lane { change: place(2), attempts, next_at: at(60_000), last };
    let record = RecordKey { kind: 3, id: 77 };
    let fresh = Lane { change: place(5), attempts: 0, next_at: at(8), last: None };
    let failed = |attempts, last| DeliveryFailed { endpoint: id, record, lane: lane(attempts, Some(last)) };
    let cursor = Cursor { tenant: 1, endpoint: id, through: place(u32::MAX), replayed: None };
    let replaying = Cursor { replayed: Some(place(1)), ..cursor };
    let replay = Replay { through: place(0), to: place(9) };
    let asked = RetryAsked { endpoint: id, record, change: place(2), lane: lane(0, None) };
    [
        ("webhook_created", Fact::WebhookCreated(created)),
        ("webhook_updated", Fact::WebhookUpdated(updated.clone())),
        ("replay_begun", Fact::ReplayBegun(ReplayBegun { endpoint: id, replay })),
        ("webhook_cursors_kept", Fact::CursorsKept(CursorsKept { cursors: vec![cursor, replaying] })),
        ("delivery_failed", Fact::DeliveryFailed(failed(1, answered))),
        ("delivery_failed_unanswered", Fact::DeliveryFailed(failed(2, unanswered.clone()))),
        ("lane_delivered_last", Fact::LaneDelivered(LaneMoved { endpoint: id, record, lane: None })),
        ("retry_asked", Fact::RetryAsked(asked)),
        (
            "delivery_died",
            Fact::DeliveryDied(DeliveryDied {
                endpoint: id,
                record,
                dead: lane(10, Some(unanswered)),
                lane: Some(fresh.clone()),
            }),
        ),
        ("lane_delivered", Fact::LaneDelivered(LaneMoved { endpoint: id, record, lane: Some(fresh) })),
        ("endpoint_recovered", Fact::EndpointRecovered(EndpointRecovered { endpoint: id })),
        ("webhook_disabled_gone", Fact::WebhookDisabled(disabled(DisabledReason::Gone))),
        ("webhook_disabled_failing", Fact::WebhookDisabled(disabled(DisabledReason::Failing))),
        ("webhook_disabled_dead_letters", Fact::WebhookDisabled(disabled(DisabledReason::DeadLetters))),
        ("webhook_deleted", Fact::WebhookDeleted(deleted)),
    ]
    .into_iter()
}
