//! What a limit of rates costs a request, without a socket: nanoseconds of many reads of one small record.
//! `cargo run --release -p maitred --example rate_cost`. For instructions, let one way of it run twice under callgrind,
//! and divide the difference: `valgrind --tool=callgrind …/rate_cost key-limited 10000`, then with 20000.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST};
use maitred::assemble::{self, StartError};
use maitred::router;
use maitred_booking::app::App;
use maitred_booking::tenants::{Command, CreateApiKey, CreateTenant, DropIns, Role};
use maitred_core::{Actor, TenantNumber};
use maitred_web::address::{Proxies, ProxyHeader};
use maitred_web::auth::ApiKey;
use maitred_web::rate::{QUOTA_MAX, Quotas};
use maitred_web::{ClientAddress, Guard};
use tower::{Layer, Service, ServiceExt};
use uuid::Uuid;

const ROUNDS: usize = 300_000;
/// Requests with a key, and without one on a public route; from far away, and from this machine.
const WAYS: [&str; 6] = [
    "key-free",
    "key-limited",
    "address-free",
    "address-limited",
    "loopback-limited",
    "address-limited-proxied",
];

fn main() -> Result<(), StartError> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let rounds = arguments.next().map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for way in WAYS.into_iter().filter(|way| only.as_deref().is_none_or(|only| only == *way)) {
        let (app, threads) = assemble::in_memory()?;
        runtime.block_on(run(&app, way, rounds));
        drop(app);
        threads.stop();
    }
    Ok(())
}

async fn run(app: &App, way: &'static str, rounds: usize) {
    let key = prepare(app).await;
    if way.contains("limited") {
        // So many that nobody is refused.
        app.limit_rates(Quotas { address: QUOTA_MAX, user: QUOTA_MAX, key: QUOTA_MAX });
    }
    let (routes, _): (Router, _) = router::router(app);
    let networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let proxies =
        way.contains("proxied").then(|| Arc::new(Proxies { networks, header: ProxyHeader::XForwardedFor }));
    let client = Guard::new(move |request: &mut Request| {
        if let Some(proxies) = &proxies {
            proxies.resolve(request);
        }
        Ok(())
    });
    let mut service = client.layer(routes);
    let from: IpAddr = match way {
        "loopback-limited" => [127, 0, 0, 1].into(),
        "address-limited-proxied" => [10, 0, 0, 1].into(),
        _ => [203, 0, 113, 7].into(),
    };
    let begun = Instant::now();
    for _ in 0..rounds {
        let mut request = Request::get("/v1/tenants/salon/services/00000000-0000-0000-0000-000000000001");
        request = request.header(HOST, "localhost").header("x-forwarded-for", "203.0.113.7");
        if way.starts_with("key") {
            request = request.header(AUTHORIZATION, &key);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(ClientAddress(Some(from)));
        let service = service.ready().await.expect("a router is ready");
        let answer = service.call(request).await.expect("a router cannot fail");
        assert_eq!(answer.status(), 404, "there are no services");
    }
    println!("{:8.0} ns  {way}", begun.elapsed().as_secs_f64() * 1e9 / rounds as f64);
}

/// Makes a public tenant, and a key of it.
async fn prepare(app: &App) -> String {
    let secret = ApiKey::from_random(&[7; 32]);
    let tenant = CreateTenant {
        slug: "salon".to_owned(),
        alias: None,
        name: "Salon".to_owned(),
        time_zone: "UTC".to_owned(),
        currency: "EUR".to_owned(),
        locale: "en".to_owned(),
        drop_ins: DropIns::NONE,
        public: true,
        automatic: false,
    };
    let key = CreateApiKey {
        tenant: Some(TenantNumber(1)),
        id: Uuid::from_u128(1),
        name: "cost".to_owned(),
        role: Role::Owner,
        secret_hash: secret.hash().0,
    };
    for command in [Command::CreateTenant(tenant), Command::CreateApiKey(key)] {
        let who = (TenantNumber::SYSTEM, Actor::System);
        app.submit(who, None, 256, command).await.expect("an empty server takes it");
    }
    format!("Bearer {}", secret.reveal())
}
