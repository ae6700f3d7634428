//! Random histories of an outbox on a real engine: a broker that takes, refuses, returns, or takes and is not heard, in
//! any order; connections that break; an outbox that dies at any moment. In the end everything arrived, of each record
//! in its order.
//!
//! `BROKER_SEEDS=1000` tries as many seeds as it says, `BROKER_SEED` one of them; a failure names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use maitred_booking::app::App;
use maitred_booking::appointments::{self, command::Upsert};
use maitred_booking::brokers::outbox::{IN_FLIGHT_MAX, TENANT_WINDOW_MAX};
use maitred_booking::brokers::{Message, Outbox, Publishing, Selection};
use maitred_booking::tenants::{self, CreateTenant, DropIns};
use maitred_booking::webhooks::{self, command::CreateWebhook, secret::Sealed};
use maitred_core::{Actor, ChangeId, TenantNumber, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::assemble;

const SEEDS: u64 = 12;
const STEPS: usize = 400;
const RECORDS: usize = 5;
const TENANTS: [&str; 2] = ["one", "two"];
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

struct World {
    app: App,
    runtime: tokio::runtime::Runtime,
    numbers: Vec<TenantNumber>,
    outbox: Outbox,
    /// What the log has of the outbox.
    kept: ChangeId,
    dice: Dice,
    now: Duration,
    flying: Vec<Arc<Message>>,
    /// By tenant and record: the versions in the order in which the broker took them.
    taken: BTreeMap<(String, String), Vec<u64>>,
    versions: [[u64; RECORDS]; TENANTS.len()],
    deaths: usize,
    failures: usize,
}

fn selection() -> Selection {
    Selection { tenants: Vec::new(), kinds: vec!["appointment".to_owned()] }
}

impl World {
    fn new(seed: u64) -> World {
        let (app, threads) = assemble::in_memory().expect("random bits");
        std::mem::forget(threads); // they live as long as the engine
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut world = World {
            app,
            runtime,
            numbers: Vec::new(),
            outbox: Outbox::new(selection(), ChangeId::default(), seed),
            kept: ChangeId::default(),
            dice: Dice(seed),
            now: Duration::ZERO,
            flying: Vec::new(),
            taken: BTreeMap::new(),
            versions: [[0; RECORDS]; TENANTS.len()],
            deaths: 0,
            failures: 0,
        };
        for slug in TENANTS {
            let number = world.create(slug);
            world.numbers.push(number);
        }
        world
    }

    fn create(&self, slug: &str) -> TenantNumber {
        let creation = CreateTenant {
            slug: slug.to_owned(),
            alias: None,
            name: slug.to_owned(),
            time_zone: "UTC".to_owned(),
            currency: "EUR".to_owned(),
            locale: "en".to_owned(),
            drop_ins: DropIns::NONE,
            public: false,
            automatic: false,
        };
        self.submit(TenantNumber::SYSTEM, tenants::Command::CreateTenant(creation).into());
        let found = tenants::tenant_by_slug(&self.app.engine().view(), slug).expect("it is there");
        found.profile.tenant()
    }

    fn submit(&self, tenant: TenantNumber, command: maitred_booking::Command) {
        let submitted = self.app.submit((tenant, Actor::System), None, 64, command);
        self.runtime.block_on(submitted).expect("accepted");
    }

    /// Another version of a record.
    fn change(&mut self) {
        let (tenant, record) = (self.dice.below(TENANTS.len()), self.dice.below(RECORDS));
        self.versions[tenant][record] += 1;
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let upsert = Upsert {
            external_id: format!("r{record}"),
            resource: format!("r{record}"),
            starts_at: at(100),
            ends_at: at(200),
            created_at: at(1),
            updated_at: at(1 + self.versions[tenant][record] as i64),
            title: None,
            metadata: None,
            if_version: None,
            if_none_match_any: false,
        };
        self.submit(self.numbers[tenant], appointments::Command::Upsert(upsert).into());
    }

    /// The broker has it.
    fn take(&mut self, message: &Message) {
        let body: Value = serde_json::from_str(&message.body).expect("JSON");
        assert_eq!(body["id"], message.id.as_str());
        assert_eq!(message.routing_key(), format!("{}.appointment.{}", message.tenant, message.change_type));
        let (record, version) =
            (body["data"]["external_id"].as_str().expect("a text"), body["version"].as_u64());
        let of_record = self.taken.entry((message.tenant.clone(), record.to_owned())).or_default();
        let version = version.expect("a number");
        let newest = of_record.iter().max().copied().unwrap_or(0);
        assert!(version <= newest + 1, "{record}: version {version} before {}", newest + 1);
        of_record.push(version);
    }

    fn step(&mut self, is_healed: bool) {
        self.now += Duration::from_millis(if is_healed { 1_000 } else { 1 + self.dice.below(200) as u64 });
        let engine = self.app.engine();
        while self.outbox.read(&engine.view(), |behind| engine.touched(behind)) {}
        let picked = self.outbox.pick(self.now);
        for message in &picked {
            let same = |other: &Arc<Message>| {
                let record = |message: &Message| {
                    let body: Value = serde_json::from_str(&message.body).expect("JSON");
                    (message.tenant.clone(), body["record_id"].clone())
                };
                record(other) == record(message)
            };
            assert!(!self.flying.iter().any(same), "two of one record are on their way");
        }
        self.flying.extend(picked);
        assert!(self.flying.len() <= IN_FLIGHT_MAX);
        if self.flying.is_empty() {
            return;
        }
        let message = self.flying.remove(self.dice.below(self.flying.len()));
        if is_healed || !self.dice.once_in(3) {
            self.take(&message);
            self.outbox.confirmed(message.change);
        } else {
            self.failures += 1;
            self.outbox.refused(message.change, self.now);
        }
    }

    /// The connection breaks: of what was on its way the broker has a beginning.
    fn break_off(&mut self) {
        let flying = std::mem::take(&mut self.flying);
        let taken = self.dice.below(flying.len() + 1);
        for message in &flying[..taken] {
            self.take(message);
        }
        assert_eq!(self.outbox.lost(), flying.len());
    }

    /// The process ends, and another goes on behind the cursor.
    fn die(&mut self) {
        self.break_off();
        self.deaths += 1;
        self.outbox = Outbox::new(selection(), self.kept, self.dice.0);
    }
}

#[test]
fn whatever_befalls_broker_and_outbox_everything_arrives_in_its_records_order() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = match number("BROKER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BROKER_SEEDS").unwrap_or(SEEDS),
    };
    let (mut deaths, mut failures, mut doubles) = (0, 0, 0);
    let count = (seeds.end - seeds.start) as usize;
    for seed in seeds {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            match world.dice.below(20) {
                0 => world.break_off(),
                1 if world.dice.once_in(4) => world.die(),
                2 | 3 => {
                    if let Some(cursor) = world.outbox.cursor() {
                        assert!(cursor > world.kept);
                        world.kept = cursor;
                        world.outbox.kept(cursor);
                    }
                }
                4..9 => world.change(),
                _ => world.step(false),
            }
        }
        let expected: BTreeMap<_, BTreeSet<u64>> = (0..TENANTS.len() * RECORDS)
            .map(|n| (n % TENANTS.len(), n / TENANTS.len()))
            .filter(|(tenant, record)| world.versions[*tenant][*record] > 0)
            .map(|(tenant, record)| {
                let versions = 1..=world.versions[tenant][record];
                ((TENANTS[tenant].to_owned(), format!("r{record}")), versions.collect())
            })
            .collect();
        let arrived = |world: &World| {
            let taken = world.taken.iter();
            taken.map(|(record, versions)| (record.clone(), versions.iter().copied().collect())).collect()
        };
        let mut steps = 0;
        loop {
            let found: BTreeMap<_, BTreeSet<u64>> = arrived(&world);
            if found == expected {
                break;
            }
            steps += 1;
            assert!(steps < PATIENCE, "{found:?} of {expected:?}");
            world.step(true);
        }
        let all: usize = world.taken.values().map(Vec::len).sum();
        doubles += all - expected.values().map(BTreeSet::len).sum::<usize>();
        while world.outbox.done().seq < world.app.engine().view().seq() {
            steps += 1;
            assert!(steps < PATIENCE, "something is left: {:?}", world.outbox);
            world.step(true);
        }
        (deaths, failures) = (deaths + world.deaths, failures + world.failures);
    }
    assert!(deaths >= count && failures > 10 * count && doubles > count, "{deaths} {failures} {doubles}");
}

