//! The sale with which the replaced flash-sale service came: its clients know its ids by heart. The demo announces it,
//! and the first `POST /sales/update` of a tenant does.

use maitred_booking::Outcome;
use maitred_booking::app::App;
use maitred_booking::flash_sales::{self, Command, CreateProduct, CreateSale, ResetSale, view};
use maitred_booking::money::{Currency, Money};
use maitred_core::{Actor, Rejection, TenantNumber, Timestamp};
use maitred_engine::batch::Idempotency;
use maitred_engine::{Answer, Unavailable};
use uuid::Uuid;

/// The product.
pub const PRODUCT: Uuid = Uuid::from_u128(0x550e_8400_e29b_41d4_a716_4466_5544_0000);
/// The sale.
pub const SALE: Uuid = Uuid::from_u128(0x550e_8400_e29b_41d4_a716_4466_5544_0001);
/// How many pieces of the product there are.
pub const INVENTORY: u64 = 100;
const NAME: &str = "Premium Wireless Headphones";
const PRICE_CENTS: i64 = 9_999;
const CURRENCY: &str = "USD";
/// The size of a command in memory, roughly.
const COMMAND_BYTES: usize = 256;

/// Why a sale has no other window and stock now.
#[derive(Debug)]
pub enum NotSet {
    /// The rules refuse it.
    Refused(Rejection),
    /// It could not be decided.
    Unavailable(Unavailable),
}

impl From<Unavailable> for NotSet {
    fn from(unavailable: Unavailable) -> Self {
        NotSet::Unavailable(unavailable)
    }
}

/// Announces product and sale, with nothing to sell yet, where they are not there, and says which sale it is. Where the
/// product was deleted, which is for good, both come back under new ids.
///
/// # Errors
/// [`NotSet`].
pub async fn announce(app: &App, who: (TenantNumber, Actor)) -> Result<Uuid, NotSet> {
    let product = match create(app, who, product(Some(PRODUCT))).await? {
        Some(created) => created,
        None if view::product(&app.engine().view(), who.0, PRODUCT, None).is_some() => PRODUCT,
        None => create(app, who, product(None)).await?.expect("an id that is drawn is free"),
    };
    let sale = |id| sale(id, product, app.engine().now());
    let is_of_it = |there: flash_sales::Versioned<flash_sales::Sale>| there.is.product == product;
    Ok(match create(app, who, sale(Some(SALE))).await? {
        Some(created) => created,
        None if view::sale(&app.engine().view(), who.0, SALE, None).is_some_and(is_of_it) => SALE,
        None => create(app, who, sale(None)).await?.expect("an id that is drawn is free"),
    })
}

/// Creates a product or a sale. Its id; `None` where there is a record of it already: somebody else was faster, or it was
/// deleted.
async fn create(app: &App, who: (TenantNumber, Actor), command: Command) -> Result<Option<Uuid>, NotSet> {
    match app.decide(who, None, COMMAND_BYTES, command).await?.result {
        Ok(Outcome::FlashSales(flash_sales::Outcome::Product { product, .. })) => Ok(Some(product.is.id)),
        Ok(Outcome::FlashSales(flash_sales::Outcome::Sale { sale, .. })) => Ok(Some(sale.is.id)),
        Ok(other) => unreachable!("what is created is answered with {other:?}"),
        Err(there) if there.code == "id-taken" => Ok(None),
        Err(rejection) => Err(NotSet::Refused(rejection)),
    }
}

fn product(id: Option<Uuid>) -> Command {
    let currency = Currency::parse(CURRENCY).expect("a code");
    Command::CreateProduct(CreateProduct {
        id,
        name: NAME.to_owned(),
        description: None,
        price: Money { amount: PRICE_CENTS, currency },
        inventory: INVENTORY,
    })
}

fn sale(id: Option<Uuid>, product: Uuid, now: Timestamp) -> Command {
    Command::CreateSale(CreateSale {
        id,
        product,
        starts_at: now,
        ends_at: Timestamp::from_millis(now.as_millis() + 1),
        quantity: 0,
        buyer_limit: 1,
        hold_seconds: None,
        price: None,
    })
}

/// Gives a sale another window, and so many pieces that are left. True where that is a remembered answer.
///
/// # Errors
/// [`NotSet`]; nothing was changed.
pub async fn set(
    app: &App,
    who: (TenantNumber, Actor),
    reset: ResetSale,
    idempotency: Option<Idempotency>,
) -> Result<(flash_sales::Versioned<flash_sales::Sale>, bool), NotSet> {
    let Answer { result, replayed, .. } =
        app.decide(who, idempotency, COMMAND_BYTES, Command::ResetSale(reset)).await?;
    match result {
        Ok(Outcome::FlashSales(flash_sales::Outcome::Sale { sale, .. })) => Ok((sale, replayed)),
        Ok(other) => unreachable!("the reset of a sale is answered with {other:?}"),
        Err(rejection) => Err(NotSet::Refused(rejection)),
    }
}
