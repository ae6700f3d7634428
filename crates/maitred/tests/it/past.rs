//! The past: pages that show one point of the log, positions that are still to come, and tenants that are closed.

use std::time::{Duration, Instant};

use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::server::{Server, tenant_input};

const HERE: &str = "/v1/tenants/default/appointments";

/// An appointment at a minute of 2026-11-21, changed by its owner at a second of that day.
fn minute(minute: u32, changed: u32) -> Value {
    json!({
        "starts_at": format!("2026-11-21T{:02}:{:02}:00Z", minute / 60, minute % 60),
        "ends_at": format!("2026-11-21T{:02}:{:02}:30Z", minute / 60, minute % 60),
        "created_at": "2026-11-21T00:00:00Z",
        "updated_at": format!("2026-11-21T00:00:{changed:02}Z"),
    })
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|item| item["external_id"].as_str().expect("an id").to_owned()).collect()
}

/// Reads the pages of a list, and does something behind the first.
fn pages(server: &Server, list: &str, meanwhile: impl FnOnce()) -> Vec<Value> {
    let mut pages = vec![server.get(list).send().ok(200)];
    meanwhile();
    while let Some(cursor) = pages.last().expect("the first")["next_cursor"].as_str() {
        let next = server.get(format!("{list}&cursor={cursor}")).send().ok(200);
        pages.push(next);
    }
    pages
}

#[test]
fn pages_show_one_point_of_the_log_whatever_is_written_meanwhile() {
    for as_of in ["", "&as_of=2999-01-01T00:00:00Z"] {
        let server = Server::open();
        let put = |id: u32, at: u32, changed: u32| {
            let answer = server.put(format!("{HERE}/p{id:02}"), &minute(at, changed)).send();
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        };
        for id in 0..20 {
            put(id, 100 + id, 1);
        }
        let list = format!("{HERE}?limit=5{as_of}");
        let read = pages(&server, &list, || {
            put(15, 10, 2); // to the front: it was not seen yet
            put(2, 900, 2); // to the end: it was
            server.delete(format!("{HERE}/p09?updated_at=2026-11-21T01:00:00Z")).send().ok(200);
            put(20, 130, 1);
        });
        let seen: Vec<_> = read.iter().flat_map(ids).collect();
        let expected: Vec<_> = (0..20).map(|id| format!("p{id:02}")).collect();
        assert_eq!(seen, expected, "{as_of}");
        assert_eq!(read[3]["items"][0]["version"], 1, "p15 is told as it was");
        let now = pages(&server, &list, || ());
        let seen: Vec<_> = now.iter().flat_map(ids).collect();
        assert_eq!((seen.len(), seen[0].as_str(), seen[19].as_str()), (20, "p15", "p02"));
    }
}

#[test]
fn versions_tenants_and_keys_are_paged_as_they_were_at_the_first_page() {
    let server = Server::open();
    for changed in 1..=5 {
        server.put(format!("{HERE}/a"), &minute(10, changed)).send();
    }
    let versions = pages(&server, &format!("{HERE}/a/versions?limit=2"), || {
        server.put(format!("{HERE}/a"), &minute(10, 6)).send().ok(200);
    });
    assert_eq!(versions.iter().flat_map(ids).count(), 5);

    for i in 0..4 {
        server.tenant(&format!("t-{i}"));
        let input = json!({"name": format!("k-{i}"), "role": "staff"});
        server.post("/v1/tenants/default/api-keys").json(&input).send().ok(201);
    }
    let slugs = |pages: &[Value], field: &str| -> Vec<String> {
        let items = pages.iter().flat_map(|page| page["items"].as_array().expect("items"));
        items.map(|item| item[field].as_str().expect("a text").to_owned()).collect()
    };
    let tenants = pages(&server, "/v1/tenants?limit=2", || {
        server.delete("/v1/tenants/t-2").send().ok(200);
        server.post("/v1/tenants").json(&tenant_input("t-4")).send().ok(201);
    });
    assert_eq!(slugs(&tenants, "slug"), ["default", "t-0", "t-1", "t-2", "t-3"]);
    let keys = pages(&server, "/v1/tenants/default/api-keys?limit=3", || {
        let input = json!({"name": "late", "role": "staff"});
        server.post("/v1/tenants/default/api-keys").json(&input).send().ok(201);
    });
    let mut names = slugs(&keys, "name");
    names.sort(); // they come by id, which within a millisecond is not the order in which they were made
    assert_eq!(names, ["k-0", "k-1", "k-2", "k-3"]);
}

