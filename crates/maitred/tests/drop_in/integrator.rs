//! The event integrator's clients: recorded requests, other methods, long lists, tenants and keys.

use maitred_booking::app::Access;
use maitred_booking::catalogue::fact::Format;
use maitred_booking::catalogue::{
    ApplyEvents, BeginRun, Command, Counts, CreateProvider, FeedEvent, FeedPlan, FeedZone, FinishRun,
    Outcome, RunState, SellMode,
};
use maitred_booking::money::Currency;
use maitred_booking::tenants::{self, CreateTenant, DropIn, DropIns};
use maitred_core::{TenantNumber, Timestamp};
use serde_json::json;

use crate::rows;
use crate::server::Server;

#[test]
fn every_recorded_request_is_answered_as_recorded() {
    rows::replay_with(include_str!("integrator.json"), &["3.1", "3.2", "3.3", "3.4"], |server| {
        carry_over(server, tenant(server, "default", false), &recorded());
    });
}

fn tenant(server: &Server, slug: &str, public: bool) -> TenantNumber {
    let create = CreateTenant {
        slug: slug.into(),
        alias: None,
        name: "Events".into(),
        time_zone: "UTC".into(),
        currency: "EUR".into(),
        locale: "en".into(),
        drop_ins: if slug == "off" { DropIns::NONE } else { DropIns::NONE.with(DropIn::EventIntegrator) },
        public,
        automatic: false,
    };
    match server.submit(TenantNumber::SYSTEM, tenants::Command::CreateTenant(create)) {
        maitred_booking::Outcome::Tenants(tenants::Outcome::TenantCreated(created)) => {
            created.profile.tenant()
        }
        other => panic!("{other:?}"),
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("an instant")
}

fn plan(id: &str, (start, end): (&str, &str), prices: &[Option<i64>]) -> FeedPlan {
    let zones = prices.iter().enumerate().map(|(i, price)| FeedZone {
        id: i.to_string(),
        name: "Platea".into(),
        capacity: 243,
        price: *price,
        numbered: true,
    });
    FeedPlan {
        id: id.into(),
        starts_at: at(start),
        ends_at: at(end),
        sell_from: None,
        sell_to: None,
        sold_out: false,
        zones: zones.collect(),
    }
}

fn event(id: &str, title: &str, sell_mode: SellMode, plans: Vec<FeedPlan>) -> FeedEvent {
    let digest = *blake3::hash(format!("{id} {title} {plans:?}").as_bytes()).as_bytes();
    FeedEvent {
        external_id: id.into(),
        title: title.into(),
        sell_mode: Some(sell_mode),
        organizer: None,
        plans,
        digest,
    }
}

/// What stood in the replaced service while its answers were taken down.
fn recorded() -> Vec<FeedEvent> {
    use SellMode::{Offline, Online};
    let camela = plan(
        "291",
        ("2021-06-30T21:00:00Z", "2021-06-30T22:00:00Z"),
        &[Some(2_000), Some(1_500), Some(3_000)],
    );
    let pantomima = plan("1642", ("2021-02-10T20:00:00Z", "2021-02-10T21:30:00Z"), &[Some(5_500)]);
    let morancos = [
        plan("1", ("2021-07-31T20:00:00Z", "2021-07-31T21:20:00Z"), &[Some(7_500), Some(6_500)]),
        plan("2", ("2021-08-31T20:00:00.5Z", "2021-08-31T21:20:00Z"), &[Some(1_205)]),
    ];
    let tributo = plan("3", ("2021-09-30T20:00:00Z", "2021-09-30T20:00:00Z"), &[]);
    let offset = plan("4", ("2021-10-01T05:00:00Z", "2021-10-01T04:00:00Z"), &[None]);
    vec![
        event("291", "Camela en concierto", Online, vec![camela]),
        event("322", "Pantomima Full", Online, vec![pantomima.clone()]),
        event("1591", "Los Morancos: ¡Señor! \"😀\"", Online, morancos.into()),
        event("444", "Tributo a Juanito Valderrama", Offline, vec![pantomima]),
        event("1", "Nothing costs", Online, vec![tributo]),
        event("2", "Ends before it starts", Online, vec![offset]),
        event("3", "Never", Online, vec![]),
    ]
}

fn carry_over(server: &Server, tenant: TenantNumber, events: &[FeedEvent]) {
    let submit = |command: Command| match server.submit(tenant, command) {
        maitred_booking::Outcome::Catalogue(outcome) => outcome,
        other => panic!("{other:?}"),
    };
    submit(Command::CreateProvider(CreateProvider {
        name: "arena".into(),
        url: "http://feeds.example/".into(),
        format: Format::PlanlistXml,
        interval_seconds: 600,
        timeout_seconds: 10,
        time_zone: "UTC".into(),
        currency: Currency::parse("EUR").expect("a code"),
        headers: vec![],
        active: true,
    }));
    let (provider, counts) = ("arena".to_owned(), Counts::default());
    let begin = BeginRun { provider: provider.clone(), counts, digest: [1; 32] };
    let Outcome::Run { run, .. } = submit(Command::BeginRun(begin)) else { panic!("a run begins") };
    for group in events.chunks(200) {
        let apply = ApplyEvents { provider: provider.clone(), run: run.id, events: group.to_vec() };
        let Outcome::Applied(applied) = submit(Command::ApplyEvents(apply)) else {
            panic!("events are written")
        };
        assert_eq!(applied.taken as usize, group.len());
    }
    submit(Command::FinishRun(FinishRun {
        provider,
        run: Some(run.id),
        state: RunState::Finished,
        counts,
        problems: vec![],
        digest: None,
        validators: None,
    }));
}

const SUMMER: &str = "GET /v1/events/search?starts_at=2021-06-01T00:00:00Z&ends_at=2021-07-01T00:00:00Z";

#[test]
fn an_answer_is_written_as_the_service_wrote_it() {
    let server = Server::open();
    carry_over(&server, tenant(&server, "default", false), &recorded());
    let mut client = server.client();
    let search = "GET /v1/events/search?starts_at=2021-07-31T20:00:00Z&ends_at=2021-08-01T00:00:00Z";
    let answered = client.send(search, &[], b"");
    let text = String::from_utf8(answered.body.clone()).expect("it is ASCII");
    let id = answered.json()["data"]["events"][0]["id"].as_str().expect("an id").to_owned();
    let event = format!(
        r#"{{"end_date":"2021-08-31","end_time":"21:20:00","id":"{id}","max_price":75.0,"min_price":12.05,"start_date":"2021-07-31","start_time":"20:00:00","title":"Los Morancos: \u00a1Se\u00f1or! \"\ud83d\ude00\""}}"#
    );
    assert_eq!(text, format!("{{\"data\":{{\"events\":[{event}]}},\"error\":null}}\n"));
    assert_eq!(client.send("GET /v1/health", &[], b"").body, b"{\"status\":\"ok\"}\n");
    let refused = client.send("GET /v1/events/search", &[], b"");
    assert!(refused.body.starts_with(b"{\"data\":null,\"error\":{\"code\":"), "its members are sorted");
}

#[test]
fn other_methods_are_told_in_html() {
    let server = Server::open();
    let mut client = server.client();
    for path in ["/v1/events/search", "/v1/events/search/", "/v1/health", "/v1/health/"] {
        let posted = client.send(&format!("POST {path}"), &[], b"");
        assert_eq!((posted.status, posted.header("allow")), (405, Some("HEAD, GET, OPTIONS")), "{path}");
        assert!(
            posted
                .body
                .starts_with(b"<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>")
        );
        let asked = client.send(&format!("OPTIONS {path}"), &[], b"");
        assert_eq!(
            (asked.status, asked.header("allow"), asked.body.len()),
            (200, Some("HEAD, GET, OPTIONS"), 0)
        );
    }
    let head = client.send(&SUMMER.replace("GET", "HEAD"), &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_list_of_any_length_is_whole() {
    let server = Server::open();
    let many: Vec<FeedEvent> = (0..5_003)
        .map(|i| {
            let show = plan("1", ("2021-06-30T21:00:00Z", "2021-06-30T22:00:00Z"), &[Some(100)]);
            event(&i.to_string(), &format!("Show {i}"), SellMode::Online, vec![show])
        })
        .collect();
    carry_over(&server, tenant(&server, "default", false), &many);
    let answered = server.client().send(SUMMER, &[], b"").json();
    let events = answered["data"]["events"].as_array().expect("a list");
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event["id"].as_str()).collect();
    assert_eq!((events.len(), ids.len(), &answered["error"]), (5_003, 5_003, &json!(null)));
    let none = "GET /v1/events/search?starts_at=2020-06-01T00:00:00Z&ends_at=2020-07-01T00:00:00Z";
    assert_eq!(server.client().send(none, &[], b"").json()["data"]["events"], json!([]));
}

#[test]
fn a_tenant_is_named_by_a_header_and_where_keys_are_demanded_it_must_allow_it() {
    let server = Server::start(Access::Keys, "default");
    carry_over(&server, tenant(&server, "default", true), &recorded());
    tenant(&server, "closed", false);
    tenant(&server, "off", true);
    let mut client = server.client();
    let mut status = |headers: &[(&str, &str)]| client.send(SUMMER, headers, b"").status;
    assert_eq!(status(&[]), 200, "its public routes are open");
    assert_eq!(status(&[("X-Tenant", "default")]), 200);
    assert_eq!(status(&[("X-Tenant", "closed")]), 401);
    assert_eq!(status(&[("X-Tenant", "off")]), 403);
    assert_eq!(status(&[("X-Tenant", "nobody")]), 401, "a stranger is not told which tenants there are");
    assert_eq!(status(&[("Authorization", "Bearer mk_wrong")]), 401);
    let unauthorized = client.send(SUMMER, &[("X-Tenant", "closed")], b"");
    assert!(unauthorized.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic")));
    assert_eq!(unauthorized.json()["data"], json!(null));
}
