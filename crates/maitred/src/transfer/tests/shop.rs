//! Users, products, sales and orders in exports and imports.

use maitred_booking::accounts::{self, ChangePassword, CloseAccount, PasswordHash, RegisterUser};
use maitred_booking::flash_sales::{
    self, CreateProduct, CreateSale, FailOrder, PlaceOrder, ProductPatch, ResetSale, SalePatch,
    UpdateProduct, UpdateSale, reconcile, stock,
};
use maitred_booking::money::{Currency, Money};
use maitred_core::Rejection;
use uuid::Uuid;

use super::*;

const TENANT: TenantNumber = TenantNumber(1);
const PRODUCT: Uuid = Uuid::from_u128(0xa);
/// Holds what is bought for an hour.
const HOLDING: Uuid = Uuid::from_u128(0xb1);
/// Holds nothing.
const PLAIN: Uuid = Uuid::from_u128(0xb2);
/// Was ended, and is reset.
const AGAIN: Uuid = Uuid::from_u128(0xb3);
const STRANGER: Uuid = Uuid::from_u128(0x77);

fn hash(last: char) -> PasswordHash {
    PasswordHash::from_phc(format!("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAA{last}"))
}

fn buy(sale: Uuid, buyer: Uuid) -> flash_sales::Command {
    flash_sales::Command::PlaceOrder(PlaceOrder { sale, buyer })
}

impl Server {
    fn refused(&self, command: impl std::convert::Into<Command>) -> Rejection {
        let decided = self.app.decide((TENANT, Actor::System), None, 256, command);
        self.runtime.block_on(decided).expect("decided").result.expect_err("refused")
    }

    fn register(&self, email: &str) -> Uuid {
        let command = RegisterUser { email: email.to_owned(), password: hash('A') };
        match self.submit(TENANT, accounts::Command::Register(command)) {
            Outcome::Accounts(outcome) => outcome.account.account.id,
            other => panic!("{other:?}"),
        }
    }

    fn order(&self, command: flash_sales::Command) -> Uuid {
        match self.submit(TENANT, command) {
            Outcome::FlashSales(flash_sales::Outcome::Order { order, .. }) => order.is.id,
            other => panic!("{other:?}"),
        }
    }

    fn free(&self, sale: Uuid) -> u32 {
        stock::stock(&self.app.engine().view(), TENANT, sale).expect("the sale is there").free
    }

    /// A salon that sells, with everything that can become of a user, a product, a sale and an order.
    fn shop() -> Self {
        let server = Server::salon();
        let now = server.app.engine().now();
        let at = |seconds: i64| Timestamp::from_micros(now.as_micros() + seconds * 1_000_000 + 123);
        let price = Money { amount: 4_999, currency: Currency::parse("EUR").expect("a code") };
        let [ann, bob, cy] =
            ["ann@example.com", "bob@example.com", "cy@example.com"].map(|email| server.register(email));
        let change = ChangePassword { user: ann, password: hash('g'), credential: 1 };
        server.submit(TENANT, accounts::Command::ChangePassword(change));
        server.submit(TENANT, accounts::Command::Close(CloseAccount { user: cy }));
        server.register("cy@example.com");

        let product = |id, name: &str| {
            let (name, description) = (name.to_owned(), Some("Die \"guten\"\n".to_owned()));
            flash_sales::Command::CreateProduct(CreateProduct {
                id: Some(id),
                name,
                description,
                price,
                inventory: 30,
            })
        };
        server.submit(TENANT, product(PRODUCT, "Kopfhörer"));
        let gone = Uuid::from_u128(0xdead);
        server.submit(TENANT, product(gone, "Kabel"));
        server.submit(TENANT, flash_sales::Command::DeleteProduct { product: gone, if_version: None });
        let patch = ProductPatch { description: Some(None), inventory: Some(20), ..ProductPatch::default() };
        let update = UpdateProduct { product: PRODUCT, patch, if_version: None };
        server.submit(TENANT, flash_sales::Command::UpdateProduct(update));
        for (id, buyer_limit, hold_seconds) in [(HOLDING, 2, Some(3_600)), (PLAIN, 1, None), (AGAIN, 1, None)]
        {
            server.submit(
                TENANT,
                flash_sales::Command::CreateSale(CreateSale {
                    id: Some(id),
                    product: PRODUCT,
                    starts_at: at(-60),
                    ends_at: at(86_400),
                    quantity: 5,
                    buyer_limit,
                    hold_seconds,
                    price: None,
                }),
            );
        }
        let paid = server.order(buy(HOLDING, ann));
        server.order(buy(HOLDING, ann));
        let given_back = server.order(buy(HOLDING, bob));
        let reference = Some("till-7".to_owned());
        server.order(flash_sales::Command::PayOrder { order: paid, buyer: None, reference });
        server.order(flash_sales::Command::CancelOrder { order: given_back, buyer: None });
        let completed = server.order(buy(PLAIN, ann));
        server.order(flash_sales::Command::CompleteOrder { order: completed });
        let failed = server.order(buy(PLAIN, cy));
        server.order(flash_sales::Command::FailOrder(FailOrder { order: failed, reason: "gone".to_owned() }));
        server.order(buy(PLAIN, bob));
        let patch = SalePatch { quantity: Some(4), ..SalePatch::default() };
        let update = UpdateSale { sale: PLAIN, patch, if_version: None };
        server.submit(TENANT, flash_sales::Command::UpdateSale(update));
        server.order(buy(AGAIN, ann));
        server.submit(TENANT, flash_sales::Command::EndSale { sale: AGAIN, if_version: None });
        let reset = ResetSale { sale: AGAIN, starts_at: at(-60), ends_at: at(3_600), left: 2 };
        server.submit(TENANT, flash_sales::Command::ResetSale(reset));
        server
    }
}

