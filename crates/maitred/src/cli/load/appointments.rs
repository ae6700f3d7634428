//! The requests of an appointment load, and what their answers mean.
//!
//! Invariant: request number `n` of a scenario is always the same bytes, so that a later run can update, read or
//! collide with what an earlier one has written.

use super::LoadError;
use super::acknowledged::Acknowledged;
use super::answer::Answer;
use super::generator::Workload;
use super::judge;
use super::mix::{Kind, Mix};
use super::records::{
    CREATED_AT_MILLIS, KeyOrder, RECORDS_MAX, Records, Span, push_number, push_timestamp, scramble,
};
use super::tally::{Outcome, Outcomes};
use super::target::{RequestTemplate, TENANT_DEFAULT, Target};

/// Items of a batch: the server's limit.
pub(super) const BATCH_ITEMS_MAX: u64 = 10_000;
/// A revision is a day later than the one before.
const REVISION_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// A minute into a slot: an instant that it covers.
const WITHIN_SLOT_MILLIS: i64 = 60 * 1000;
/// Bytes of a single record's answer that are looked at.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a batch's answer that are looked at, per item.
const BATCH_ITEM_BYTES_MAX: usize = 4 * 1024;

/// Which records a load touches, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Data {
    /// Records that exist, for the kinds that update, read or collide; and how many new ones make one round
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=RECORDS_MAX))]
    pub records: u64,

    /// Number of the first new record, for the kinds that create: as many as exist already
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=RECORDS_MAX))]
    pub first: u64,

    /// Chairs (resources) over which the records are spread
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub resources: u64,

    /// Order in which records are visited
    #[arg(long, value_enum, default_value = "uniform", value_name = "ORDER")]
    pub keys: KeyOrder,

    /// Seed of ids and orders. The same seed makes the same records
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
}

/// An appointment load.
#[derive(Debug)]
pub(super) struct Appointments {
    pub(super) mix: Mix,
    pub(super) records: Records,
    /// Records that exist.
    pub(super) existing: u64,
    /// Number of the first record that does not.
    pub(super) first: u64,
    pub(super) revision: Option<u32>,
    pub(super) batch_items: u64,
    /// New records end here; 0: never.
    pub(super) new_records_max: u64,
    pub(super) acknowledged: Option<Acknowledged>,
    /// The organisation that requests to Sesami's route name; none for the server's default tenant.
    pub(super) org: Option<String>,
    pub(super) routes: Routes,
}

/// The beginnings of its requests.
#[derive(Debug)]
pub(super) struct Routes {
    put: RequestTemplate,
    get: RequestTemplate,
    list: RequestTemplate,
    batch: RequestTemplate,
    sesami: RequestTemplate,
}

impl Appointments {
    pub(super) fn new(target: &Target, data: &Data, mix: Mix) -> Result<Self, LoadError> {
        if data.first + data.records > RECORDS_MAX {
            return Err(LoadError::Invalid(format!(
                "--first and --records: together more than {RECORDS_MAX}"
            )));
        }
        Ok(Appointments {
            mix,
            records: Records { seed: data.seed, chairs: data.resources, order: data.keys },
            existing: data.records,
            first: data.first,
            revision: None,
            batch_items: 1,
            new_records_max: 0,
            acknowledged: None,
            org: (target.tenant != TENANT_DEFAULT).then(|| target.tenant.clone()),
            routes: Routes {
                put: target.tenant_request("PUT", "appointments/")?,
                get: target.tenant_request("GET", "appointments/")?,
                list: target.tenant_request("GET", "appointments?resource=chair-")?,
                batch: target.tenant_request("POST", "appointments/batch")?,
                sesami: target.request("POST", "/api/appointments")?,
            },
        })
    }

    fn kind(&self, number: u64) -> Kind {
        match self.mix.deck.as_slice() {
            [kind] => *kind,
            deck => deck[(scramble(self.records.seed ^ number) % deck.len() as u64) as usize],
        }
    }

    /// A record that exists, and how often all of them were visited before.
    fn existing(&self, number: u64) -> (u64, u64) {
        self.records.visit(number, self.existing)
    }

    /// A record that nobody has written yet in this run.
    fn new_record(&self, number: u64) -> u64 {
        let (record, round) = self.records.visit(number, self.existing);
        (self.first + round * self.existing + record) % RECORDS_MAX
    }

