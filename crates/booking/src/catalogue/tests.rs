//! The catalogue: every answer by row, in the precedence of the refusals; which runs are held; what a run leaves and a
//! search finds ([`events`]); and random feeds against a naive model ([`model`]).

mod events;
mod model;

use std::ops::ControlFlow;

use maitred_core::{Class, TenantNumber, Timestamp};
use uuid::Uuid;

use super::command::{EVENTS_PER_COMMAND_MAX, HEADERS_MAX, PROBLEMS_MAX};
use super::fact::Format;
use super::rules::Applied;
use super::search::{Form, Place};
use super::*;
use crate::money::Currency;
use crate::name;
use crate::testing::World;

const TENANT: TenantNumber = TenantNumber(3);
const NAME: &str = "arena";

fn currency() -> Currency {
    Currency::parse("EUR").expect("a code")
}

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_millis(hour * 3_600_000)
}

fn provider() -> CreateProvider {
    CreateProvider {
        name: NAME.to_owned(),
        url: "https://feeds.example/arena.xml?v=1".to_owned(),
        format: Format::PlanlistXml,
        interval_seconds: 15,
        timeout_seconds: 10,
        time_zone: "Europe/Madrid".to_owned(),
        currency: currency(),
        headers: Vec::new(),
        active: true,
    }
}

fn create(create: CreateProvider) -> Command {
    Command::CreateProvider(create)
}

fn patch(patch: ProviderPatch) -> Command {
    Command::UpdateProvider(UpdateProvider { provider: NAME.to_owned(), patch, if_version: None })
}

fn inactive() -> Command {
    patch(ProviderPatch { active: Some(false), ..ProviderPatch::default() })
}

fn request() -> Command {
    Command::RequestRun { provider: NAME.to_owned() }
}

fn begin(missing: u64, digest: u8) -> Command {
    let counts = Counts { missing, ..Counts::default() };
    Command::BeginRun(BeginRun { provider: NAME.to_owned(), counts, digest: [digest; 32] })
}

fn finish(run: Option<Uuid>, state: RunState) -> Command {
    Command::FinishRun(FinishRun {
        provider: NAME.to_owned(),
        run,
        state,
        counts: Counts::default(),
        problems: Vec::new(),
        digest: None,
        validators: None,
    })
}

fn apply(run: Uuid, events: Vec<FeedEvent>) -> Command {
    Command::ApplyEvents(ApplyEvents { provider: NAME.to_owned(), run, events })
}

fn vanish(run: Uuid, events: Vec<Uuid>) -> Command {
    Command::VanishEvents(VanishEvents { provider: NAME.to_owned(), run, events })
}

fn accept(run: Uuid) -> Command {
    Command::AcceptRun { provider: NAME.to_owned(), run }
}

fn discard(run: Uuid) -> Command {
    Command::DiscardRun { provider: NAME.to_owned(), run }
}

fn zone(id: &str, price: Option<i64>) -> FeedZone {
    FeedZone { id: id.to_owned(), name: format!("Zone {id}"), capacity: 100, price, numbered: true }
}

fn plan(id: &str, hours: (i64, i64), zones: Vec<FeedZone>) -> FeedPlan {
    FeedPlan {
        id: id.to_owned(),
        starts_at: hour(hours.0),
        ends_at: hour(hours.1),
        sell_from: None,
        sell_to: Some(hour(hours.0)),
        sold_out: false,
        zones,
    }
}

fn event(id: &str, title: &str, plans: Vec<FeedPlan>) -> FeedEvent {
    digested(FeedEvent {
        external_id: id.to_owned(),
        title: title.to_owned(),
        sell_mode: Some(SellMode::Online),
        organizer: None,
        plans,
        digest: [0; 32],
    })
}

/// With the digest of what is stated.
fn digested(event: FeedEvent) -> FeedEvent {
    let digest = *blake3::hash(format!("{event:?}").as_bytes()).as_bytes();
    FeedEvent { digest, ..event }
}

fn concert(number: usize) -> FeedEvent {
    let start = number as i64;
    let zones = vec![zone("1", Some(1_500)), zone("2", Some(3_000))];
    event(&format!("e{number}"), &format!("Concert {number}"), vec![plan("1", (start, start + 2), zones)])
}

/// A world in which each command was accepted, in a batch of its own.
fn world(given: &[Command]) -> World<Rules> {
    let mut world = World::new(Rules);
    for command in given {
        world.submit(TENANT, command).unwrap_or_else(|refused| panic!("{command:?}: {refused:?}"));
    }
    world
}

