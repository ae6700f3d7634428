//! How long one upsert takes to be decided and applied, on a view in memory, with so many appointments in
//! it (10,000 without a number; more of them measure the processor's caches rather than the rules):
//! `cargo run --release -p maitred-booking --example upsert_speed -- 10000`. There is no log, no HTTP and no
//! disk in it.

use std::hint::black_box;
use std::time::Instant;

use maitred_booking::appointments::{self, Upsert};
use maitred_booking::testing::MemoryView;
use maitred_booking::{Booking, Command};
use maitred_core::{Actor, At, Context, Domain, Ids, Recorded, TenantNumber, Timestamp};

const RESOURCES: u64 = 100;

fn main() {
    let appointments = std::env::args().nth(1).map_or(10_000, |count| count.parse().expect("a number"));
    let mut bench = Bench { view: MemoryView::default(), seq: 0, bytes: 0 };
    let slots: Vec<u64> = shuffled(appointments);
    let create: Vec<_> = slots.iter().map(|slot| upsert(*slot, *slot, 1)).collect();
    let retitle: Vec<_> = slots.iter().map(|slot| upsert(*slot, *slot, 2)).collect();
    let shift: Vec<_> = slots.iter().map(|slot| upsert(*slot, slot + appointments, 3)).collect();
    let stale: Vec<_> = slots.iter().map(|slot| upsert(*slot, *slot, 3)).collect();
    let taken: Vec<_> =
        slots.iter().map(|slot| upsert(slot + appointments, slot + appointments, 1)).collect();
    bench.run("create", &create);
    bench.run("update in place", &retitle);
    bench.run("move", &shift);
    bench.run("stale", &stale);
    bench.run("refused", &taken);
}

struct Bench {
    view: MemoryView,
    seq: u64,
    bytes: usize,
}

impl Bench {
    fn run(&mut self, name: &str, commands: &[Command]) {
        self.bytes = 0;
        let start = Instant::now();
        let accepted = commands.iter().filter(|command| self.submit(command)).count();
        let nanos = start.elapsed().as_nanos() / commands.len() as u128;
        let bytes = self.bytes / commands.len();
        println!(
            "{name:>16}: {nanos:>5} ns, {bytes:>3} fact bytes each; {accepted} of {} accepted",
            commands.len()
        );
    }

    fn submit(&mut self, command: &Command) -> bool {
        self.seq += 1;
        let timestamp = Timestamp::from_micros(1_700_000_000_000_000 + self.seq as i64);
        let ids = Ids::new(timestamp, self.seq);
        let tenant = TenantNumber(1);
        let cx = Context { timestamp, tenant, actor: Actor::Anonymous, ids };
        let Ok(decision) = Booking.decide(&self.view, command, &cx) else { return false };
        let mut body = Vec::with_capacity(256);
        for (ordinal, fact) in decision.facts.iter().enumerate() {
            fact.encode(&mut body);
            let at = At { tenant, seq: self.seq, ordinal: ordinal as u32, timestamp };
            Booking.apply(&mut self.view, fact, at);
        }
        self.bytes += body.len();
        black_box(decision.outcome);
        true
    }
}

/// Appointment `id` on half an hour of its own, given by `slot`.
fn upsert(id: u64, slot: u64, updated_at: i64) -> Command {
    let at = |half_hours: u64| Timestamp::from_millis(1_700_000_000_000 + half_hours as i64 * 1_800_000);
    let start = slot / RESOURCES;
    Command::Appointments(appointments::Command::Upsert(Upsert {
        external_id: format!("appointment-{id:08}"),
        resource: format!("chair-{}", slot % RESOURCES),
        starts_at: at(start),
        ends_at: at(start + 1),
        created_at: at(0),
        updated_at: Timestamp::from_millis(1_700_000_000_000 + updated_at),
        title: Some("Cut and colour".into()),
        metadata: None,
        if_version: None,
        if_none_match_any: false,
    }))
}

/// The numbers below `count` in an order without locality.
fn shuffled(count: u64) -> Vec<u64> {
    let mut numbers: Vec<_> = (0..count).collect();
    numbers.sort_by_key(|number| blake3_low(*number));
    numbers
}

fn blake3_low(number: u64) -> u64 {
    let hash = blake3::hash(&number.to_le_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"))
}
