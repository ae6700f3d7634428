//! How far behind the log a consumer is at a steady rate: orders are placed at so many a second on a real data folder,
//! and the consumer that processes them completes each. The lag is the time from the decision of a purchase to the
//! decision of its completion, by the log's own clock: `cargo run --release -p maitred --example consumer_lag -- 5000 20`
//! for 5,000 orders a second over 20 seconds. Exits with 1 where p99 is 50 ms or more.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use maitred::assemble::{Node, StartError};
use maitred_booking::app::{Access, App};
use maitred_booking::flash_sales::{Command, CreateProduct, CreateSale, PlaceOrder};
use maitred_booking::money::{Currency, Money};
use maitred_booking::record::{self, Kind};
use maitred_core::{Actor, ChangeId, TenantNumber, Timestamp};
use uuid::Uuid;

/// What the 99th percentile must stay below.
const P99_MAX: Duration = Duration::from_millis(50);
/// How often commands are entered.
const TICK: Duration = Duration::from_millis(2);
/// What the first seconds tell is not counted: threads and caches are cold.
const WARM_UP: Duration = Duration::from_secs(2);

fn main() -> Result<ExitCode, StartError> {
    let argument = |place, default: u64| {
        std::env::args().nth(place).map_or(default, |number| number.parse().expect("a number"))
    };
    let (rate, seconds) = (argument(1, 5_000), argument(2, 20));
    let dir = std::env::temp_dir().join(format!("maitred-consumer-lag-{}", std::process::id()));
    let node = Node::start(&dir)?;
    let app = node.app(Access::Open, "default")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tenant = runtime.block_on(async {
        app.ensure_default_tenant().await.expect("a fresh folder takes the default tenant");
        let tenant = app.tenant("default").expect("it was just made").number;
        place_orders(&app, tenant, rate, seconds).await;
        tenant
    });
    let mut lags = wait_for_all(&app, tenant, rate * seconds);
    lags.sort_unstable();
    let at = |share: f64| lags[((lags.len() - 1) as f64 * share) as usize];
    let p99 = at(0.99);
    println!(
        "{} orders at {rate}/s for {seconds} s: lag p50 {:?}, p99 {p99:?}, p99.9 {:?}, longest {:?}",
        lags.len(),
        at(0.5),
        at(0.999),
        at(1.0)
    );
    drop(app);
    node.stop();
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
    Ok(if p99 < P99_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn decide(app: &App, tenant: TenantNumber, command: Command) {
    let answer = app.decide((tenant, Actor::System), None, 256, command).await;
    answer.expect("it is decided").result.expect("it is accepted");
}

/// Enters orders at an even rate, each of another buyer, and waits for none of them.
async fn place_orders(app: &App, tenant: TenantNumber, rate: u64, seconds: u64) {
    let (product, sale) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let price = Money { amount: 5, currency: Currency::parse("EUR").expect("a code") };
    let inventory = 1_000_000;
    let create =
        CreateProduct { id: Some(product), name: "x".to_owned(), description: None, price, inventory };
    decide(app, tenant, Command::CreateProduct(create)).await;
    let create = CreateSale {
        id: Some(sale),
        product,
        starts_at: Timestamp::from_millis(0),
        ends_at: Timestamp::from_millis(253_000_000_000_000),
        quantity: 1_000_000,
        buyer_limit: 1,
        hold_seconds: None,
        price: None,
    };
    decide(app, tenant, Command::CreateSale(create)).await;
    let (begun, mut entered) = (Instant::now(), 0);
    while entered < rate * seconds {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        while entered < due.min(rate * seconds) {
            let order = PlaceOrder { sale, buyer: Uuid::from_u128(u128::from(entered) + 1) };
            let entering = app.enter((tenant, Actor::System), None, 256, Command::PlaceOrder(order));
            drop(entering.expect("there is room")); // nobody waits for the answer
            entered += 1;
        }
        tokio::time::sleep(TICK).await;
    }
}

/// The lags of all orders but the first ones, once all are completed.
fn wait_for_all(app: &App, tenant: TenantNumber, count: u64) -> Vec<Duration> {
    let since = Instant::now();
    loop {
        let view = app.engine().view();
        let (mut placed, mut lags, mut first) = (HashMap::new(), Vec::new(), None);
        record::changes(&view, tenant, ChangeId::default(), &mut |change| {
            if change.record.kind == Kind::Order {
                let at = change.version.at.as_micros();
                let begun = *first.get_or_insert(at);
                match placed.remove(&change.record.id) {
                    None => drop(placed.insert(change.record.id, at)),
                    Some(was) => lags.push((was - begun, Duration::from_micros((at - was).unsigned_abs()))),
                }
            }
            ControlFlow::Continue(())
        });
        if lags.len() as u64 == count {
            let warm = |(after, lag): (i64, Duration)| (after >= WARM_UP.as_micros() as i64).then_some(lag);
            return lags.into_iter().filter_map(warm).collect();
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{} of {count} are done", lags.len());
        std::thread::sleep(Duration::from_millis(200));
    }
}
