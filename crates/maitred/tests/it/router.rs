//! What holds for every route, and what is answered where there is none.

use std::collections::BTreeMap;

use maitred::{openapi, router};
use serde_json::{Value, json};

use crate::server::Server;

/// Every operation of the document: its path with something in the place of each variable, and its method.
fn operations(server: &Server) -> Vec<(&'static str, String, utoipa::openapi::path::Operation)> {
    let (_, mut document) = router::router(&server.app);
    let mut found = Vec::new();
    for (pattern, item) in &mut document.paths.paths {
        let path = pattern
            .replace("{tenant}", "salon")
            .replace("{external_id}", "a")
            .replace("{provider}", "arena")
            .replace("{id}", "01890000-0000-7000-8000-000000000000")
            .replace("{absence}", "01890000-0000-7000-8000-000000000000")
            .replace("{delivery}", "msg_0")
            .replace("{date}", "2030-01-01")
            .replace("{name}", "order-processing");
        assert!(!path.contains('{'), "{pattern} has a variable that this test does not know");
        for (method, operation) in openapi::operations(item) {
            found.push((method, path.clone(), operation.clone()));
        }
    }
    assert!(found.len() > 20, "the document has the whole API");
    found
}

/// Whether a replaced service answers there, which reads a body whatever it is declared as, and whose users need no key.
fn is_of_the_flash_sale(path: &str) -> bool {
    ["/users", "/sales", "/orders"].iter().any(|known| path.starts_with(known))
}

#[test]
fn every_operation_of_the_document_is_served_and_asks_who_one_is() {
    let server = Server::with_keys();
    for (method, path, operation) in operations(&server) {
        let answer = server.anonymous(method, path.as_str()).send();
        assert_ne!(answer.status, 405, "{method} {path}");
        let schemes = operation.security.unwrap_or_default();
        let public = schemes.contains(&utoipa::openapi::security::SecurityRequirement::default());
        if public && !path.starts_with("/v1/tenants/") && !is_of_the_flash_sale(&path) {
            assert_eq!(answer.status, 200, "{method} {path}");
        } else if path.starts_with("/users") || path.starts_with("/sales/") {
            // A drop-in that is off for the default tenant: its users need no key, and are told so.
            assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text());
        } else if path == "/sales" {
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        } else {
            assert_eq!(answer.status, 401, "{method} {path} is answered to a stranger");
        }
    }
}

#[test]
fn every_operation_describes_itself() {
    let server = Server::open();
    let mut ids = BTreeMap::new();
    for (method, path, operation) in operations(&server) {
        let what = format!("{method} {path}");
        let id = operation.operation_id.clone().expect("an id");
        assert_eq!(ids.insert(id.clone(), what.clone()), None, "{id} is given twice");
        assert!(operation.summary.as_ref().is_some_and(|text| text.len() > 5), "{what} has no summary");
        assert!(operation.tags.as_ref().is_some_and(|tags| tags.len() == 1), "{what} has one tag");
        let of_drop_in = ["/v1/events/search", "/v1/health"].contains(&&*path);
        if of_drop_in || !path.starts_with("/v1/") && path != "/metrics" && !path.starts_with("/health") {
            continue; // a drop-in answers in its own manner
        }
        let text = operation.description.expect("a description");
        assert!(text.contains("Permission: `"), "{what} does not tell its permission");
        let operation = serde_json::to_value(&operation.responses).expect("JSON");
        let responses = operation.as_object().expect("an object");
        assert!(responses.contains_key("default"), "{what}");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| text.len() > 5), "{what}: {status}");
            if status == "default" || status.as_str() >= "400" {
                let content = response["content"].as_object().expect("a problem has a body");
                assert!(content.keys().eq(["application/problem+json"]), "{what}: {status}");
            }
        }
    }
}

#[test]
fn an_operation_names_a_parameter_once_and_has_its_refusals_and_who_may_call_it() {
    let server = Server::open();
    for (method, path, operation) in operations(&server) {
        let what = format!("{method} {path}");
        let operation = serde_json::to_value(&operation).expect("JSON");
        let mut named = BTreeMap::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = (parameter["name"].to_string(), parameter["in"].to_string());
            assert_eq!(named.insert(name, ()), None, "{what} names {parameter} twice");
        }
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{what}: for whom?"));
        let has = |status: &str| operation["responses"].get(status).is_some();
        assert!(has("default"), "{what}");
        if security.iter().all(|scheme| scheme.as_object().is_some_and(|scheme| !scheme.is_empty())) {
            assert!(has("401") && has("403"), "{what} can be refused for want of a key");
        }
        let body = operation["requestBody"]["content"].as_object();
        let is_json = body.is_some_and(|content| content.contains_key("application/json"));
        assert_eq!(has("413"), is_json, "{what}: a body that is read as a whole can be too large");
        assert_eq!(
            has("415"),
            is_json && !is_of_the_flash_sale(&path) || path.ends_with("/imports"),
            "{what}: it is read as what it is declared"
        );
        for (status, response) in operation["responses"].as_object().expect("an object") {
            let says = response["content"].as_object().is_some_and(|content| !content.is_empty());
            assert!(says || status.as_str() < "400", "{what}: {status} has no form");
        }
    }
}

