//! Random histories of the dispatcher on a real engine: receivers that accept, refuse, or accept and are not heard, in any
//! order; a dispatcher that dies at any moment; a clock that is turned. In the end everything arrived, of each record in
//! its order.
//!
//! `WEBHOOK_SEEDS=1000` tries as many seeds as it says, `WEBHOOK_SEED` one of them; a failure names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use maitred_booking::app::App;
use maitred_booking::appointments::{self, command::Upsert};
use maitred_booking::tenants::{self, CreateTenant, DropIns};
use maitred_booking::webhooks::command::CreateWebhook;
use maitred_booking::webhooks::courier::{Answer, Answered, Courier, Delivery, Job, Unanswered};
use maitred_booking::webhooks::dispatch::{Dispatcher, ENDPOINT_IN_FLIGHT_MAX};
use maitred_booking::webhooks::secret::{SECRET_BYTES, Sealer, Secret};
use maitred_booking::webhooks::{self, view};
use maitred_core::{Actor, TenantNumber, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::COMMAND_BYTES;
use crate::assemble;

const SEEDS: u64 = 12;
const STEPS: usize = 600;
const RECORDS: usize = 5;
const ENDPOINTS: u128 = 3;
/// So many steps after everything has healed, and what has not arrived is lost.
const PATIENCE: usize = 20_000;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// The jobs go to the test, not to a courier.
#[derive(Debug)]
struct Nobody;

impl Courier for Nobody {
    fn refuses(&self, _: &str) -> Option<String> {
        None
    }

    fn deliver(&self, _: Job, _: Duration) -> Delivery {
        unreachable!("the test sends by itself")
    }
}

struct World {
    app: App,
    tenant: TenantNumber,
    dispatcher: Dispatcher,
    dice: Dice,
    now: Timestamp,
    flying: Vec<(u64, Job)>,
    /// By endpoint (as the ids of deliveries name it): the changes in the order in which they were accepted.
    accepted: BTreeMap<String, Vec<(String, String, u64)>>,
    versions: [u64; RECORDS],
    deaths: u32,
    failures: u32,
}

#[test]
fn whatever_befalls_receivers_and_dispatcher_everything_arrives_in_its_records_order() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = match number("WEBHOOK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WEBHOOK_SEEDS").unwrap_or(SEEDS),
    };
    let (mut deaths, mut failures) = (0, 0);
    for seed in seeds.clone() {
        println!("seed {seed}");
        let (died, failed) = history(seed);
        (deaths, failures) = (deaths + died, failures + failed);
    }
    let count = (seeds.end - seeds.start) as u32;
    assert!(deaths >= count && failures > 20 * count, "{deaths} deaths and {failures} failures are no test");
}