fn run_of(world: &mut World<Rules>, command: &Command) -> Run {
    match world.submit(TENANT, command).unwrap_or_else(|refused| panic!("{command:?}: {refused:?}")).1 {
        Outcome::Run { run, .. } => run,
        other => panic!("{command:?} is answered with {other:?}"),
    }
}

fn applied(world: &mut World<Rules>, command: &Command) -> Applied {
    match world.submit(TENANT, command).unwrap_or_else(|refused| panic!("{command:?}: {refused:?}")).1 {
        Outcome::Applied(applied) => applied,
        other => panic!("{command:?} is answered with {other:?}"),
    }
}

/// Carries a whole feed over, as the server does it: in groups, and then what is missing.
fn sync(world: &mut World<Rules>, provider: &str, feed: &[FeedEvent], group: usize) {
    let missing = missing(world, provider, feed);
    let counts = Counts { missing: missing.len() as u64, ..Counts::default() };
    let begin = BeginRun { provider: provider.to_owned(), counts, digest: [1; 32] };
    let run = run_of(world, &Command::BeginRun(begin));
    assert_eq!(run.state, RunState::Running);
    for events in feed.chunks(group) {
        let provider = provider.to_owned();
        let apply = ApplyEvents { provider, run: run.id, events: events.to_vec() };
        assert_eq!(applied(world, &Command::ApplyEvents(apply)).taken as usize, events.len());
    }
    for events in missing.chunks(group) {
        let provider = provider.to_owned();
        let vanish = VanishEvents { provider, run: run.id, events: events.to_vec() };
        assert_eq!(applied(world, &Command::VanishEvents(vanish)).taken as usize, events.len());
    }
    let end = FinishRun {
        provider: provider.to_owned(),
        run: Some(run.id),
        state: RunState::Finished,
        counts,
        problems: Vec::new(),
        digest: Some([1; 32]),
        validators: None,
    };
    run_of(world, &Command::FinishRun(end));
}

fn missing(world: &World<Rules>, provider: &str, feed: &[FeedEvent]) -> Vec<Uuid> {
    let mut missing = Vec::new();
    view::each_known(&world.view, TENANT, provider, &mut |hash, known| {
        if !known.gone && feed.iter().all(|event| name::hash(&event.external_id) != hash) {
            missing.push(known.id);
        }
        ControlFlow::Continue(())
    });
    missing
}

/// Everything that a search finds, read in pages of `limit`.
fn found(world: &World<Rules>, search: &Search, limit: usize) -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let mut out = b"[".to_vec();
        let page = super::search::search(&world.view, TENANT, search, (after, limit), Form::Native, &mut out);
        out.push(b']');
        let page_rows: Vec<serde_json::Value> = serde_json::from_slice(&out).expect("rows are JSON");
        assert_eq!(page_rows.len(), page.count);
        assert!(page.count <= limit);
        rows.extend(page_rows);
        match page.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

fn titles(world: &World<Rules>, search: &Search) -> Vec<String> {
    let rows = found(world, search, 100);
    rows.iter().map(|row| row["title"].as_str().expect("a title").to_owned()).collect()
}

fn state(world: &World<Rules>) -> ProviderState {
    view::state(&world.view, TENANT, NAME)
}

type Told<'a> = Result<(), (Class, &'a str)>;

/// What becomes of a command; and that only facts change the view, and that replay gives the same.
fn check(name: &str, world: &mut World<Rules>, when: &Command, then: Told<'_>) {
    let before = world.view.clone();
    let answer = world.submit(TENANT, when);
    let told = answer.as_ref().map(|_| ()).map_err(|rejection| (rejection.class, &*rejection.code));
    assert_eq!(told, then, "{name}");
    let changed = answer.is_ok_and(|(facts, _)| !facts.is_empty());
    assert_eq!(world.view != before, changed, "{name}: facts change the view, and nothing else does");
    assert_eq!(world.replay(), world.view, "{name}: the log gives the same view");
}

fn refused(code: &str) -> Told<'_> {
    Err((Class::Unprocessable, code))
}

fn conflict(code: &str) -> Told<'_> {
    Err((Class::Conflict, code))
}

