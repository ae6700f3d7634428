//! `/health…` and `/metrics`.

use serde_json::json;

use crate::server::Server;

#[test]
fn health_is_told_to_anybody() {
    let server = Server::with_keys();
    for path in ["/health", "/health/live", "/health/ready"] {
        let answer = server.anonymous("GET", path).send().ok(200);
        assert_eq!(answer["status"], "OK");
        let timestamp = answer["timestamp"].as_str().expect("an instant");
        assert!(timestamp.ends_with('Z') && timestamp.len() == 24, "{timestamp}");
    }
    assert_eq!(server.anonymous("HEAD", "/health").send().status, 200);
}

#[test]
fn a_server_that_drains_lives_and_is_not_ready() {
    let server = Server::open();
    server.app.readiness().drain();
    server.get("/health").send().ok(200);
    server.get("/health/live").send().ok(200);
    let ready = server.get("/health/ready").send();
    assert_eq!(ready.refusal(), (503, "draining".to_owned()));
    assert!(ready.header("retry-after").is_some());
}

/// The value of a sample of `/metrics`.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn requests_and_the_engine_are_counted() {
    let server = Server::open();
    let body = json!({
        "starts_at": "2026-11-21T09:00:00Z", "ends_at": "2026-11-21T10:00:00Z",
        "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
    });
    for _ in 0..3 {
        server.put("/v1/tenants/default/appointments/a", &body).send();
    }
    server.put("/v1/tenants/default/appointments/b", &body).send().refusal();
    server.get("/nothing/here").send().refusal();
    server.delete("/v1/tenants").send().refusal();
    let events = server.get("/v1/tenants/default/changes").listen();
    let answer = server.get("/metrics").send();
    let text = answer.text();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"))
    );
    let route = r#"route="/v1/tenants/{tenant}/appointments/{external_id}",method="PUT""#;
    for (name, value) in [
        (format!(r#"maitred_http_requests_total{{{route},status="201"}}"#), 1.0),
        (format!(r#"maitred_http_requests_total{{{route},status="200"}}"#), 2.0),
        (format!(r#"maitred_http_requests_total{{{route},status="409"}}"#), 1.0),
        (format!("maitred_http_request_duration_seconds_count{{{route}}}"), 4.0),
        (format!(r#"maitred_http_request_duration_seconds_bucket{{le="+Inf",{route}}}"#), 4.0),
        (r#"maitred_http_requests_total{route="none",method="GET",status="404"}"#.to_owned(), 1.0),
        (r#"maitred_http_requests_total{route="/v1/tenants",method="DELETE",status="405"}"#.to_owned(), 1.0),
        ("maitred_http_requests_in_flight".to_owned(), 1.0),
        ("maitred_commands_total".to_owned(), 5.0),
        ("maitred_batches_total".to_owned(), 2.0),
        ("maitred_overloaded_total".to_owned(), 0.0),
        ("maitred_queue_commands".to_owned(), 0.0),
        ("maitred_queue_bytes".to_owned(), 0.0),
        ("maitred_log_position".to_owned(), 2.0),
        ("maitred_change_listeners".to_owned(), 1.0),
        ("maitred_sale_listeners".to_owned(), 0.0),
        ("maitred_ready".to_owned(), 1.0),
    ] {
        assert_eq!(sample(text, &name), Some(value), "{name} in\n{text}");
    }
    for name in [
        "maitred_log_written_bytes_total",
        "maitred_append_seconds_total",
        "maitred_overlay_bytes",
        "maitred_data_free_bytes",
    ] {
        assert!(sample(text, name) > Some(0.0), "{name} in\n{text}");
    }
    if cfg!(target_os = "linux") {
        assert!(sample(text, "process_resident_memory_bytes") > Some(1e6), "{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    drop(events);
}

#[test]
fn every_metric_is_explained() {
    let server = Server::open();
    let text = server.get("/metrics").send().text().to_owned();
    let helped: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    let typed = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert!(helped.len() >= 15 && helped.len() == typed, "{text}");
    for line in helped {
        let (name, help) = line.split_once(' ').expect("a help text");
        assert!(name.starts_with("maitred_") || name.starts_with("process_"), "{line}");
        assert!(help.len() > 5, "{line}");
    }
}
