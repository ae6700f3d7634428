//! What is known of the tries to buy: kept over a restart, written by itself, and not while nothing happens.

use std::path::{Path, PathBuf};

use maitred::assemble::Node;
use maitred::config::Storage;
use maitred_booking::app::{Access, App};
use maitred_booking::flash_sales::statistics::Try;
use maitred_booking::flash_sales::{Command, CreateProduct, CreateSale, Tally, tries};
use maitred_booking::money::{Currency, Money};
use maitred_core::{Actor, TenantNumber, Timestamp};
use tokio::runtime::Runtime;
use uuid::Uuid;

const PRODUCT: Uuid = Uuid::from_u128(0xa);
const SALE: Uuid = Uuid::from_u128(0xb);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // left behind at worst
    }
}

/// A server without a socket.
struct Server {
    node: Node,
    app: App,
    runtime: Runtime,
    tenant: TenantNumber,
}

impl Server {
    fn start(dir: &Path) -> Server {
        let storage = Storage { segment_bytes: 4 << 20, ..Storage::default() };
        let node = Node::start_with(dir, &storage).expect("a folder that can be used");
        let app = node.app(Access::Open, "default").expect("a folder that can be written");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(app.ensure_default_tenant()).expect("there is room for a tenant");
        let tenant = app.tenant("default").expect("it is there").number;
        Server { node, app, runtime, tenant }
    }

    fn announce(&self) {
        let price = Money { amount: 100, currency: Currency::parse("EUR").expect("a code") };
        let name = "Headphones".to_owned();
        let product = CreateProduct { id: Some(PRODUCT), name, description: None, price, inventory: 10 };
        let sale = CreateSale {
            id: Some(SALE),
            product: PRODUCT,
            starts_at: Timestamp::from_millis(0),
            ends_at: Timestamp::from_millis(32_503_680_000_000),
            quantity: 1,
            buyer_limit: 1,
            hold_seconds: None,
            price: None,
        };
        for command in [Command::CreateProduct(product), Command::CreateSale(sale)] {
            let who = (self.tenant, Actor::System);
            self.runtime.block_on(self.app.submit(who, None, 256, command)).expect("accepted");
        }
    }

    /// Counts a try as a handler does.
    fn count(&self, what: Try<'_>) {
        let _inside = self.runtime.enter();
        self.app.count_try(self.tenant, SALE, what);
    }

    fn told(&self) -> Tally {
        self.app.tries(self.tenant, SALE)
    }

    fn kept(&self) -> Tally {
        tries::read(&self.app.engine().view(), self.tenant, SALE)
    }

    fn stop(self) {
        let Server { node, app, runtime, .. } = self;
        drop((app, runtime));
        node.stop();
    }
}

#[test]
fn tries_are_counted_on_after_a_restart() {
    let folder = Folder::new("tries-restart");
    let server = Server::start(&folder.0);
    server.announce();
    server.count(Try::Accepted);
    for _ in 0..3 {
        server.count(Try::Refused("sold-out"));
    }
    let told = server.told();
    assert_eq!((told.count(), told.accepted, told.refused["sold-out"]), (4, 1, 3));
    server.runtime.block_on(server.app.write_tries()).expect("it can be written");
    assert_eq!((server.kept(), server.told()), (told.clone(), told.clone()));
    server.stop();

    let server = Server::start(&folder.0);
    assert_eq!(server.told(), told);
    server.count(Try::Refused("sold-out"));
    let after = server.told();
    assert_eq!((after.count(), after.first_at), (5, told.first_at));
    let sum: u32 = after.seconds.iter().map(|second| second.tries).sum();
    assert_eq!(sum, 5);
    server.runtime.block_on(server.app.write_tries()).expect("it can be written");
    assert_eq!(server.kept(), after);
    server.stop();
}

#[test]
fn tries_are_written_by_themselves_and_once() {
    let folder = Folder::new("tries-written");
    let server = Server::start(&folder.0);
    server.announce();
    let mut positions = server.app.engine().watch();
    for round in 1..=2 {
        server.count(Try::Refused("sold-out"));
        server.count(Try::Refused("sold-out"));
        server.runtime.block_on(async {
            while server.kept().count() < 2 * round {
                positions.changed().await.expect("the engine runs");
            }
        });
        assert_eq!((server.kept(), server.kept().count()), (server.told(), 2 * round));
    }
    server.stop();
}