#[test]
fn each_field_of_a_provider_has_its_refusal() {
    let header = |name: &str, bytes: usize| SealedHeader { name: name.to_owned(), sealed: vec![7; bytes] };
    let wrong: [(&str, CreateProvider); 14] = [
        ("invalid-slug", CreateProvider { name: "Arena".into(), ..provider() }),
        ("invalid-slug", CreateProvider { name: String::new(), ..provider() }),
        ("invalid-url", CreateProvider { url: "ftp://feeds.example/".into(), ..provider() }),
        ("invalid-url", CreateProvider { url: "http:///x".into(), ..provider() }),
        ("invalid-url", CreateProvider { url: "http://user:word@feeds.example/".into(), ..provider() }),
        ("invalid-url", CreateProvider { url: "http://feeds.example/a b".into(), ..provider() }),
        ("invalid-interval", CreateProvider { interval_seconds: 0, ..provider() }),
        ("invalid-interval", CreateProvider { interval_seconds: 604_801, ..provider() }),
        ("invalid-timeout", CreateProvider { timeout_seconds: 0, ..provider() }),
        ("invalid-timeout", CreateProvider { timeout_seconds: 601, ..provider() }),
        ("invalid-time-zone", CreateProvider { time_zone: "here now".into(), ..provider() }),
        (
            "invalid-headers",
            CreateProvider { headers: vec![header("x-key", 9), header("x-key", 9)], ..provider() },
        ),
        ("invalid-headers", CreateProvider { headers: vec![header("host", 9)], ..provider() }),
        ("invalid-headers", CreateProvider { headers: vec![header("x-key", 4_201)], ..provider() }),
    ];
    for (code, wrong) in wrong {
        check(code, &mut world(&[]), &create(wrong), refused(code));
    }
    let many = (0..=HEADERS_MAX).map(|i| header(&format!("x-{i}"), 9)).collect();
    check(
        "headers",
        &mut world(&[]),
        &create(CreateProvider { headers: many, ..provider() }),
        refused("invalid-headers"),
    );
    let patches = [
        ("invalid-url", ProviderPatch { url: Some("x".into()), ..ProviderPatch::default() }),
        ("invalid-interval", ProviderPatch { interval_seconds: Some(0), ..ProviderPatch::default() }),
        ("invalid-timeout", ProviderPatch { timeout_seconds: Some(0), ..ProviderPatch::default() }),
        ("invalid-time-zone", ProviderPatch { time_zone: Some(String::new()), ..ProviderPatch::default() }),
        ("invalid-headers", ProviderPatch { headers: Some(vec![header("", 1)]), ..ProviderPatch::default() }),
    ];
    for (code, wrong) in patches {
        check(code, &mut world(&[create(provider())]), &patch(wrong), refused(code));
    }
}

#[test]
fn a_provider_is_refused_in_this_order() {
    let absent = Err((Class::Absent, "provider-not-found"));
    for command in [inactive(), request(), begin(0, 1), apply(Uuid::nil(), vec![]), accept(Uuid::nil())] {
        check("nobody", &mut world(&[]), &command, absent);
    }
    let given = [create(provider())];
    check("twice", &mut world(&given), &create(provider()), conflict("provider-exists"));
    let Command::UpdateProvider(update) = inactive() else { unreachable!("it is an update") };
    let stale = Command::UpdateProvider(UpdateProvider { if_version: Some(2), ..update });
    check("stale", &mut world(&given), &stale, Err((Class::Precondition, "version-mismatch")));
    check("patch", &mut world(&given), &inactive(), Ok(()));
    check("same patch", &mut world(&[create(provider()), inactive()]), &inactive(), Ok(()));
    for command in [request(), begin(0, 1), apply(Uuid::nil(), vec![]), vanish(Uuid::nil(), vec![])] {
        check(
            "inactive",
            &mut world(&[create(provider()), inactive()]),
            &command,
            conflict("provider-inactive"),
        );
    }
}

#[test]
fn a_tenant_has_so_many_providers() {
    let mut world = World::new(Rules);
    let named = |i: usize| create(CreateProvider { name: format!("p{i}"), ..provider() });
    for i in 0..PROVIDERS_MAX {
        world.submit(TENANT, &named(i)).expect("there is room");
    }
    let refused = world.submit(TENANT, &named(PROVIDERS_MAX)).expect_err("there is none");
    assert_eq!((refused.class, &*refused.code), (Class::TooMany, "too-many-providers"));
}

