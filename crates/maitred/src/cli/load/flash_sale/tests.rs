//! Sales at a small server that keeps orders in memory and lies on request.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use clap::Parser;
use serde_json::{Value, json};

use super::*;

const STOCK: usize = 10;

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    /// It sells a piece too many.
    Oversells,
    /// It acknowledges an order and forgets it.
    Forgets,
    /// Its last piece is never to be had.
    KeepsOne,
    /// Its counts are not those of its orders.
    Miscounts,
}

#[derive(Debug)]
struct Liar {
    lie: Lie,
    /// Orders that were acknowledged.
    orders: Mutex<usize>,
}

impl Liar {
    /// Orders that it shows.
    fn shown(&self) -> usize {
        *self.orders.lock().unwrap() - usize::from(self.lie == Lie::Forgets)
    }
}

async fn buy(State(liar): State<Arc<Liar>>) -> (StatusCode, String) {
    let mut orders = liar.orders.lock().unwrap();
    let pieces = match liar.lie {
        Lie::Oversells => STOCK + 1,
        Lie::KeepsOne => STOCK - 1,
        _ => STOCK,
    };
    if *orders == pieces {
        return (StatusCode::CONFLICT, json!({"status": 409, "code": "sold-out"}).to_string());
    }
    *orders += 1;
    (StatusCode::CREATED, json!({"id": format!("order-{orders}"), "sale_id": "s"}).to_string())
}

async fn orders(State(liar): State<Arc<Liar>>) -> String {
    let items: Vec<_> = (1..=liar.shown()).map(|order| json!({"id": format!("order-{order}")})).collect();
    json!({"items": items, "next_cursor": null}).to_string()
}

async fn reconciliation(State(liar): State<Arc<Liar>>) -> String {
    let sold = liar.shown();
    let left = STOCK.saturating_sub(sold) + usize::from(liar.lie == Lie::Miscounts);
    json!({
        "buyers": sold, "most_per_buyer": 1, "sold": sold, "left": left, "balanced": true, "differences": [],
    })
    .to_string()
}

/// The report of a rush at a server that lies so.
fn rush(lie: Lie) -> SaleReport {
    const MADE: &str = r#"{"id":"550e8400-e29b-41d4-a716-446655440001"}"#;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let router = Router::new()
        .route("/v1/tenants/default/products", post(|| async { MADE }))
        .route("/v1/tenants/default/sales", post(|| async { MADE }))
        .route("/v1/tenants/default/sales/{id}/end", post(|| async { MADE }))
        .route("/v1/tenants/default/sales/{id}/orders", post(buy))
        .route("/v1/tenants/default/sales/{id}/reconciliation", get(reconciliation))
        .route("/v1/tenants/default/orders", get(orders))
        .with_state(Arc::new(Liar { lie, orders: Mutex::new(0) }));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    run(&options(&format!("--stock {STOCK} --users 50 --mode rush --tries 300 --buyers named --url {url}")))
        .unwrap()
}

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: LoadFlashSale,
}

fn options(arguments: &str) -> LoadFlashSale {
    let words = std::iter::once("flash-sale").chain(arguments.split_whitespace());
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).options
}

#[test]
fn a_server_that_keeps_its_word_passes_and_each_lie_is_told() {
    assert!(rush(Lie::None).passed());
    for (lie, problem) in [
        (Lie::Oversells, "11 orders instead of 10"),
        (Lie::Forgets, "1 orders were acknowledged and are not there"),
        (Lie::KeepsOne, "9 orders instead of 10"),
        (Lie::Miscounts, "10 sold and 1 left of 10"),
    ] {
        let report = rush(lie);
        assert!(!report.passed(), "{lie:?}");
        let table = report.table();
        assert!(table.contains(&format!("FAILED          {problem}")), "{lie:?}: {table}");
    }
}

#[test]
fn the_report_has_the_figures_of_the_run() {
    let report: Value = json!(rush(Lie::None));
    assert_eq!([&report["requests"], &report["accepted"]], [300, 10], "{report}");
    assert_eq!(report["refused"], json!({"sold_out": 290}));
    assert_eq!(report["users"], json!({"created": 300, "completed": 300, "failed": 0}));
    assert_eq!(report["statuses"], json!({"201": 10, "409": 290}));
    for class in ["2xx", "4xx"] {
        let latency = &report["latency_by_class"][class];
        assert!(latency["max"].as_u64() >= latency["min"].as_u64(), "{report}");
        assert!(latency["p99"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn a_run_is_planned_as_its_mode_says() {
    let planned = |arguments: &str| {
        let plan = options(arguments).plan().unwrap();
        (plan.rate, plan.duration.as_secs_f64(), plan.requests_max, plan.arrivals())
    };
    assert_eq!(planned(""), (Some(1000.0), 4.0, u64::MAX, Some(4000)));
    assert_eq!(planned("--rate 50 --tries 7"), (Some(50.0), 4.0, 7, Some(7)));
    assert_eq!(planned("--mode rush"), (None, SECONDS_MAX, 100_000, None));
    assert_eq!(planned("--mode rush --seconds 2"), (None, 2.0, u64::MAX, None));
    for arguments in ["--mode rush --rate 5", "--threads 3 --connections 2"] {
        assert!(matches!(options(arguments).plan(), Err(LoadError::Invalid(_))), "{arguments}");
    }
    for arguments in [
        "--users 0",
        "--users 100001",
        "--stock 1000001",
        "--buyer-limit 0",
        "--buyer-limit 101",
        "--sale x",
        "--sale 550e8400-e29b-41d4-a716-446655440001 --stock 5",
        "--mode run",
        "--buyers nobody",
    ] {
        let words = format!("flash-sale {arguments}");
        assert!(Cli::try_parse_from(words.split_whitespace()).is_err(), "{arguments}");
    }
}