#[test]
fn a_tenant_with_much_to_tell_leaves_room_for_others_and_what_is_not_wanted_is_passed_by() {
    let mut world = World::new(1);
    for n in 0..TENANT_WINDOW_MAX + 10 {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let upsert = Upsert {
            external_id: format!("a{n}"),
            resource: format!("a{n}"),
            starts_at: at(100),
            ends_at: at(200),
            created_at: at(1),
            updated_at: at(2),
            title: None,
            metadata: None,
            if_version: None,
            if_none_match_any: false,
        };
        world.submit(world.numbers[0], appointments::Command::Upsert(upsert).into());
    }
    let unwanted = CreateWebhook {
        id: Uuid::from_u128(1),
        url: "https://hooks.invalid/".to_owned(),
        description: None,
        kinds: Vec::new(),
        types: Vec::new(),
        active: true,
        secret: Sealed(vec![1, 2, 3]),
    };
    world.submit(world.numbers[1], webhooks::Command::Create(unwanted).into());
    while world.versions[1].iter().sum::<u64>() == 0 {
        world.change();
    }
    let view = world.app.engine().view();
    while world.outbox.read(&view, |behind| world.app.engine().touched(behind)) {}
    let status = Publishing::default();
    world.outbox.report(view.seq(), &status);
    let waiting = status.waiting.load(std::sync::atomic::Ordering::Relaxed) as usize;
    let of_two = world.versions[1].iter().sum::<u64>() as usize;
    assert_eq!(waiting, TENANT_WINDOW_MAX + of_two);
    let mut of_tenant = BTreeMap::new();
    loop {
        while world.outbox.read(&view, |behind| world.app.engine().touched(behind)) {}
        let picked = world.outbox.pick(world.now);
        if picked.is_empty() {
            break;
        }
        for message in picked {
            *of_tenant.entry(message.tenant.clone()).or_insert(0) += 1;
            world.outbox.confirmed(message.change);
        }
    }
    assert_eq!(of_tenant["two"], of_two);
    assert!(of_tenant["one"] >= TENANT_WINDOW_MAX + 10, "{of_tenant:?}");
}