#[test]
fn only_the_open_run_writes() {
    let mut world = world(&[create(provider())]);
    let events = vec![concert(1)];
    check("none is open", &mut world, &apply(Uuid::nil(), events.clone()), conflict("run-not-open"));
    let asked = run_of(&mut world, &request());
    assert_eq!(asked.state, RunState::Requested);
    assert_eq!(run_of(&mut world, &request()).id, asked.id, "asking twice is asking once");
    check("it has not begun", &mut world, &apply(asked.id, events.clone()), conflict("run-not-open"));
    let run = run_of(&mut world, &begin(0, 1));
    assert_eq!((run.id, run.state), (asked.id, RunState::Running), "the run that was asked for begins");
    check("it writes", &mut world, &apply(run.id, events.clone()), Ok(()));
    let next = run_of(&mut world, &begin(0, 1));
    let left = view::run(&world.view, TENANT, NAME, run.id).expect("it is kept");
    assert_eq!((left.state, left.problems[0].code.as_str()), (RunState::Failed, "interrupted"));
    check("it was left", &mut world, &apply(run.id, events.clone()), conflict("run-not-open"));
    check("it was left", &mut world, &vanish(run.id, vec![]), conflict("run-not-open"));
    check("it was left", &mut world, &finish(Some(run.id), RunState::Finished), conflict("run-not-open"));
    check("the other ends", &mut world, &finish(Some(next.id), RunState::Finished), Ok(()));
    check("it is over", &mut world, &apply(next.id, events), conflict("run-not-open"));
    assert_eq!((state(&world).open_run, state(&world).last_success_at), (None, Some(world_time(&world, 0))));
}

/// The time of the last batch but `back`, of which refused ones count too.
fn world_time(world: &World<Rules>, back: i64) -> Timestamp {
    Timestamp::from_micros(world.timestamp.as_micros() - (back + 1) * 1_000_000)
}

#[test]
fn a_feed_that_states_the_same_writes_the_run_alone() {
    let mut world = world(&[create(provider())]);
    let feed: Vec<FeedEvent> = (0..5).map(concert).collect();
    sync(&mut world, NAME, &feed, 2);
    assert_eq!((state(&world).events, state(&world).vanished), (5, 0));
    let run = run_of(&mut world, &begin(0, 1));
    let (facts, _) = world.submit(TENANT, &apply(run.id, feed.clone())).expect("it is accepted");
    assert_eq!(facts, [], "nothing is new");
    let (facts, _) = world.submit(TENANT, &finish(Some(run.id), RunState::Unchanged)).expect("it ends");
    assert_eq!(facts.len(), 1);
    let before = state(&world).last_success_at;
    let (facts, _) = world.submit(TENANT, &finish(None, RunState::Unchanged)).expect("it ends unbegun");
    assert!(matches!(facts.as_slice(), [Fact::RunRecorded(run)] if run.state == RunState::Unchanged));
    assert!(state(&world).last_success_at > before, "and the events are seen again");
}

#[test]
fn a_failed_run_leaves_what_was_there() {
    let mut world = world(&[create(provider())]);
    sync(&mut world, NAME, &[concert(1)], 1);
    let before = (state(&world), titles(&world, &Search::starting(hour(0), hour(9))));
    let run = run_of(&mut world, &finish(None, RunState::Failed));
    assert_eq!(run.state, RunState::Failed);
    let after = state(&world);
    assert_eq!((after.events, after.last_success_at, after.failures), (1, before.0.last_success_at, 1));
    assert_eq!(titles(&world, &Search::starting(hour(0), hour(9))), before.1);
    run_of(&mut world, &finish(None, RunState::Failed));
    assert_eq!(state(&world).failures, 2);
    sync(&mut world, NAME, &[concert(1)], 1);
    assert_eq!(state(&world).failures, 0);
}

/// A provider of `events` events.
fn stocked(events: usize) -> World<Rules> {
    let mut world = world(&[create(provider())]);
    let feed: Vec<FeedEvent> = (0..events).map(concert).collect();
    sync(&mut world, NAME, &feed, EVENTS_PER_COMMAND_MAX);
    assert_eq!(state(&world).events as usize, events);
    world
}

#[test]
fn a_run_that_loses_more_than_a_fifth_and_a_hundred_is_held() {
    for (events, missing, then) in [
        (400, 81, RunState::Running),
        (400, 99, RunState::Running),
        (400, 100, RunState::Held),
        (500, 100, RunState::Running),
        (500, 101, RunState::Held),
        (500, 500, RunState::Held),
        (99, 99, RunState::Running),
    ] {
        assert_eq!(run_of(&mut stocked(events), &begin(missing, 2)).state, then, "{missing} of {events}");
    }
}