#[test]
fn users_products_sales_and_orders_are_exported_imported_and_exported_again_alike() {
    let shop = Server::shop();
    let exported = shop.export(1);
    let count = |kind: &str| exported.matches(&format!("{{\"type\":\"{kind}\",")).count();
    assert_eq!(
        ["user", "product", "sale", "order", "appointment"].map(count),
        [6, 4, 6, 11, 8],
        "{exported}"
    );
    let copy = Server::new();
    let (tally, refused) = copy.import(&exported, Destination::Slug(None));
    assert_eq!((tally, refused), (Tally { imported: 36, unchanged: 0, refused: 0 }, vec![]));
    assert!(copy.export(usize::MAX / 2) == exported, "the same bytes");
    let position = copy.app.engine().position();
    let again = copy.import(&exported, Destination::Slug(None));
    assert_eq!(again, (Tally { imported: 0, unchanged: 36, refused: 0 }, vec![]));
    let there = shop.import(&exported, Destination::Slug(None));
    assert_eq!(
        there,
        (Tally { imported: 0, unchanged: 36, refused: 0 }, vec![]),
        "not even where it came from"
    );
    assert_eq!(copy.app.engine().position(), position, "nothing was written");
}

#[test]
fn counts_and_limits_are_right_after_an_import() {
    let shop = Server::shop();
    let copy = Server::new();
    copy.import(&shop.export(1 << 20), Destination::Slug(None));
    let ann =
        accounts::user_by_email(&copy.app.engine().view(), TENANT, "ann@example.com").expect("she is there");
    let ann = ann.account.account.id;
    for (sale, left) in [(HOLDING, 3), (PLAIN, 2), (AGAIN, 2)] {
        assert_eq!((copy.free(sale), shop.free(sale)), (left, left));
        assert_eq!(copy.refused(buy(sale, ann)).code, "buyer-limit-reached");
        for n in 0..left {
            copy.order(buy(sale, Uuid::from_u128(STRANGER.as_u128() + u128::from(n))));
        }
        assert_eq!(copy.refused(buy(sale, Uuid::from_u128(1))).code, "sold-out");
        let view = copy.app.engine().view();
        let found = reconcile(&view, TENANT, sale, copy.app.engine().now(), None).expect("it is there");
        assert_eq!(found.differences, [""; 0]);
    }
    let allocated = |server: &Server| stock::allocated(&server.app.engine().view(), TENANT, PRODUCT, None);
    assert_eq!((allocated(&copy), allocated(&shop)), (12, 12));
}

#[test]
fn users_keep_their_password_and_of_a_closed_account_nothing_personal_is_exported() {
    let shop = Server::shop();
    let open = shop.app.engine().view().seq();
    let exported = shop.export(1 << 20);
    let copy = Server::new();
    copy.import(&exported, Destination::Slug(None));
    let found =
        accounts::user_by_email(&copy.app.engine().view(), TENANT, "ann@example.com").expect("she is there");
    assert_eq!((found.password, found.account.account.credential, found.account.version), (hash('g'), 2, 2));
    let cy =
        accounts::user_by_email(&copy.app.engine().view(), TENANT, "cy@example.com").expect("the second one");
    assert_eq!((cy.account.version, cy.account.account.closed), (1, false));

    // A past in which an account was open does not bring back what was removed since.
    shop.submit(TENANT, accounts::Command::Close(CloseAccount { user: found.account.account.id }));
    let view = shop.app.engine().view();
    let (mut then, mut out) = (Export::new(&view, TENANT, open).expect("it was there"), Vec::new());
    while then.fill(&view, &mut out, 1 << 20) {}
    let then = String::from_utf8(out).expect("UTF-8");
    assert!(exported.contains("ann@example.com") && !then.contains("ann@example.com"), "{then}");
    let other = Server::new();
    let (tally, refused) = other.import(&then, Destination::Slug(None));
    assert_eq!((tally.imported, refused), (34, vec![]));
}

#[test]
fn lines_of_a_shop_that_break_a_rule_are_refused_one_by_one() {
    let exported = Server::shop().export(1 << 20);
    let mut seen = Vec::new();
    for (from, to, code) in [
        ("\"status\":\"pending\"", "\"status\":\"maybe\"", "line-invalid"),
        ("\"closing\":\"ended\"", "\"closing\":\"gone\"", "line-invalid"),
        ("\"closed_at\":\"", "\"closed_at\":\"x", "line-invalid"),
        ("\"currency\":\"EUR\"},\"inventory\"", "\"currency\":\"euro\"},\"inventory\"", "line-invalid"),
        ("\"password_hash\":\"$argon2id$", "\"password_hash\":\"$argon2i$", "invalid-password"),
        ("\"email\":\"bob@example.com\"", "\"email\":\"ann@example.com\"", "email-taken"),
        ("\"email\":\"bob@example.com\"", "\"email\":null", "line-invalid"),
        ("\"status\":\"paid\"", "\"status\":\"expired\",\"paid\":true", "line-invalid"),
    ] {
        let broken = exported.replacen(from, to, 1);
        assert_ne!(broken, exported, "{from} stands in an export");
        let (_, refused) = Server::new().import(&broken, Destination::Slug(None));
        assert!(refused.iter().any(|refused| refused.code == code), "{to}: {refused:?}");
        seen.push(code);
    }
    assert_eq!(seen.len(), 8);
}