#[test]
fn those_tenants_alone_are_looked_at_to_whom_something_has_happened() {
    const IDLE: u64 = 60;
    let mut world = World::new(2);
    for number in 0..IDLE {
        world.create(&format!("idle-{number}"));
    }
    let read = |world: &mut World| {
        let before = world.outbox.looks();
        let engine = world.app.engine().clone();
        while world.outbox.read(&engine.view(), |behind| engine.touched(behind)) {}
        world.outbox.looks() - before
    };
    assert_eq!(read(&mut world), IDLE + 2, "at first it is not known who has something to tell");
    assert_eq!(read(&mut world), 0);
    for _ in 0..20 {
        world.change();
        assert_eq!(read(&mut world), 1);
    }
    let picked = world.outbox.pick(world.now);
    assert!(!picked.is_empty());
    for message in picked {
        world.outbox.confirmed(message.change);
    }
    // Somebody new is looked at, and one who does not wait for it is not.
    world.create("new");
    assert_eq!(read(&mut world), 1);
    // Where it is not known who was touched, everybody is looked at.
    world.change();
    let view = world.app.engine().view();
    let before = world.outbox.looks();
    while world.outbox.read(&view, |_| None) {}
    assert_eq!(world.outbox.looks() - before, IDLE + 3);
}
