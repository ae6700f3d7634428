//! What must hold in any view, looked at in the tables themselves: this reads keys and values as `slot.rs` and
//! `record.rs` of the product draw them, and shares none of the code that writes them.

use std::ops::ControlFlow;

use maitred_booking::appointments::fact::State;
use maitred_booking::salons::Booking;
use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, Table, TenantNumber, Timestamp};
use maitred_engine::View;

use super::{Watch, accounts, stock};

/// After so many problems of one kind the rest is only counted.
const PROBLEMS_TOLD_MAX: usize = 20;
/// The kind of an appointment's record.
const APPOINTMENT: u8 = 3;
/// The kind of a booking's record.
const BOOKING: u8 = 26;

/// What was found, in words.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) good: Vec<String>,
    pub(super) bad: Vec<String>,
}

/// Problems of one kind.
#[derive(Default)]
pub(super) struct Problems {
    told: Vec<String>,
    more: usize,
}

impl Problems {
    pub(super) fn add(&mut self, text: impl FnOnce() -> String) {
        if self.told.len() < PROBLEMS_TOLD_MAX { self.told.push(text()) } else { self.more += 1 }
    }

    pub(super) fn settle(mut self, good: String, found: &mut Found) {
        if self.told.is_empty() {
            found.good.push(good);
        } else if self.more > 0 {
            self.told.push(format!("and {} more of this kind", self.more));
        }
        found.bad.append(&mut self.told);
    }
}

/// Looks at everything.
pub(super) fn check(view: &View, watch: &dyn Watch) -> Found {
    let mut found = Found::default();
    watch.begin("looking at claims", 0);
    claims(view, &mut found);
    watch.begin("looking at sales", 0);
    stock::check(view, &mut found);
    watch.begin("looking at accounts", 0);
    accounts::check(view, &mut found);
    watch.begin("looking at versions", 0);
    versions(view, view.seq(), &mut found);
    timestamps(view, view.seq(), &mut found);
    found
}

/// A claim as the table has it: `Slot/tenant/resource/start` → end, kind and id of the owner, since.
struct Slot {
    tenant: u32,
    resource: u32,
    starts_at: Timestamp,
    ends_at: Timestamp,
    kind: u8,
    id: u128,
}

impl Slot {
    fn read(key: &[u8], value: &[u8]) -> Self {
        let (mut key, mut value) = (Parts(&key[1..]), Parts(value));
        Slot {
            tenant: key.u32(),
            resource: key.u32(),
            starts_at: key.time(),
            ends_at: value.time(),
            kind: value.u8(),
            id: value.u128(),
        }
    }
}

/// I6: no two claims on a resource overlap; each belongs to an active appointment of the same times, and each of
/// those has one, or to a booking that occupies just that, and each of those has all of its claims.
fn claims(view: &dyn Read, found: &mut Found) {
    let mut problems = Problems::default();
    let (mut count, mut resources, mut of_appointments, mut of_bookings) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut last: Option<Slot> = None;
    let table = Key::new(Table::Slot);
    view.scan(&table, &table.end(), &mut |key, value| {
        let slot = Slot::read(key, value);
        let place = || {
            let Slot { tenant, resource, starts_at, ends_at, .. } = &slot;
            format!("tenant {tenant}, resource {resource}: the claim from {starts_at} to {ends_at}")
        };
        count += 1;
        match last.as_ref().filter(|last| (last.tenant, last.resource) == (slot.tenant, slot.resource)) {
            Some(before) if before.ends_at > slot.starts_at => {
                problems.add(|| {
                    let Slot { starts_at, ends_at, .. } = before;
                    format!("{} overlaps the one from {starts_at} to {ends_at} (I6)", place())
                });
            }
            Some(_) => {}
            None => resources += 1,
        }
        if slot.ends_at <= slot.starts_at {
            problems.add(|| format!("{} is empty", place()));
        }
        if slot.kind == APPOINTMENT {
            of_appointments += 1;
            let record = Key::of(Table::Record, TenantNumber(slot.tenant)).u8(slot.kind).u128(slot.id);
            let claimed = view.get(&record).and_then(active_times);
            if claimed != Some((slot.resource, slot.starts_at, slot.ends_at)) {
                problems.add(|| format!("{} belongs to no active appointment of these times", place()));
            }
        }
        if slot.kind == BOOKING {
            of_bookings += 1;
            let record = Key::of(Table::Record, TenantNumber(slot.tenant)).u8(slot.kind).u128(slot.id);
            let occupied = view.get(&record).map_or(Vec::new(), occupied);
            if !occupied.contains(&(slot.resource, slot.starts_at, slot.ends_at)) {
                problems.add(|| format!("{} belongs to no booking that occupies it", place()));
            }
        }
        last = Some(slot);
        ControlFlow::Continue(())
    });
    let (mut active, mut occupied_times) = (0_u64, 0_u64);
    records(view, |_, kind, _, value| {
        active += u64::from(kind == APPOINTMENT && active_times(value).is_some());
        occupied_times += if kind == BOOKING { occupied(value).len() as u64 } else { 0 };
    });
    if occupied_times != of_bookings {
        problems
            .add(|| format!("bookings occupy {occupied_times} times, and {of_bookings} claims are theirs"));
    }
    if active != of_appointments {
        problems.add(|| format!("{active} appointments are active, and {of_appointments} claims are theirs"));
    }
    let good = format!("claims: {count} on {resources} resources; none overlap, and each has its owner");
    problems.settle(good, found);
}

