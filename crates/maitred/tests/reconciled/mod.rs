//! What every test of a server ends with, whether or not it thinks of it: each sale's reconciliation is green. The
//! servers of `it` and of `drop_in` ask for it when they are dropped.

use maitred_booking::app::App;
use maitred_booking::flash_sales::{reconcile, view};
use maitred_booking::tenants;
use maitred_core::TenantNumber;
use uuid::Uuid;

/// More sales and tenants than a test has.
const ALL: usize = 10_000;

/// Every sale of every tenant that is open: its slug, its number, and the sale's id.
pub(crate) fn sales(app: &App) -> Vec<(String, TenantNumber, Uuid)> {
    let now = app.engine().view();
    let mut found = Vec::new();
    for tenant in tenants::tenants(&now, TenantNumber::SYSTEM, ALL) {
        let number = TenantNumber(tenant.profile.number);
        for sale in view::sales(&now, number, None, None, ALL, &|_| true).items {
            found.push((tenant.profile.slug.clone(), number, sale.is.id));
        }
    }
    found
}

/// What does not agree, of every sale of every tenant.
pub(crate) fn differences(app: &App) -> Vec<String> {
    let (now, at) = (app.engine().view(), app.engine().now());
    let reconciled = sales(app).into_iter().map(|(slug, tenant, sale)| {
        let found = reconcile(&now, tenant, sale, at, None).map(|found| found.differences);
        (format!("sale {sale} of {slug}"), found.unwrap_or_else(|| vec!["it is not there".to_owned()]))
    });
    let told =
        |(sale, differences): (String, Vec<String>)| (!differences.is_empty()).then_some((sale, differences));
    reconciled
        .filter_map(told)
        .map(|(sale, differences)| format!("{sale}: {}", differences.join("; ")))
        .collect()
}