#[test]
fn a_position_that_is_still_to_come_is_waited_for() {
    let server = Server::open();
    let next = server.app.engine().position().seq + 1;
    std::thread::scope(|scope| {
        let read = scope.spawn(|| server.get(format!("{HERE}/a?as_of=0.{next}")).send());
        // It may be written before the read comes or behind it: either way it is answered.
        server.put(format!("{HERE}/a"), &minute(10, 1)).send().ok(201);
        assert_eq!(read.join().expect("it is answered").ok(200)["version"], 1);
    });
    let began = Instant::now();
    let never = server.get(format!("{HERE}?as_of=0.99999")).send();
    assert_eq!(never.refusal(), (503, "replica-behind".to_owned()));
    assert!(began.elapsed() >= Duration::from_secs(2), "it was waited for");
    let elsewhere = server.get(format!("{HERE}?as_of=7.1")).header("Maitred-Position", "0.1").send();
    assert_eq!(elsewhere.refusal(), (400, "position-invalid".to_owned()));
}

#[test]
fn an_admin_reads_and_exports_what_a_closed_tenant_was() {
    let server = Server::with_keys();
    let owner = server.tenant_key("salon", Role::Owner);
    let tenant = "/v1/tenants/salon";
    server.put(format!("{tenant}/appointments/a"), &minute(10, 1)).send().ok(201);
    let open = server.position();
    let profile = server.get(tenant).send().ok(200);
    let export = server.get(format!("{tenant}/export")).send().text().to_owned();
    server.delete(tenant).send().ok(200);
    let closed = server.position();

    let gone = (404, "tenant-not-found".to_owned());
    for path in ["", "/appointments", "/appointments/a", "/appointments/a/versions", "/versions"] {
        let at = |as_of: &str| server.get(format!("{tenant}{path}?as_of={as_of}"));
        at(&open).send().ok(200);
        assert_eq!(at(&closed).send().refusal(), gone, "{path}: it was closed then");
        assert_eq!(at("0.1").send().refusal(), gone, "{path}: it was not there yet");
        assert_eq!(server.get(format!("{tenant}{path}")).send().refusal(), gone, "{path}: it is closed now");
        let request = server.anonymous("GET", format!("{tenant}{path}?as_of={open}"));
        assert_eq!(request.clone().send().refusal().0, 401, "{path}: to a stranger");
        assert_eq!(request.key(&owner).send().refusal().0, 403, "{path}: to its owner");
    }
    assert_eq!(server.get(format!("{tenant}?as_of={open}")).send().ok(200), profile);
    let list = server.get(format!("{tenant}/appointments?as_of={open}")).send().ok(200);
    assert_eq!(ids(&list), ["a"]);
    for query in [String::new(), format!("?as_of={open}")] {
        let answer = server.get(format!("{tenant}/export{query}")).send();
        assert_eq!((answer.status, answer.text()), (200, export.as_str()), "{query}");
    }
    for request in [
        server.put(format!("{tenant}/appointments/a"), &minute(10, 2)),
        server.delete(format!("{tenant}/appointments/a?updated_at=2026-11-21T01:00:00Z")),
        server.patch(tenant, &json!({"name": "x"})),
        server.post(format!("{tenant}/import")).bytes(export.clone()),
        server.get(format!("{tenant}/changes")),
    ] {
        assert_eq!(request.send().refusal(), gone);
    }
    assert_eq!(server.position(), closed, "nothing of it can be written");
}