    fn updated_at(&self, revision_default: u32) -> i64 {
        CREATED_AT_MILLIS + i64::from(self.revision.unwrap_or(revision_default)) * REVISION_MILLIS
    }

    fn body(&self, out: &mut Vec<u8>, record: u64, updated_at: i64) {
        out.push(b'{');
        self.fields(out, record, updated_at);
        out.push(b'}');
    }

    fn fields(&self, out: &mut Vec<u8>, record: u64, updated_at: i64) {
        let Span { starts_at, ends_at } = self.records.span(record);
        out.extend_from_slice(b"\"resource\":\"chair-");
        push_number(out, self.records.chair(record));
        push_instant(out, b"\",\"starts_at\":\"", starts_at);
        push_instant(out, b"\",\"ends_at\":\"", ends_at);
        push_instant(out, b"\",\"created_at\":\"", CREATED_AT_MILLIS);
        push_instant(out, b"\",\"updated_at\":\"", updated_at);
        out.extend_from_slice(b"\",\"title\":\"Haircut and beard, regular customer\"");
    }

    /// Numbers of the new records that batch `number` holds.
    fn batch_numbers(&self, number: u64) -> std::ops::Range<u64> {
        let begin = number * self.batch_items;
        let end = begin + self.batch_items;
        begin..if self.new_records_max == 0 { end } else { end.min(self.new_records_max) }
    }

    fn batch_body(&self, out: &mut Vec<u8>, number: u64) {
        let mut before: &[u8] = b"{\"items\":[{\"external_id\":\"";
        for item in self.batch_numbers(number) {
            let record = self.new_record(item);
            out.extend_from_slice(before);
            out.extend_from_slice(&self.records.external_id(record));
            out.extend_from_slice(b"\",");
            self.fields(out, record, self.updated_at(0));
            before = b"},{\"external_id\":\"";
        }
        out.extend_from_slice(b"}]}");
    }

    fn sesami_body(&self, out: &mut Vec<u8>, number: u64) {
        let record = self.new_record(number);
        let Span { starts_at, ends_at } = self.records.shared_span(record);
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(&self.records.external_id(record));
        if let Some(org) = &self.org {
            out.extend_from_slice(b"\",\"orgId\":\"");
            out.extend_from_slice(org.as_bytes()); // a slug, so there is nothing to escape
        }
        push_instant(out, b"\",\"start\":\"", starts_at);
        push_instant(out, b"\",\"end\":\"", ends_at);
        push_instant(out, b"\",\"createdAt\":\"", CREATED_AT_MILLIS);
        push_instant(out, b"\",\"updatedAt\":\"", self.updated_at(0));
        out.extend_from_slice(b"\"}");
    }

    fn list_query(&self, out: &mut Vec<u8>, record: u64, kind: Kind) {
        push_number(out, self.records.chair(record));
        if kind == Kind::At {
            push_instant(out, b"&at=", self.records.span(record).starts_at + WITHIN_SLOT_MILLIS);
        } else {
            let Span { starts_at, ends_at } = self.records.day(record);
            push_instant(out, b"&from=", starts_at);
            push_instant(out, b"&to=", ends_at);
        }
    }

    /// Appends an acknowledged write to the file. False if that failed, or the answer tells no version.
    fn acknowledge(&self, file: &Acknowledged, number: u64, answer: Answer<'_>) -> bool {
        let record = match self.kind(number) {
            Kind::Upsert => self.new_record(number),
            _ => self.existing(number).0,
        };
        judge::number_after(answer.body, b"\"version\":")
            .is_some_and(|version| file.add(&self.records.external_id(record), version))
    }
}