fn history(seed: u64) -> (u32, u32) {
    let (app, threads) = assemble::in_memory().expect("random bits");
    let sealer = Sealer::new(&[7; 32]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let submit = |tenant, command: maitred_booking::Command| {
        runtime
            .block_on(app.submit((tenant, Actor::System), None, COMMAND_BYTES, command))
            .expect("accepted");
    };
    submit(TenantNumber::SYSTEM, tenants::Command::CreateTenant(tenant()).into());
    let tenant = app.tenant("salon").expect("it is there").number;
    for n in 0..ENDPOINTS {
        let id = Uuid::from_u128(1 + n);
        let secret = sealer.seal(&Secret::new([9; SECRET_BYTES]), tenant, id).expect("random bits");
        submit(tenant, webhooks::Command::Create(webhook(id, secret)).into());
    }
    app.webhooks().employ(sealer, Box::new(Nobody));
    let mut world = World {
        now: app.engine().now(),
        app: app.clone(),
        tenant,
        dispatcher: Dispatcher::new(seed),
        dice: Dice(seed),
        flying: Vec::new(),
        accepted: BTreeMap::new(),
        versions: [0; RECORDS],
        deaths: 0,
        failures: 0,
    };
    for _ in 0..STEPS {
        if world.dice.once_in(4) {
            let record = world.dice.below(RECORDS);
            world.versions[record] += 1;
            submit(tenant, appointment(record, world.versions[record]).into());
        }
        world.step(true);
    }
    let written: u64 = world.versions.iter().sum();
    let mut steps = 0;
    while world.arrived() < written * ENDPOINTS as u64 || world.has_lanes() {
        world.step(false);
        steps += 1;
        assert!(steps < PATIENCE, "seed {seed}: {} of {written} arrived", world.arrived());
    }
    world.check_order();
    let (deaths, failures) = (world.deaths, world.failures);
    drop((world, app));
    threads.stop();
    (deaths, failures)
}

impl World {
    fn step(&mut self, with_faults: bool) {
        let by = if self.dice.once_in(20) { 3_600_000_000 } else { self.dice.below(2_000_000) as i64 };
        self.now = Timestamp::from_micros(self.now.as_micros() + by);
        if with_faults && self.dice.once_in(60) {
            self.dispatcher = Dispatcher::new(self.dice.0);
            // What was under way may still arrive, and nobody hears of it.
            for (_, job) in std::mem::take(&mut self.flying) {
                if self.dice.once_in(2) {
                    self.accept(&job);
                }
            }
            self.deaths += 1;
        }
        let engine = self.app.engine();
        let mut submit =
            |tenant, command| self.app.enter((tenant, Actor::System), None, COMMAND_BYTES, command).ok();
        let step = self.dispatcher.step(&engine.view(), self.now, self.app.webhooks(), &mut submit);
        self.flying.extend(step.jobs);
        self.check_flying();
        if self.flying.is_empty() || self.dice.once_in(3) {
            std::thread::sleep(Duration::from_micros(100)); // the engine answers meanwhile
            return;
        }
        let place = self.dice.below(self.flying.len());
        let (number, job) = self.flying.swap_remove(place);
        let fault = if with_faults { self.dice.below(10) } else { 9 };
        let result = match fault {
            0 | 1 => Ok(Answer { status: 500, beginning: b"no".to_vec(), retry_after: None }),
            2 => {
                self.accept(&job);
                Err(Unanswered { refused: false, problem: "nobody heard the answer".into() })
            }
            _ => {
                self.accept(&job);
                Ok(Answer { status: 200, beginning: Vec::new(), retry_after: None })
            }
        };
        self.failures += u32::from(fault < 3);
        let answered = Answered { took: Duration::from_millis(3), result };
        self.dispatcher.finished(number, &answered, self.now, self.app.webhooks());
    }

    fn accept(&mut self, job: &Job) {
        let (endpoint, record, change, version) = read(job);
        self.accepted.entry(endpoint).or_default().push((change, record, version));
    }

    /// Of one record at most one change is under way to an endpoint, and to each at most so many.
    fn check_flying(&self) {
        let mut records = BTreeSet::new();
        let mut endpoints: BTreeMap<String, usize> = BTreeMap::new();
        for (_, job) in &self.flying {
            let (endpoint, record, ..) = read(job);
            *endpoints.entry(endpoint.clone()).or_default() += 1;
            assert!(records.insert((endpoint, record)), "two changes of a record are under way");
        }
        assert!(endpoints.values().all(|count| *count <= ENDPOINT_IN_FLIGHT_MAX), "{endpoints:?}");
    }

    /// How many changes arrived at endpoints, each counted once.
    fn arrived(&self) -> u64 {
        let changes = self
            .accepted
            .values()
            .map(|accepted| accepted.iter().map(|(change, ..)| change).collect::<BTreeSet<_>>().len() as u64);
        changes.sum()
    }

    fn has_lanes(&self) -> bool {
        let view = self.app.engine().view();
        let ids = (0..ENDPOINTS).map(|n| Uuid::from_u128(1 + n));
        let states = ids.map(|id| view::state(&view, self.tenant, id).expect("it is there"));
        states.inspect(|state| assert_eq!(state.dead, 0)).any(|state| state.lanes > 0)
    }

    fn check_order(&self) {
        for (endpoint, accepted) in &self.accepted {
            let (mut seen, mut newest) = (BTreeSet::new(), BTreeMap::new());
            for (change, record, version) in accepted {
                if seen.insert(change) {
                    let before = newest.insert(record, *version).unwrap_or(0);
                    assert_eq!(*version, before + 1, "{endpoint}: {record} came out of order");
                }
            }
        }
    }
}

/// The endpoint, the record, the change and the version of a job.
fn read(job: &Job) -> (String, String, String, u64) {
    let endpoint = job.id.split('_').nth(1).expect("an endpoint").to_owned();
    let change: Value = serde_json::from_str(&job.payload).expect("JSON");
    let text = |name: &str| change[name].as_str().expect("a text").to_owned();
    (endpoint, text("record_id"), text("id"), change["version"].as_u64().expect("a version"))
}

fn tenant() -> CreateTenant {
    CreateTenant {
        slug: "salon".into(),
        alias: None,
        name: "Salon".into(),
        time_zone: "UTC".into(),
        currency: "EUR".into(),
        locale: "en".into(),
        drop_ins: DropIns::NONE,
        public: false,
        automatic: false,
    }
}

fn webhook(id: Uuid, secret: webhooks::secret::Sealed) -> CreateWebhook {
    CreateWebhook {
        id,
        url: "https://hooks.invalid/".into(),
        description: None,
        kinds: vec!["appointment".into()],
        types: Vec::new(),
        active: true,
        secret,
    }
}

fn appointment(record: usize, version: u64) -> appointments::Command {
    let start = Timestamp::from_millis(1_900_000_000_000);
    appointments::Command::Upsert(Upsert {
        external_id: format!("a{record}"),
        resource: format!("r{record}"),
        starts_at: start,
        ends_at: Timestamp::from_millis(start.as_millis() + 60_000),
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(version as i64),
        title: None,
        metadata: None,
        if_version: None,
        if_none_match_any: false,
    })
}
