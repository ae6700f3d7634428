//! Samples of the catalogue's facts, in an order in which they could have been decided.

use maitred_booking::catalogue::fact::Format;
use maitred_booking::catalogue::{
    Counts, Event, Fact, Gone, Plan, Provider, Run, RunProblem, RunState, SealedHeader, SellMode, Validators,
    Zone,
};
use maitred_booking::money::Currency;
use maitred_core::Timestamp;
use uuid::Uuid;

/// A provider, runs of every state, and an event with everything and one with nothing.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Fact)> {
    use Fact::{EventCreated, EventUpdated, EventVanished, ProviderCreated, ProviderUpdated, RunRecorded};

    let id = |last: u8| Uuid::from_bytes([8, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, last]);
    let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis);
    let currency = Currency::parse("EUR").expect("a code");
    let provider = Provider {
        id: id(1),
        name: "arena".into(),
        url: "https://feeds.example/arena.xml".into(),
        format: Format::PlanlistXml,
        interval_seconds: 15,
        timeout_seconds: 10,
        time_zone: "Europe/Madrid".into(),
        currency,
        headers: vec![],
        active: true,
        created_at: at(0),
    };
    let header = SealedHeader { name: "x-key".into(), sealed: vec![7, 8, 9] };
    let paused = Provider { headers: vec![header], active: false, ..provider.clone() };
    let run = |last: u8, state| Run {
        id: id(last),
        provider: "arena".into(),
        state,
        created_at: at(1_000),
        updated_at: at(2_000),
        counts: Counts {
            bytes: 70_000,
            events: 300,
            created: 3,
            updated: 4,
            missing: 200,
            duplicates: 1,
            skipped: 2,
        },
        problems: vec![RunProblem {
            code: "zone-invalid".into(),
            detail: "line 7, byte 300: no price".into(),
        }],
        digest: Some([last; 32]),
        validators: None,
    };
    let kept = Validators {
        etag: Some("\"v1\"".into()),
        last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()),
    };
    let finished = Run { validators: Some(kept), ..run(10, RunState::Finished) };
    let failed = Run { digest: None, counts: Counts::default(), ..run(12, RunState::Failed) };
    let zone = |last: &str, price| Zone {
        id: last.into(),
        name: "Platea ä".into(),
        capacity: 243,
        price,
        numbered: true,
        vanished: false,
    };
    let plan = |last: &str, millis: i64| Plan {
        id: last.into(),
        starts_at: at(millis),
        ends_at: at(millis + 7_200_000),
        sell_from: None,
        sell_to: Some(at(millis)),
        sold_out: false,
        vanished: false,
        zones: vec![zone("40", Some(2_000)), zone("38", None)],
    };
    let event = Event {
        id: id(30),
        provider: "arena".into(),
        external_id: "291".into(),
        title: "Camela en concierto ñ".into(),
        sell_mode: Some(SellMode::Online),
        organizer: Some("1".into()),
        ever_online: true,
        currency,
        plans: vec![plan("291", 86_400_000), plan("292", 172_800_000)],
        first_seen_at: at(2_000),
        gone: None,
        digest: [3; 32],
    };
    let bare = Event {
        id: id(31),
        external_id: "322".into(),
        title: String::new(),
        sell_mode: None,
        organizer: None,
        ever_online: false,
        plans: vec![],
        ..event.clone()
    };
    let mut moved = Event { sell_mode: Some(SellMode::Offline), digest: [4; 32], ..event.clone() };
    moved.plans[0].starts_at = at(90_000_000);
    moved.plans[1].vanished = true;
    moved.plans[1].zones[0].vanished = true;
    let gone = Event { gone: Some(Gone { at: at(9_000), last_seen_at: at(2_000) }), ..moved.clone() };
    [
        ("provider_created", ProviderCreated(provider)),
        ("run_recorded_requested", RunRecorded(run(10, RunState::Requested))),
        ("run_recorded_running", RunRecorded(run(10, RunState::Running))),
        ("event_created", EventCreated(event)),
        ("event_created_bare", EventCreated(bare)),
        ("event_updated", EventUpdated(moved)),
        ("event_vanished", EventVanished(gone)),
        ("run_recorded_finished", RunRecorded(finished)),
        ("run_recorded_unchanged", RunRecorded(run(11, RunState::Unchanged))),
        ("run_recorded_failed", RunRecorded(failed)),
        ("run_recorded_held", RunRecorded(run(13, RunState::Held))),
        ("run_recorded_accepted", RunRecorded(run(13, RunState::Accepted))),
        ("run_recorded_discarded", RunRecorded(run(14, RunState::Discarded))),
        ("provider_updated", ProviderUpdated(paused)),
    ]
    .into_iter()
}