#[test]
fn a_held_run_waits_for_an_operator() {
    let mut world = stocked(300);
    let held = run_of(&mut world, &begin(200, 7));
    assert_eq!((held.state, state(&world).held_run), (RunState::Held, Some(*held.id.as_bytes())));
    check("it does not write", &mut world, &apply(held.id, vec![concert(999)]), conflict("run-not-open"));
    let (facts, outcome) = world.submit(TENANT, &begin(200, 7)).expect("it is known");
    assert!(facts.is_empty() && matches!(outcome, Outcome::Run { run, .. } if run.id == held.id));

    // Another feed that loses much takes its place.
    let other = run_of(&mut world, &begin(201, 8));
    let first = view::run(&world.view, TENANT, NAME, held.id).expect("it is kept");
    assert_eq!((first.state, other.state), (RunState::Discarded, RunState::Held));
    check("it is over", &mut world, &accept(held.id), conflict("invalid-transition"));

    // Set aside: the same feed is not held again, unless somebody asks.
    check("discard", &mut world, &discard(other.id), Ok(()));
    check("discard again", &mut world, &discard(other.id), Ok(()));
    assert_eq!(state(&world).held_run, None);
    assert_eq!(world.submit(TENANT, &begin(201, 8)).expect("it is known").0, []);
    run_of(&mut world, &request());
    let asked = run_of(&mut world, &begin(201, 8));
    assert_eq!(asked.state, RunState::Held);

    // Accepted: the next run may lose as many, and is due at once.
    check("accept", &mut world, &accept(asked.id), Ok(()));
    check("accept again", &mut world, &accept(asked.id), Ok(()));
    assert_eq!((state(&world).loss_allowed, state(&world).last_run_at), (201, None));
    assert_eq!(run_of(&mut world, &begin(202, 9)).state, RunState::Held, "more than was accepted");
    let next = run_of(&mut world, &begin(201, 8));
    assert_eq!(next.state, RunState::Running);
    check("it ends", &mut world, &finish(Some(next.id), RunState::Finished), Ok(()));
    assert_eq!((state(&world).loss_allowed, state(&world).held_run), (0, None));
    check("no such run", &mut world, &accept(Uuid::nil()), Err((Class::Absent, "run-not-found")));
}

#[test]
fn a_sound_feed_sets_a_held_run_aside() {
    let mut world = stocked(300);
    let held = run_of(&mut world, &begin(200, 7));
    assert_eq!(run_of(&mut world, &begin(0, 3)).state, RunState::Running);
    let held = view::run(&world.view, TENANT, NAME, held.id).expect("it is kept");
    assert_eq!((held.state, state(&world).held_run), (RunState::Discarded, None));
}

#[test]
fn the_newest_runs_are_kept() {
    let mut world = world(&[create(provider())]);
    let first = run_of(&mut world, &finish(None, RunState::Failed));
    for _ in 0..view::RUNS_MAX {
        run_of(&mut world, &finish(None, RunState::Failed));
    }
    assert_eq!(state(&world).runs, view::RUNS_MAX);
    assert_eq!(view::run(&world.view, TENANT, NAME, first.id), None);
    let runs = view::runs(&world.view, TENANT, NAME, None, 2_000);
    assert_eq!(runs.len(), view::RUNS_MAX as usize);
    assert!(runs.windows(2).all(|pair| pair[0].id > pair[1].id), "the newest first");
    let page = view::runs(&world.view, TENANT, NAME, Some(runs[1].id), 3);
    assert_eq!(page, runs[2..5]);
}

#[test]
fn problems_are_few_and_short() {
    let mut world = world(&[create(provider())]);
    let Command::FinishRun(end) = finish(None, RunState::Failed) else { unreachable!("it ends a run") };
    let problem = RunProblem { code: "feed".into(), detail: "ä".repeat(1_000) };
    let end = FinishRun { problems: vec![problem; 100], ..end };
    let run = run_of(&mut world, &Command::FinishRun(end));
    assert_eq!(run.problems.len(), PROBLEMS_MAX);
    assert_eq!(run.problems[0].detail.chars().count(), super::command::PROBLEM_CHARS_MAX);
}