impl Workload for Appointments {
    fn request(&self, number: u64, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        scratch.clear();
        let kind = self.kind(number);
        match kind {
            Kind::Upsert => {
                let record = self.new_record(number);
                self.body(scratch, record, self.updated_at(0));
                self.routes.put.write(out, &self.records.external_id(record), scratch);
            }
            Kind::Update => {
                let (record, round) = self.existing(number);
                self.body(scratch, record, self.updated_at(1) + round.cast_signed());
                self.routes.put.write(out, &self.records.external_id(record), scratch);
            }
            Kind::Conflict => {
                self.body(scratch, self.existing(number).0, self.updated_at(0));
                self.routes.put.write(out, &self.records.other_external_id(number), scratch);
            }
            Kind::Stale => {
                let record = self.existing(number).0;
                self.body(scratch, record, CREATED_AT_MILLIS);
                self.routes.put.write(out, &self.records.external_id(record), scratch);
            }
            Kind::Get => {
                self.routes.get.write(out, &self.records.external_id(self.existing(number).0), b"");
            }
            Kind::At | Kind::List => {
                self.list_query(scratch, self.existing(number).0, kind);
                self.routes.list.write(out, scratch, b"");
            }
            Kind::Batch => {
                self.batch_body(scratch, number);
                self.routes.batch.write(out, b"", scratch);
            }
            Kind::Sesami => {
                self.sesami_body(scratch, number);
                self.routes.sesami.write(out, b"", scratch);
            }
        }
    }

    fn judge(&self, number: u64, answer: Answer<'_>) -> Outcomes {
        let outcome = match self.kind(number) {
            Kind::Batch => {
                let items = self.batch_numbers(number);
                return judge::batch(answer, items.end - items.start);
            }
            Kind::Upsert | Kind::Update | Kind::Conflict | Kind::Stale => judge::upsert(answer),
            Kind::Get => judge::read(answer),
            Kind::At | Kind::List => judge::list(answer),
            Kind::Sesami => judge::sesami(answer),
        };
        let lost_proof = match &self.acknowledged {
            Some(file) if matches!(outcome, Outcome::Created | Outcome::Updated) => {
                !self.acknowledge(file, number, answer)
            }
            _ => false,
        };
        let mut outcomes = Outcomes::default();
        outcomes.add(if lost_proof { Outcome::Other } else { outcome }, 1);
        outcomes
    }

    fn body_bytes_max(&self) -> usize {
        if self.mix.has(Kind::Batch) {
            BATCH_ITEM_BYTES_MAX * self.batch_items as usize
        } else {
            RECORD_BYTES_MAX
        }
    }
}

