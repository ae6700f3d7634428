//! The lines of users, products, sales and orders: a version each, with its number and the instant of its decision.

use std::borrow::Cow;

use maitred_booking::accounts::{self, Account, AccountVersion, PasswordHash, Person, State};
use maitred_booking::flash_sales::{Closed, Closing, Imported, Order, OrderStatus, Product, Sale, Versioned};
use maitred_booking::money::{Money, MoneyBody};
use maitred_web::Time;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Line, Malformed, malformed, write};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Uuid,
    version: u64,
    updated_at: Time,
    credential: u64,
    closed: bool,
    created_at: Time,
    email: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email_given: Option<Cow<'a, str>>,
    password_hash: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Uuid,
    version: u64,
    updated_at: Time,
    latest: bool,
    #[serde(borrow)]
    name: Cow<'a, str>,
    description: Option<Cow<'a, str>>,
    price: MoneyBody,
    inventory: u64,
    deleted: bool,
    created_at: Time,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SaleLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Uuid,
    version: u64,
    updated_at: Time,
    latest: bool,
    product_id: Uuid,
    starts_at: Time,
    ends_at: Time,
    quantity: u32,
    restocked: Option<u32>,
    buyer_limit: u32,
    hold_seconds: Option<u32>,
    price: MoneyBody,
    closing: Option<Cow<'a, str>>,
    closed_at: Option<Time>,
    created_at: Time,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Uuid,
    version: u64,
    updated_at: Time,
    latest: bool,
    sale_id: Uuid,
    product_id: Uuid,
    buyer_id: Uuid,
    #[serde(borrow)]
    status: Cow<'a, str>,
    price: MoneyBody,
    hold_expires_at: Option<Time>,
    placed_at: Time,
    failure: Option<Cow<'a, str>>,
    payment_reference: Option<Cow<'a, str>>,
}

pub(in crate::transfer) fn write_user(
    out: &mut Vec<u8>,
    AccountVersion { version, updated_at, account }: &AccountVersion,
    person: Option<&Person>,
) {
    let line = UserLine {
        kind: "user".into(),
        id: account.id,
        version: *version,
        updated_at: Time(*updated_at),
        credential: account.credential,
        closed: account.closed,
        created_at: Time(account.created_at),
        email: person.map(|person| (&person.email).into()),
        email_given: person.and_then(|person| person.given.as_deref()).map(Cow::from),
        password_hash: person.map(|person| person.password.as_phc().into()),
    };
    write(out, &line);
}

pub(in crate::transfer) fn write_product(
    out: &mut Vec<u8>,
    Versioned { version, updated_at, is }: &Versioned<Product>,
    latest: bool,
) {
    let line = ProductLine {
        kind: "product".into(),
        id: is.id,
        version: *version,
        updated_at: Time(*updated_at),
        latest,
        name: (&is.name).into(),
        description: is.description.as_deref().map(Cow::from),
        price: is.price.into(),
        inventory: is.inventory,
        deleted: is.deleted,
        created_at: Time(is.created_at),
    };
    write(out, &line);
}

pub(in crate::transfer) fn write_sale(
    out: &mut Vec<u8>,
    Versioned { version, updated_at, is }: &Versioned<Sale>,
    latest: bool,
) {
    let line = SaleLine {
        kind: "sale".into(),
        id: is.id,
        version: *version,
        updated_at: Time(*updated_at),
        latest,
        product_id: is.product,
        starts_at: Time(is.starts_at),
        ends_at: Time(is.ends_at),
        quantity: is.quantity,
        restocked: is.restocked,
        buyer_limit: is.buyer_limit,
        hold_seconds: is.hold_seconds,
        price: is.price.into(),
        closing: is.closed.map(|closed| closed.closing.as_str().into()),
        closed_at: is.closed.map(|closed| Time(closed.at)),
        created_at: Time(is.created_at),
    };
    write(out, &line);
}

