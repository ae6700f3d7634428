//! How long one purchase takes to be decided and applied, on a view in memory, in a sale of so many pieces (10,000
//! without a number): `cargo run --release -p maitred-booking --example purchase_speed -- 10000`. There is no log, no
//! HTTP and no disk in it.

use std::hint::black_box;
use std::time::Instant;

use maitred_booking::flash_sales::{Command, CreateProduct, CreateSale, PlaceOrder};
use maitred_booking::money::{Currency, Money};
use maitred_booking::testing::MemoryView;
use maitred_booking::{Booking, Fact};
use maitred_core::{Actor, At, Context, Domain, Ids, Recorded, TenantNumber, Timestamp};
use uuid::Uuid;

const START: i64 = 1_700_000_000_000_000;

fn main() {
    let pieces = std::env::args().nth(1).map_or(10_000, |count| count.parse().expect("a number"));
    let mut bench = Bench { view: MemoryView::default(), seq: 0, bytes: 0 };
    let product = Uuid::from_u128(1);
    let price = Money { amount: 9_999, currency: Currency::parse("USD").expect("a code") };
    let (name, description) = ("Headphones".to_owned(), None);
    let inventory = 2 * u64::from(pieces);
    let create = CreateProduct { id: Some(product), name, description, price, inventory };
    assert!(bench.submit(&Command::CreateProduct(create)));
    for (sale, hold_seconds) in [(Uuid::from_u128(2), None), (Uuid::from_u128(3), Some(600))] {
        let create = CreateSale {
            id: Some(sale),
            product,
            starts_at: Timestamp::from_micros(START),
            ends_at: Timestamp::from_micros(START + 3_600_000_000),
            quantity: pieces,
            buyer_limit: 1,
            hold_seconds,
            price: None,
        };
        assert!(bench.submit(&Command::CreateSale(create)));
        let name = if hold_seconds.is_some() { "hold" } else { "buy" };
        let buy = |buyer: u32| {
            let hash = blake3::hash(&buyer.to_le_bytes());
            let (id, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
            Command::PlaceOrder(PlaceOrder { sale, buyer: Uuid::from_bytes(*id) })
        };
        bench.run(name, &(1..pieces).map(buy).collect::<Vec<_>>());
        bench.run("limit reached", &(1..pieces).map(buy).collect::<Vec<_>>());
        bench.run("the last", &[buy(pieces)]);
        bench.run("sold out", &(0..pieces).map(|buyer| buy(buyer + pieces)).collect::<Vec<_>>());
    }
}

struct Bench {
    view: MemoryView,
    seq: u64,
    bytes: usize,
}

impl Bench {
    fn run(&mut self, name: &str, commands: &[Command]) {
        self.bytes = 0;
        let start = Instant::now();
        let accepted = commands.iter().filter(|command| self.submit(command)).count();
        let nanos = start.elapsed().as_nanos() / commands.len() as u128;
        let bytes = self.bytes / commands.len();
        println!(
            "{name:>16}: {nanos:>5} ns, {bytes:>3} fact bytes each; {accepted} of {} accepted",
            commands.len()
        );
    }

    fn submit(&mut self, command: &Command) -> bool {
        self.seq += 1;
        let timestamp = Timestamp::from_micros(START + self.seq as i64);
        let ids = Ids::new(timestamp, self.seq);
        let tenant = TenantNumber(1);
        let cx = Context { timestamp, tenant, actor: Actor::Anonymous, ids };
        let command = maitred_booking::Command::FlashSales(command.clone());
        let Ok(decision) = Booking.decide(&self.view, &command, &cx) else { return false };
        let mut body = Vec::with_capacity(256);
        for (ordinal, fact) in decision.facts.iter().enumerate() {
            Fact::encode(fact, &mut body);
            let at = At { tenant, seq: self.seq, ordinal: ordinal as u32, timestamp };
            Booking.apply(&mut self.view, fact, at);
        }
        self.bytes += body.len();
        black_box(decision.outcome);
        true
    }
}
