//! How long FAPI's list of a week takes with its customers, on a real data folder with so many bookings (150,000 without
//! a number) of a hundredth as many customers, over three years: `cargo run --release -p maitred --example
//! legacy_list_speed -- 1500000`. The router and the whole body are in it, and no socket.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use maitred::assemble::{Node, StartError};
use maitred::router;
use maitred_booking::app::{Access, App};
use maitred_booking::money::Currency;
use maitred_booking::salons::{Command, Decimal, LegacyStatus, PutCustomer, PutLegacyBooking};
use maitred_core::{Actor, TenantNumber, Timestamp};
use tower::ServiceExt;

/// How many commands wait at once.
const AT_ONCE: usize = 1_024;
/// 1 January 2023, in milliseconds.
const START: i64 = 1_672_531_200_000;
const DAY: i64 = 86_400_000;
const DAYS: i64 = 1_096;
const ROUNDS: i64 = 400;

fn main() -> Result<(), StartError> {
    let count: u64 = std::env::args().nth(1).map_or(150_000, |count| count.parse().expect("a number"));
    let customers = count / 100;
    let dir = std::env::temp_dir().join(format!("maitred-legacy-list-speed-{}", std::process::id()));
    let node = Node::start(&dir)?;
    let app = node.app(Access::Open, "default")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        app.ensure_default_tenant().await.expect("a fresh folder takes the default tenant");
        let tenant = app.tenant("default").expect("it was just made").number;
        let begun = Instant::now();
        import(&app, tenant, (0..customers).map(customer)).await;
        import(&app, tenant, (0..count).map(|number| booking(number, count, customers))).await;
        println!("{count} bookings of {customers} customers in {:.1} s", begun.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_secs(5)).await; // so that little is flushed meanwhile
        app.readiness().ready();
        let (router, _) = router::router(&app);
        lists(&router).await;
    });
    drop(app);
    node.stop();
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
    Ok(())
}

async fn import(app: &App, tenant: TenantNumber, commands: impl Iterator<Item = Command>) {
    let decided = commands.map(|command| app.decide((tenant, Actor::System), None, 512, command));
    let mut answers = futures_util::stream::iter(decided).buffered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        answer.expect("it is decided").result.expect("it is accepted");
    }
}

/// Lists of seven days, spread over the years.
async fn lists(router: &Router) {
    let (mut first_parts, mut whole, mut bytes) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        let day = START + (round * 37) % (DAYS - 8) * DAY;
        let (start, end) = (Timestamp::from_millis(day), Timestamp::from_millis(day + 7 * DAY));
        let request = Request::get(format!("/api/bookings?start={start}&end={end}"));
        let request = request.header("host", "localhost").body(Body::empty()).expect("a request");
        let begun = Instant::now();
        let response = router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let mut parts = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.expect("a part").into_data().expect("data");
            bytes += frame.len();
            if parts == 0 {
                first_parts.push(begun.elapsed());
            }
            parts += 1;
        }
        whole.push(begun.elapsed());
    }
    println!("{} KiB in a list, on average", bytes / ROUNDS as usize / 1_024);
    tell("the first part", first_parts);
    tell("all of it", whole);
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms", at(50), at(90), at(99));
}

fn customer(number: u64) -> Command {
    Command::PutCustomer(PutCustomer {
        external_id: format!("customer-{number:06}"),
        name: format!("Customer Number {number}"),
        email: Some(format!("customer-{number}@example.com")),
        phone: Some(format!("+49 30 {number:07}")),
        created_at: Timestamp::from_millis(START),
        changed_at: Timestamp::from_millis(START),
    })
}

fn booking(number: u64, count: u64, customers: u64) -> Command {
    let place = i64::try_from(number).expect("few") * (DAYS * DAY / i64::try_from(count).expect("few"));
    Command::PutLegacyBooking(PutLegacyBooking {
        external_id: Some(format!("booking-{number:08}")),
        customer_id: format!("customer-{:06}", number.wrapping_mul(7_919) % customers.max(1)),
        title: "Haarschnitt und Farbe".to_owned(),
        description: "Wie beim letzten Mal, die Spitzen etwas kürzer".to_owned(),
        date: Timestamp::from_millis(START + place),
        status: LegacyStatus::ALL[usize::try_from(number % 4).expect("small")],
        price: Decimal::from_cents(4_550),
        currency: Currency::parse("EUR").expect("a code"),
        created_at: Timestamp::from_millis(START),
        changed_at: Timestamp::from_millis(START),
    })
}