pub(in crate::transfer) fn write_order(
    out: &mut Vec<u8>,
    Versioned { version, updated_at, is }: &Versioned<Order>,
    latest: bool,
) {
    let line = OrderLine {
        kind: "order".into(),
        id: is.id,
        version: *version,
        updated_at: Time(*updated_at),
        latest,
        sale_id: is.sale,
        product_id: is.product,
        buyer_id: is.buyer,
        status: is.status.as_str().into(),
        price: is.price.into(),
        hold_expires_at: is.hold_expires_at.map(Time),
        placed_at: Time(is.placed_at),
        failure: is.failure.as_deref().map(Cow::from),
        payment_reference: is.payment_reference.as_deref().map(Cow::from),
    };
    write(out, &line);
}

pub(super) fn read_user(line: UserLine<'_>) -> Result<Line, Malformed> {
    let person = match (line.email, line.password_hash) {
        (Some(email), Some(hash)) => {
            let given = line.email_given.map(Cow::into_owned);
            Some(Person { email: email.into(), password: PasswordHash::from_phc(hash), given })
        }
        (None, None) if line.email_given.is_none() => None,
        _ => {
            return Err(malformed(
                "line-invalid",
                "email and password_hash stand together, and email_given beside them",
            ));
        }
    };
    let (id, credential, closed) = (line.id, line.credential, line.closed);
    let account = Account { id, credential, closed, created_at: line.created_at.0 };
    let state = State { account, person };
    Ok(Line::User(accounts::Imported { version: line.version, updated_at: line.updated_at.0, state }))
}

pub(super) fn read_product(line: ProductLine<'_>) -> Result<Line, Malformed> {
    let is = Product {
        id: line.id,
        name: line.name.into(),
        description: line.description.map(Cow::into_owned),
        price: price(&line.price)?,
        inventory: line.inventory,
        deleted: line.deleted,
        created_at: line.created_at.0,
    };
    let (version, updated_at, latest) = (line.version, line.updated_at.0, line.latest);
    Ok(Line::Product(Imported { version, updated_at, latest, is }))
}

pub(super) fn read_sale(line: SaleLine<'_>) -> Result<Line, Malformed> {
    let closed = match (line.closing, line.closed_at) {
        (Some(name), Some(at)) => {
            let closing = Closing::from_name(&name)
                .ok_or_else(|| malformed("line-invalid", format!("no sale is closed by \"{name}\"")))?;
            Some(Closed { closing, at: at.0 })
        }
        (None, None) => None,
        _ => return Err(malformed("line-invalid", "closing and closed_at stand together")),
    };
    let is = Sale {
        id: line.id,
        product: line.product_id,
        starts_at: line.starts_at.0,
        ends_at: line.ends_at.0,
        quantity: line.quantity,
        restocked: line.restocked,
        buyer_limit: line.buyer_limit,
        hold_seconds: line.hold_seconds,
        price: price(&line.price)?,
        closed,
        created_at: line.created_at.0,
    };
    let (version, updated_at, latest) = (line.version, line.updated_at.0, line.latest);
    Ok(Line::Sale(Imported { version, updated_at, latest, is }))
}

pub(super) fn read_order(line: OrderLine<'_>) -> Result<Line, Malformed> {
    let status = OrderStatus::ALL.into_iter().find(|status| status.as_str() == line.status);
    let is = Order {
        id: line.id,
        sale: line.sale_id,
        product: line.product_id,
        buyer: line.buyer_id,
        status: status
            .ok_or_else(|| malformed("line-invalid", format!("no order is \"{}\"", line.status)))?,
        price: price(&line.price)?,
        hold_expires_at: line.hold_expires_at.map(|at| at.0),
        placed_at: line.placed_at.0,
        failure: line.failure.map(Cow::into_owned),
        payment_reference: line.payment_reference.map(Cow::into_owned),
    };
    let (version, updated_at, latest) = (line.version, line.updated_at.0, line.latest);
    Ok(Line::Order(Imported { version, updated_at, latest, is }))
}

pub(super) fn price(body: &MoneyBody) -> Result<Money, Malformed> {
    body.to_price().map_err(|violation| malformed("line-invalid", violation.detail))
}
