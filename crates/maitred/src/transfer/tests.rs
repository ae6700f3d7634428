//! The lines of an export, and what an import makes of them. Next: [`shop`] for users and flash sales,
//! [`salon`] for salons.

mod salon;
mod shop;

use maitred_booking::app::App;
use maitred_booking::appointments::{self, Cancel, Upsert};
use maitred_booking::json::JsonObject;
use maitred_booking::tenants::{self, CreateTenant, DropIn, DropIns};
use maitred_booking::{Command, Outcome};
use maitred_core::{Actor, TenantNumber, Timestamp};
use maitred_engine::engine::Threads;

use super::*;
use crate::assemble;

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + hour * 3_600_000)
}

/// An empty server, for as long as the value lives.
struct Server {
    app: App,
    threads: Option<Threads>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn new() -> Self {
        let (app, threads) = assemble::in_memory().expect("memory");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Server { app, threads: Some(threads), runtime }
    }

    fn submit(&self, tenant: TenantNumber, command: impl std::convert::Into<Command>) -> Outcome {
        let decided = self.app.decide((tenant, Actor::System), None, 256, command);
        self.runtime.block_on(decided).expect("decided").result.expect("accepted")
    }

    fn put(&self, external_id: &str, hours: std::ops::Range<i64>, updated_at: i64, metadata: Option<&str>) {
        let upsert = Upsert {
            external_id: external_id.into(),
            resource: "Stuhl \"ä\"".into(),
            starts_at: hour(hours.start),
            ends_at: hour(hours.end),
            created_at: hour(-1),
            updated_at: hour(updated_at),
            title: metadata.map(|_| "Schnitt\n& Farbe".into()),
            metadata: metadata.map(|text| JsonObject::parse(text).expect("an object")),
            if_version: None,
            if_none_match_any: false,
        };
        self.submit(TenantNumber(1), appointments::Command::Upsert(upsert));
    }

    fn cancel(&self, external_id: &str, updated_at: i64) {
        let cancel =
            Cancel { external_id: external_id.into(), updated_at: hour(updated_at), if_version: None };
        self.submit(TenantNumber(1), appointments::Command::Cancel(cancel));
    }

    fn create(&self, slug: &str) {
        let create = CreateTenant {
            slug: slug.into(),
            alias: Some(format!("The {slug}")),
            name: "Salon Ä".into(),
            time_zone: "Europe/Berlin".into(),
            currency: "EUR".into(),
            locale: "de-DE".into(),
            drop_ins: DropIns::NONE.with(DropIn::Sesami),
            public: true,
            automatic: false,
        };
        self.submit(TenantNumber::SYSTEM, tenants::Command::CreateTenant(create));
    }

    /// A salon in which two appointments have changed places, one was cancelled, and one is a tombstone.
    fn salon() -> Self {
        let server = Server::new();
        server.create("salon");
        server.put("a", 1..2, 0, None);
        server.put("b", 2..3, 0, Some("{\n  \"room\": [4,\r\n 5]}"));
        server.put("a", 5..6, 1, None);
        server.put("b", 1..2, 2, None);
        server.put("a", 2..3, 3, Some("{}"));
        server.put("c", 8..9, 0, None);
        server.cancel("c", 1);
        server.cancel("never-seen", 7);
        server
    }