#[test]
fn a_browser_is_told_what_this_is_and_a_program_that_the_server_runs() {
    let server = Server::with_keys();
    let answer = server.anonymous("GET", "/").header("Accept", "text/html,*/*;q=0.8").send();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(answer.header("vary"), Some("Accept"));
    assert!(answer.header("content-security-policy").is_some());
    let links = answer.text().split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let links: Vec<_> = links.collect();
    assert!(["/docs", "/health", "/openapi.json"].iter().all(|link| links.contains(link)), "{links:?}");
    for link in links {
        // The demo's records are those of a tenant: here nobody sees them without a key.
        let status = if link.starts_with("/v1/tenants/demo/") { 401 } else { 200 };
        assert_eq!(server.anonymous("GET", link).send().status, status, "{link}");
    }
    let strange = server.anonymous("GET", "/").instead("Host", "<b>").header("Accept", "text/html").send();
    assert!(!strange.text().contains("<b>"), "{}", strange.text());
    for request in [server.anonymous("GET", "/"), server.anonymous("GET", "/").header("Accept", "*/*")] {
        let answer = request.send();
        let said: Value = serde_json::from_str(answer.text()).expect("JSON");
        assert_eq!((answer.status, &said["status"]), (200, &json!("ok")));
        assert_eq!(said["message"], "Server is running");
    }
    let other = server.anonymous("POST", "/").header("Accept", "text/html").send();
    assert_eq!(other.refusal(), (404, "path-unknown".to_owned()));
}

#[test]
fn the_bounds_of_the_rules_are_in_the_document() {
    let server = Server::open();
    let (_, document) = router::router(&server.app);
    let document = serde_json::to_value(&document).expect("JSON");
    let parameters = |path: &str, method: &str| {
        let pointer = format!("/paths/{}/{method}/parameters", path.replace('/', "~1"));
        document.pointer(&pointer).and_then(Value::as_array).expect("parameters").clone()
    };
    let one = |path: &str, method: &str, name: &str| {
        let found = parameters(path, method).into_iter().find(|parameter| parameter["name"] == name);
        found.unwrap_or_else(|| panic!("{method} {path} has no {name}"))["schema"].clone()
    };
    let appointment = "/v1/tenants/{tenant}/appointments/{external_id}";
    let list = "/v1/tenants/{tenant}/appointments";
    for (schema, member, value) in [
        (one(appointment, "put", "tenant"), "pattern", "\"^[a-z0-9][a-z0-9-]{0,62}$\""),
        (one(appointment, "put", "external_id"), "maxLength", "255"),
        (one(appointment, "put", "Idempotency-Key"), "maxLength", "255"),
        (one(list, "get", "limit"), "maximum", "1000"),
        (one(list, "get", "limit"), "minimum", "1"),
        (one("/v1/tenants/{tenant}/changes", "get", "limit"), "maximum", "1000"),
        (one(list, "get", "cursor"), "maxLength", "1024"),
    ] {
        assert_eq!(schema[member].to_string(), value, "{member} of {schema}");
    }
    for (pointer, value) in [
        ("AppointmentInput/properties/title/maxLength", "200"),
        ("AppointmentInput/properties/resource/maxLength", "128"),
        ("BatchInput/properties/items/maxItems", "10000"),
        ("TenantInput/properties/slug/pattern", "\"^[a-z0-9][a-z0-9-]{0,62}$\""),
        ("TenantInput/properties/alias/maxLength", "128"),
        ("TenantInput/additionalProperties", "false"),
        ("ApiKeyInput/properties/name/maxLength", "200"),
        ("ProductInput/properties/inventory/maximum", "1000000000"),
        ("SaleInput/properties/quantity/maximum", "1000000"),
        ("SaleInput/properties/hold_seconds/maximum", "86400"),
        ("SalePatch/properties/buyer_limit/minimum", "1"),
        ("ApiKeyCreated", ""),
    ] {
        let found = document.pointer(&format!("/components/schemas/{pointer}"));
        let found = found.unwrap_or_else(|| panic!("no {pointer}")).to_string();
        assert!(found == value || value.is_empty(), "{pointer} is {found}");
    }
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

#[test]
fn what_is_not_there_is_a_problem() {
    let server = Server::open();
    for path in [
        "/v1",
        "/v1/",
        "/v1/tenants/",
        "/v2/tenants",
        "/metrics/x",
        "/docs/assets/none.js",
        "/docs/errors/none",
    ] {
        let answer = server.get(path).send();
        assert_eq!(answer.refusal(), (404, "path-unknown".to_owned()), "{path}");
        let head = server.request("HEAD", path).send();
        assert_eq!((head.status, head.is_empty()), (404, true), "{path}");
    }
}

#[test]
fn a_method_that_is_not_there_is_told_which_are() {
    let server = Server::with_keys();
    for (method, path, allow) in [
        ("PATCH", "/v1/tenants/salon/appointments/a", "DELETE,GET,HEAD,PUT"),
        ("POST", "/v1/tenants/salon", "DELETE,GET,HEAD,PATCH"),
        ("DELETE", "/v1/tenants", "GET,HEAD,POST"),
        ("PATCH", "/v1/tenants/salon/appointments/batch", "DELETE,GET,HEAD,POST,PUT"),
        ("PUT", "/health/live", "GET,HEAD"),
    ] {
        let answer = server.anonymous(method, path).send();
        assert_eq!(answer.refusal(), (405, "method-not-allowed".to_owned()), "{method} {path}");
        let mut methods: Vec<_> = answer.header("allow").expect("Allow").split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allow, "{method} {path}");
    }
}

#[test]
fn an_answer_carries_the_id_of_its_request() {
    let server = Server::open();
    let given = server.get("/health").header("X-Request-Id", "trace-7").send();
    assert_eq!(given.header("x-request-id"), Some("trace-7"));
    let problem = server.get("/nothing").header("X-Request-Id", "trace-8").send();
    assert_eq!(problem.problem()["instance"], "trace-8");
    let made = server.get("/health").send();
    assert_eq!(made.header("x-request-id").map(str::len), Some(36));
}