fn push_instant(out: &mut Vec<u8>, label: &[u8], millis: i64) {
    out.extend_from_slice(label);
    push_timestamp(out, millis);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(mix: &str) -> Appointments {
        let target = Target { url: "http://h".to_owned(), tenant: "t".to_owned(), key: None };
        let data = Data { records: 100, first: 1000, resources: 2, keys: KeyOrder::Clustered, seed: 1 };
        Appointments::new(&target, &data, mix.parse().unwrap()).unwrap()
    }

    /// The request line's path and the body of a request.
    fn request(load: &Appointments, number: u64) -> (String, serde_json::Value) {
        let (mut out, mut scratch) = (Vec::new(), b"left over".to_vec());
        load.request(number, &mut out, &mut scratch);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        (path, if body.is_empty() { serde_json::Value::Null } else { serde_json::from_str(body).unwrap() })
    }

    fn instant(value: &serde_json::Value) -> jiff::Timestamp {
        value.as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn an_upsert_is_a_new_record_and_an_update_is_a_later_version_of_an_existing_one() {
        let (upsert, update) = (load("upsert"), load("update"));
        let (created_path, created) = request(&upsert, 3);
        assert_eq!(created_path, format!("/v1/tenants/t/appointments/{}", id(&upsert, 1003)));
        assert_eq!(created["resource"], "chair-0");
        assert!(instant(&created["starts_at"]) < instant(&created["ends_at"]));
        assert!(instant(&created["created_at"]) <= instant(&created["updated_at"]));

        let (path, first) = request(&update, 3);
        assert_eq!(path, format!("/v1/tenants/t/appointments/{}", id(&update, 3)));
        assert!(instant(&first["updated_at"]) > instant(&created["updated_at"]));
        let (path_again, second) = request(&update, 103);
        assert_eq!(path_again, path, "all were visited once");
        assert!(instant(&second["updated_at"]) > instant(&first["updated_at"]));
        let next_run = Appointments { revision: Some(2), ..load("update") };
        assert!(instant(&request(&next_run, 3).1["updated_at"]) > instant(&second["updated_at"]));
    }

    #[test]
    fn a_conflict_is_an_unknown_id_on_a_taken_time_and_a_stale_write_is_not_newer() {
        let existing = request(&Appointments { first: 0, ..load("upsert") }, 5);
        let conflict = request(&load("conflict"), 5);
        assert_ne!(conflict.0, existing.0);
        assert_eq!(conflict.1, existing.1);
        let stale = request(&load("stale"), 5);
        assert_eq!(stale, existing);
    }

    #[test]
    fn reads_name_what_exists() {
        let existing = request(&Appointments { first: 0, ..load("upsert") }, 20).1;
        assert_eq!(
            request(&load("get"), 20).0,
            format!("/v1/tenants/t/appointments/{}", id(&load("get"), 20))
        );
        let at = request(&load("at"), 20).0;
        let instant_at: jiff::Timestamp = at.rsplit_once("&at=").unwrap().1.parse().unwrap();
        assert!(at.starts_with("/v1/tenants/t/appointments?resource=chair-1&at="), "{at}");
        assert!(instant(&existing["starts_at"]) <= instant_at && instant_at < instant(&existing["ends_at"]));
        assert_eq!(
            request(&load("list"), 20).0,
            "/v1/tenants/t/appointments?resource=chair-1&from=2026-01-01T09:00:00.000Z&to=2026-01-01T17:00:00.000Z"
        );
    }

    #[test]
    fn batches_hold_the_same_records_as_upserts_and_end_with_the_last() {
        let batch = Appointments { batch_items: 4, new_records_max: 6, ..load("batch") };
        let (path, body) = request(&batch, 1);
        assert_eq!(path, "/v1/tenants/t/appointments/batch");
        let items = body["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        for (item, number) in items.iter().zip(4..) {
            let mut item = item.clone();
            let external_id = item.as_object_mut().unwrap().remove("external_id").unwrap();
            let (path, body) = request(&load("upsert"), number);
            assert!(path.ends_with(external_id.as_str().unwrap()));
            assert_eq!(item, body);
        }
        let answer = Answer { status: 200, body: br#"{"items":[{"outcome":"created"}]}"# };
        let outcomes = batch.judge(1, answer);
        assert_eq!((outcomes.count(Outcome::Created), outcomes.count(Outcome::Other)), (1, 1));
    }

    #[test]
    fn the_drop_in_body_has_sesamis_names() {
        let (path, body) = request(&load("sesami"), 0);
        assert_eq!(path, "/api/appointments");
        let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["createdAt", "end", "id", "orgId", "start", "updatedAt"]);
        assert_eq!(body["orgId"], "t", "it goes to the tenant that is named");
    }

    #[test]
    fn a_mix_deals_its_kinds_by_weight() {
        let load = load("get=3,upsert=1");
        assert_eq!(load.mix.to_string(), "get=3,upsert=1");
        assert_eq!(load.mix.expected(None), [Outcome::Created, Outcome::Found]);
        let upserts = (0..10_000).filter(|number| load.kind(*number) == Kind::Upsert).count();
        assert!((2_300..2_700).contains(&upserts), "{upserts}");
        assert_eq!("sesami".parse::<Mix>().unwrap().to_string(), "sesami");
    }

    #[test]
    fn senseless_mixes_are_refused() {
        for text in ["", "gett", "get=0", "get=x", "get=600,at=600", "get,,at"] {
            assert!(text.parse::<Mix>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_acknowledged_write_is_kept_only_if_its_version_is_known() {
        let path = std::env::temp_dir().join(format!("maitred-load-{}-kept", std::process::id()));
        let acknowledged = Some(Acknowledged::append_to(&path).unwrap());
        let load = Appointments { acknowledged, ..load("upsert") };
        let judged = |body: &str, status| load.judge(2, Answer { status, body: body.as_bytes() });
        let kept = judged(r#"{"outcome":"created","appointment":{"version":4}}"#, 201);
        let unknown = judged(r#"{"outcome":"created"}"#, 201);
        let refused = judged(r#"{"code":"time-range-unavailable","version":9}"#, 409);
        let read_back = super::super::acknowledged::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(kept.count(Outcome::Created), 1);
        assert_eq!(unknown.count(Outcome::Other), 1);
        assert_eq!(refused.count(Outcome::Conflict), 1);
        assert_eq!(read_back, [(id(&load, 1002), 4)]);
    }

    fn id(load: &Appointments, record: u64) -> String {
        String::from_utf8(load.records.external_id(record).to_vec()).unwrap()
    }
}