/// The time that a record of an appointment claims.
fn active_times(value: &[u8]) -> Option<(u32, Timestamp, Timestamp)> {
    let state: State<&str> = version(value).decode();
    state.active().map(|details| (details.resource, details.starts_at, details.ends_at))
}

/// The times that a record of a booking occupies.
fn occupied(value: &[u8]) -> Vec<(u32, Timestamp, Timestamp)> {
    let booking: Booking = version(value).decode();
    let claims = booking.claims().map(|(number, span)| (number, span.starts_at, span.ends_at));
    if booking.status.claims_time() { claims.collect() } else { Vec::new() }
}

pub(super) fn version(value: &[u8]) -> maitred_booking::record::Version<'_> {
    let mut parts = Parts(value);
    maitred_booking::record::Version {
        version: parts.u64(),
        change: parts.change(),
        at: parts.time(),
        body: parts.0,
    }
}

/// Visits every current record: tenant, kind, id, value.
pub(super) fn records(view: &dyn Read, mut visit: impl FnMut(u32, u8, u128, &[u8])) {
    let table = Key::new(Table::Record);
    view.scan(&table, &table.end(), &mut |key, value| {
        let mut parts = Parts(&key[1..]);
        visit(parts.u32(), parts.u8(), parts.u128(), value);
        ControlFlow::Continue(())
    });
}

/// Versions count from 1 without a gap, in the order of the log; and every one of them is a change.
fn versions(view: &dyn Read, seq: Seq, found: &mut Found) {
    let mut problems = Problems::default();
    let (mut count, mut all) = (0_u64, 0_u64);
    records(view, |tenant, kind, id, value| {
        let current = version(value);
        let (mut expected, mut last) = (1, ChangeId::default());
        let mut look = |number: u64, change: ChangeId| {
            let sound = number == expected && change > last && change.seq <= seq;
            if !sound {
                problems.add(|| {
                    format!(
                        "tenant {tenant}, record {kind} {id:032x}: version {number} stands at {}.{} where version \
                         {expected} should",
                        change.seq, change.ordinal
                    )
                });
            }
            (expected, last) = (number + 1, change);
            all += 1;
        };
        let table = Key::of(Table::Version, TenantNumber(tenant)).u8(kind).u128(id);
        view.scan(&table, &table.end(), &mut |_, value| {
            let superseded = version(value);
            look(superseded.version, superseded.change);
            ControlFlow::Continue(())
        });
        look(current.version, current.change);
        count += 1;
    });
    let mut changes = 0_u64;
    let table = Key::new(Table::Change);
    view.scan(&table, &table.end(), &mut |_, _| {
        changes += 1;
        ControlFlow::Continue(())
    });
    if changes != all {
        problems.add(|| format!("there are {all} versions, and {changes} changes lead to them"));
    }
    let good = format!("versions: {all} of {count} records; they count from 1 without a gap");
    problems.settle(good, found);
}