    fn export(&self, piece: usize) -> String {
        let view = self.app.engine().view();
        let mut export = Export::new(&view, TenantNumber(1), view.seq()).expect("the tenant is there");
        let mut out = Vec::new();
        while export.fill(&self.app.engine().view(), &mut out, piece) {}
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    fn import(&self, text: &str, into: Destination) -> (Tally, Vec<Refused>) {
        self.try_import(text, into).expect("not stopped")
    }

    fn try_import(&self, text: &str, into: Destination) -> Result<(Tally, Vec<Refused>), Stopped> {
        self.runtime.block_on(async {
            let mut import = Import::new(self.app.engine().clone(), Actor::System, into);
            let (mut lines, mut last) = (Lines::default(), 0);
            lines.push(text.as_bytes());
            lines.end();
            while let Some((number, line)) = lines.next() {
                last = number;
                import.line(number, line).await?;
            }
            import.finish(last).await?;
            Ok((import.tally(), import.take_refused()))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.stop();
        }
    }
}

fn told(refused: &[Refused]) -> Vec<(u64, &str)> {
    refused.iter().map(|refused| (refused.line, &*refused.code)).collect()
}

#[test]
fn an_import_into_an_empty_server_exports_the_same_bytes() {
    let exported = Server::salon().export(1);
    assert_eq!(exported.lines().count(), 10, "a profile, eight versions, an end:\n{exported}");
    let copy = Server::new();
    let (tally, refused) = copy.import(&exported, Destination::Slug(None));
    assert_eq!((tally, refused), (Tally { imported: 9, unchanged: 0, refused: 0 }, vec![]));
    assert_eq!(copy.export(usize::MAX / 2), exported);
    let first = exported.lines().next().expect("a profile");
    assert_eq!(
        first,
        r#"{"type":"tenant","format":1,"slug":"salon","alias":"The salon","name":"Salon Ä","time_zone":"Europe/Berlin","currency":"EUR","locale":"de-DE","drop_ins":["sesami"],"public":true}"#
    );
}

#[test]
fn importing_again_changes_nothing_not_even_where_it_came_from() {
    let salon = Server::salon();
    let exported = salon.export(1 << 20);
    let unchanged = Tally { imported: 0, unchanged: 9, refused: 0 };
    let before = salon.app.engine().position();
    assert_eq!(salon.import(&exported, Destination::Slug(None)), (unchanged, vec![]));
    assert_eq!(salon.app.engine().position(), before, "nothing was written");
    let copy = Server::new();
    copy.import(&exported, Destination::Slug(None));
    assert_eq!(copy.import(&exported, Destination::Slug(None)), (unchanged, vec![]));
    assert_eq!(copy.export(1 << 20), exported);
}

#[test]
fn an_export_is_as_of_one_batch_whatever_is_written_meanwhile() {
    let server = Server::salon();
    let expected = server.export(1 << 20);
    let view = server.app.engine().view();
    let mut export = Export::new(&view, TenantNumber(1), view.seq()).expect("the tenant is there");
    drop(view);
    let (mut out, mut later) = (Vec::new(), 10);
    while export.fill(&server.app.engine().view(), &mut out, 1) {
        server.put("a", 20..21, later, None);
        server.put(&format!("new-{later}"), 30 + later..31 + later, 0, None);
        later += 1;
    }
    assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
}

#[test]
fn what_overlaps_is_refused_with_its_line_and_the_rest_is_imported() {
    let exported = Server::salon().export(1 << 20);
    let other = Server::new();
    other.create("salon");
    other.put("mine", 5..6, 0, None);
    let (tally, refused) = other.import(&exported, Destination::Slug(None));
    // Line 4 moves "a" onto what is there; its next version then has none before it.
    let expected = [(4, "time-range-unavailable"), (5, "time-range-unavailable"), (6, "version-missing")];
    assert_eq!(told(&refused), expected, "{refused:?}");
    assert_eq!(tally, Tally { imported: 5, unchanged: 1, refused: 3 });
    let again = other.import(&exported, Destination::Slug(None));
    assert_eq!(again.0, Tally { imported: 0, unchanged: 6, refused: 3 });
}

#[test]
fn another_tenant_can_take_the_lines_and_keeps_its_alias_where_it_is_taken() {
    let salon = Server::salon();
    let exported = salon.export(1 << 20);
    salon.create("copy");
    let (tally, refused) = salon.import(&exported, Destination::Tenant(TenantNumber(2)));
    assert_eq!(told(&refused), [(1, "alias-taken")]);
    assert_eq!(tally, Tally { imported: 8, unchanged: 0, refused: 1 });
    let named = Server::new();
    named.import(&exported, Destination::Slug(Some("elsewhere".into())));
    assert!(named.export(1 << 20).starts_with(r#"{"type":"tenant","format":1,"slug":"elsewhere""#));
}

#[test]
fn lines_that_are_no_lines_of_an_export_are_refused_one_by_one() {
    let exported = Server::salon().export(1 << 20);
    let mut lines: Vec<&str> = exported.lines().collect();
    let long = format!("{{\"type\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX));
    let unknown_field = lines[1].replacen("\"version\"", "\"vresion\"", 1);
    let half = lines[1].replacen("\"resource\":\"Stuhl \\\"ä\\\"\"", "\"resource\":null", 1);
    lines.splice(1..1, ["", "{", "{\"type\":\"nonsense\"}", "[]", &long, &unknown_field, &half]);
    lines.push("{\"type\":\"end\",\"lines\":1}");
    let text = lines.join("\n");
    let (tally, refused) = Server::new().import(&text, Destination::Slug(None));
    let expected = [
        (3, "line-malformed"),
        (4, "line-unknown"),
        (5, "line-invalid"),
        (6, "line-too-long"),
        (7, "line-invalid"),
        (8, "line-invalid"),
        (17, "lines-missing"),
        (18, "line-behind-end"),
    ];
    assert_eq!(told(&refused), expected, "{refused:?}");
    assert_eq!(tally, Tally { imported: 9, unchanged: 0, refused: 8 });
}

#[test]
fn an_export_that_was_cut_short_is_told_from_a_whole_one() {
    let exported = Server::salon().export(1 << 20);
    let cut = exported.rsplit_once("{\"type\":\"end\"").expect("it has an end").0;
    let (tally, refused) = Server::new().import(cut, Destination::Slug(None));
    assert_eq!(told(&refused), [(9, "end-missing")]);
    assert_eq!(tally.imported, 9);
}

#[test]
fn an_import_stops_where_there_is_no_tenant() {
    let exported = Server::salon().export(1 << 20);
    let (_, records) = exported.split_once('\n').expect("lines");
    let stopped = Server::new().try_import(records, Destination::Slug(None)).expect_err("no tenant");
    assert_eq!((stopped.line, &*stopped.why), (1, "no line of a tenant stands before it"));
    let newer = exported.replacen("\"format\":1", "\"format\":2", 1);
    let stopped = Server::new().try_import(&newer, Destination::Slug(None)).expect_err("no tenant");
    assert_eq!(stopped.line, 2, "the profile of another format is no profile");
}

#[test]
fn lines_are_cut_alike_wherever_the_stream_is() {
    let text = format!("one\n\n{}\nthree\r\nfour", "x".repeat(LINE_BYTES_MAX + 1));
    let cut = |piece: usize| {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for bytes in text.as_bytes().chunks(piece) {
            lines.push(bytes);
            while let Some((number, line)) = lines.next() {
                seen.push((number, line.map(<[u8]>::to_vec)));
            }
        }
        lines.end();
        while let Some((number, line)) = lines.next() {
            seen.push((number, line.map(<[u8]>::to_vec)));
        }
        seen
    };
    let expected = vec![
        (1, Ok(b"one".to_vec())),
        (2, Ok(vec![])),
        (3, Err(())),
        (4, Ok(b"three\r".to_vec())),
        (5, Ok(b"four".to_vec())),
    ];
    for piece in [1, 2, 7, 1_000, 65_000, 1 << 20] {
        assert_eq!(cut(piece), expected, "in pieces of {piece}");
    }
}
