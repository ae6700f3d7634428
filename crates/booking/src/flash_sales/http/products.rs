//! `/v1/tenants/{tenant}/products…`.

use axum::extract::State;
use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_engine::View;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{RecordVersion, price, submit, tag, write_reply};
use crate::app::{Accepted, App, Scope, version_wanted};
use crate::flash_sales::command::{
    Command, CreateProduct, DESCRIPTION_CHARS_MAX, INVENTORY_MAX, NAME_CHARS_MAX, ProductPatch, UpdateProduct,
};
use crate::flash_sales::fact::Product;
use crate::flash_sales::rules::{Effect, Outcome};
use crate::flash_sales::stock;
use crate::flash_sales::view::{self, Versioned};
use crate::json::given;
use crate::money::MoneyBody;
use crate::paging::{self, ListQuery};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{Moment, One, OneQuery};
use crate::record::Kind;

// The attributes below take literals alone.
const _: () =
    assert!(NAME_CHARS_MAX == 200 && DESCRIPTION_CHARS_MAX == 2_000 && INVENTORY_MAX == 1_000_000_000);

/// A product to be brought in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// For people.
    #[schema(max_length = 2000)]
    #[serde(default)]
    description: Option<String>,
    /// What a piece costs, unless a sale says otherwise.
    price: MoneyBody,
    /// How many pieces are brought in.
    #[schema(maximum = 1_000_000_000)]
    inventory: u64,
}

/// New values of a product's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductPatch)]
pub struct ProductPatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The description; null takes it away.
    #[schema(value_type = Option<String>, max_length = 2000)]
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    /// The price. Sales that are there keep theirs.
    #[schema(value_type = MoneyBody, required = false)]
    #[serde(default, deserialize_with = "given")]
    price: Option<MoneyBody>,
    /// How many pieces were ever brought in: not fewer than sales have taken.
    #[schema(value_type = u64, required = false, maximum = 1_000_000_000)]
    #[serde(default, deserialize_with = "given")]
    inventory: Option<u64>,
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductBody {
    id: Uuid,
    /// For people.
    name: String,
    /// For people.
    description: Option<String>,
    /// What a piece costs, unless a sale says otherwise.
    price: MoneyBody,
    /// How many pieces were ever brought in.
    inventory: u64,
    /// Whether it is gone for good.
    deleted: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Product>> for ProductBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Product>) -> Self {
        ProductBody {
            id: is.id,
            name: is.name,
            description: is.description,
            price: is.price.into(),
            inventory: is.inventory,
            deleted: is.deleted,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A product with its stock.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductInStock {
    #[serde(flatten)]
    product: ProductBody,
    /// How many pieces sales can take.
    available: u64,
    /// How many sales have taken and not returned, those that they sold included.
    allocated: u64,
}

impl ProductInStock {
    fn new(product: Versioned<Product>, allocated: u64) -> Self {
        let available = product.is.inventory.saturating_sub(allocated);
        ProductInStock { product: product.into(), available, allocated }
    }

    fn read(view: &View, tenant: TenantNumber, product: Versioned<Product>, moment: Moment) -> Self {
        let allocated = stock::allocated(view, tenant, product.is.id, moment.as_of);
        ProductInStock::new(product, allocated)
    }
}

fn answer(tenant: TenantNumber, app: &App, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Product { effect, product, allocated }, position, replayed } = accepted
    else {
        unreachable!("a command on a product is answered with {accepted:?}");
    };
    let location = (effect == Effect::Created).then(|| path(app, tenant, product.is.id));
    let version = product.version;
    write_reply((version, ProductInStock::new(product, allocated)), location, (position, replayed))
}

fn path(app: &App, tenant: TenantNumber, id: Uuid) -> String {
    let slug = crate::tenants::tenant(&app.engine().view(), tenant).map(|tenant| tenant.profile.slug);
    format!("/v1/tenants/{}/products/{id}", slug.unwrap_or_default())
}

/// Bring in a product.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/products",
    tag = "flash sales",
    operation_id = "products_create",
    params(TenantPath, IdempotencyHeader),
    request_body = ProductInput,
    responses((status = 201, description = "It is there", body = ProductInStock))
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ProductInput>,
) -> Result<Response, Problem> {
    let price = price(&value.price)?;
    let command = CreateProduct {
        id: None,
        name: value.name,
        description: value.description,
        price,
        inventory: value.inventory,
    };
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::CreateProduct(command)).await?;
    Ok(answer(scope.tenant, &app, accepted))
}

/// The products, by id: those that were brought in first come first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/products",
    tag = "flash sales",
    operation_id = "products_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of products; it may be short and have a next one", body = Page<ProductInStock>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let listing = query.open(&app, ("products", None), scope.tenant, at_least).await?;
    let (view, moment) = (&listing.view, listing.moment());
    let after = listing.after.as_deref().map(|place| Uuid::from_bytes(paging::place(place)));
    let found = view::products(view, scope.tenant, after, moment.as_of, query.limit.get());
    let body = |product| ProductInStock::read(view, scope.tenant, product, moment);
    Ok(listing.reply(found.items.into_iter().map(body), found.next))
}

/// One product.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/products/{id}",
    tag = "flash sales",
    operation_id = "products_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The product's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The product", body = ProductInStock),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One) -> Result<Response, Problem> {
    let found = view::product(&one.view, one.who.tenant, id, one.moment.as_of)
        .ok_or_else(|| Problem::not_found("product"))?;
    let version = found.version;
    let body = ProductInStock::read(&one.view, one.who.tenant, found, one.moment);
    Ok(one.reply(tag(version, &body), body))
}

/// Change a product: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/products/{id}",
    tag = "flash sales",
    operation_id = "products_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The product's id"), IfMatchHeader, IdempotencyHeader),
    request_body = ProductPatchInput,
    responses(
        (status = 200, description = "The product as it is now", body = ProductInStock),
        (status = 409, description = "Sales have taken more than the inventory would be"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, product)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ProductPatchInput>,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, product)?;
    let patch = ProductPatch {
        name: value.name,
        description: value.description,
        price: value.price.as_ref().map(price).transpose()?,
        inventory: value.inventory,
    };
    let command = Command::UpdateProduct(UpdateProduct { product, patch, if_version });
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(scope.tenant, &app, accepted))
}

/// Take a product away for good; its history and its orders stay.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/products/{id}",
    tag = "flash sales",
    operation_id = "products_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The product's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = ProductInStock),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It has sales that have not ended"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, product)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, product)?;
    let command = Command::DeleteProduct { product, if_version };
    let accepted = submit(&app, &scope, &attempt, &[], command).await?;
    Ok(answer(scope.tenant, &app, accepted))
}

fn version_now(
    app: &App,
    scope: &Scope,
    preconditions: &Preconditions,
    id: Uuid,
) -> Result<Option<u64>, Problem> {
    version_wanted(preconditions, || {
        Some(view::product(&app.engine().view(), scope.tenant, id, None)?.version)
    })
}

/// Every version of a product, the oldest first, also of one that is gone.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/products/{id}/versions",
    tag = "flash sales",
    operation_id = "products_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The product's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<ProductBody>>),
        (status = 404, description = "It was never there"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::versions::<Product, ProductBody>(&app, &scope, (Kind::Product, id), &query, at_least).await
}