/// I9: timestamps rise strictly, so each batch has an entry of its own, in order.
fn timestamps(view: &dyn Read, batches: Seq, found: &mut Found) {
    let mut problems = Problems::default();
    let mut last = 0;
    let table = Key::new(Table::Time);
    view.scan(&table, &table.end(), &mut |_, value| {
        let seq = Parts(value).u64();
        if seq != last + 1 {
            problems.add(|| format!("batch {seq} follows batch {last} in time (I9)"));
        }
        last = seq;
        ControlFlow::Continue(())
    });
    if last != batches {
        problems.add(|| format!("the last batch in time is {last}, and there are {batches} (I9)"));
    }
    problems.settle(format!("timestamps: of {batches} batches; they rise"), found);
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use maitred_booking::appointments::{Cancel, Command, Rules, Upsert};
    use maitred_booking::testing::World;
    use maitred_core::Write;

    use super::*;

    const TENANT: TenantNumber = TenantNumber(4);

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_millis(hour * 3_600_000)
    }

    fn put(external_id: &str, hours: Range<i64>, updated_at: i64) -> Command {
        Command::Upsert(Upsert {
            external_id: external_id.into(),
            resource: "chair".into(),
            starts_at: hour(hours.start),
            ends_at: hour(hours.end),
            created_at: hour(0),
            updated_at: hour(updated_at),
            title: None,
            metadata: None,
            if_version: None,
            if_none_match_any: false,
        })
    }

    fn world() -> World<Rules> {
        let mut world = World::new(Rules);
        let cancel = Cancel { external_id: "b".into(), updated_at: hour(9), if_version: None };
        for command in [
            put("a", 1..2, 1),
            put("b", 2..3, 1),
            put("a", 4..5, 2),
            put("c", 1..2, 1),
            Command::Cancel(cancel),
        ] {
            world.submit(TENANT, &command).expect("accepted");
        }
        world
    }

    fn bad(look: impl FnOnce(&mut Found)) -> Vec<String> {
        let mut found = Found::default();
        look(&mut found);
        assert_eq!(found.good.is_empty(), !found.bad.is_empty(), "{found:?}");
        found.bad
    }

    /// The first key of a table.
    fn first(world: &World<Rules>, table: Table) -> Vec<u8> {
        let table = Key::new(table);
        world.view.first(&table, &table.end()).expect("the table has entries").0.to_vec()
    }

    #[test]
    fn a_sound_view_has_no_problem() {
        let world = world();
        assert_eq!(bad(|found| claims(&world.view, found)), [""; 0]);
        let mut found = Found::default();
        claims(&world.view, &mut found);
        assert_eq!(found.good, ["claims: 2 on 1 resources; none overlap, and each has its owner"]);
    }

    #[test]
    fn an_overlap_is_named() {
        let mut world = world();
        let key = first(&world, Table::Slot);
        let mut value = world.view.get(&key).expect("there").to_vec();
        value[..8].copy_from_slice(&hour(5).to_ordered().to_be_bytes());
        world.view.put(&key, &value);
        let bad = bad(|found| claims(&world.view, found));
        assert_eq!(bad.len(), 2, "the overlap, and the claim that is not its owner's: {bad:?}");
        assert!(
            bad.iter()
                .any(|text| text.contains("from 1970-01-01T04:00:00.000Z") && text.contains("overlaps")),
            "{bad:?}"
        );
    }

    #[test]
    fn a_claim_without_an_owner_and_an_owner_without_a_claim_are_named() {
        let mut world = world();
        let key = first(&world, Table::Slot);
        world.view.delete(&key);
        let bad = bad(|found| claims(&world.view, found));
        assert_eq!(bad, ["2 appointments are active, and 1 claims are theirs"]);
    }

    #[test]
    fn a_gap_in_the_versions_and_a_missing_change_are_named() {
        let sound = world();
        let look = |world: &World<Rules>| bad(|found| versions(&world.view, world.seq, found));
        assert_eq!(look(&sound), [""; 0]);
        let mut gap = sound.clone();
        gap.view.delete(&first(&sound, Table::Version));
        let bad = look(&gap);
        assert!(
            bad[0].contains("version 2 stands at") && bad[0].contains("where version 1 should"),
            "{bad:?}"
        );
        assert_eq!(bad[1], "there are 4 versions, and 5 changes lead to them");
        let mut lost = sound.clone();
        lost.view.delete(&first(&sound, Table::Change));
        assert_eq!(look(&lost), ["there are 5 versions, and 4 changes lead to them"]);
    }

    #[test]
    fn batches_out_of_order_in_time_are_named() {
        let mut view = maitred_booking::testing::MemoryView::default();
        for (hours, seq) in [(1, 1_u64), (2, 3), (3, 2)] {
            view.put(&Key::new(Table::Time).time(hour(hours)), &seq.to_be_bytes());
        }
        let bad = bad(|found| timestamps(&view, 3, found));
        assert_eq!(bad[0], "batch 3 follows batch 1 in time (I9)");
        assert_eq!(bad.last().map(String::as_str), Some("the last batch in time is 2, and there are 3 (I9)"));
    }
}
