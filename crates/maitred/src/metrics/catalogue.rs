//! What is told of the catalogue's providers.
//!
//! Invariant: at most [`PROVIDERS_SHOWN_MAX`] providers have samples of their own, by tenant and name, which are slugs;
//! `maitred_catalogue_providers` says how many there are.

use std::fmt;

use maitred_booking::app::App;
use maitred_booking::catalogue::status::{RunOutcome, Syncing};
use maitred_booking::catalogue::view::{Scheduled, scheduled};
use maitred_booking::tenants;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{NoExemplar, gauge};

/// The most providers with samples of their own: those of the oldest tenants come first.
pub(super) const PROVIDERS_SHOWN_MAX: usize = 256;

/// A provider, and how its syncing goes.
struct Shown {
    tenant: String,
    of: Scheduled,
    syncing: Syncing,
}

/// How something of a provider is read; none where there is nothing to say.
type OfProvider = fn(&Shown, now_micros: i64) -> Option<f64>;

/// The active providers of all tenants.
pub(super) fn encode(app: &App, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let view = app.engine().view();
    let now = app.engine().now().as_micros();
    let found = scheduled(&view);
    let help = "Providers of events that are synced";
    gauge(encoder, "catalogue_providers", help, None, found.len() as i64)?;
    let shown: Vec<Shown> = found
        .into_iter()
        .take(PROVIDERS_SHOWN_MAX)
        .filter_map(|of| {
            let tenant = tenants::tenant(&view, of.tenant)?.profile.slug;
            let syncing = app.syncing().of((of.tenant, &of.provider.name));
            Some(Shown { tenant, of, syncing })
        })
        .collect();
    let gauges: [(&str, &str, Option<&Unit>, OfProvider); 7] = [
        (
            "catalogue_success_age",
            "Time since a feed of the provider was last carried over as a whole",
            Some(&Unit::Seconds),
            |shown, now| Some((now - shown.of.state.last_success_at?.as_micros()).max(0) as f64 / 1e6),
        ),
        ("catalogue_events", "Events that the provider's feed states", None, |shown, _| {
            Some(shown.of.state.events as f64)
        }),
        (
            "catalogue_events_vanished",
            "Events that the provider's feed stated once and states no more",
            None,
            |shown, _| Some(shown.of.state.vanished as f64),
        ),
        (
            "catalogue_quarantined",
            "Events, plans and zones of the last feed that could not be read",
            None,
            |shown, _| Some(shown.syncing.quarantined as f64),
        ),
        ("catalogue_failures", "Runs since the last success that came to nothing", None, |shown, _| {
            Some(f64::from(shown.of.state.failures))
        }),
        (
            "catalogue_breaker",
            "Whether the provider is left alone because it fails: 0 no, 1 its next fetch decides, 2 yes",
            None,
            |shown, _| Some(f64::from(shown.syncing.breaker as u8)),
        ),
        (
            "catalogue_run_last",
            "How long the provider's last run took, the fetch included",
            Some(&Unit::Seconds),
            |shown, _| Some(shown.syncing.took_last.as_secs_f64()),
        ),
    ];
    for (name, help, unit, value) in gauges {
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for one in &shown {
            if let Some(value) = value(one, now) {
                family.encode_family(&labels(one))?.encode_gauge(&value)?;
            }
        }
    }
    let help = "Runs since the start, by what came of them";
    let mut family = encoder.encode_descriptor("catalogue_runs", help, None, MetricType::Counter)?;
    for one in &shown {
        for (outcome, count) in RunOutcome::ALL.iter().zip(one.syncing.outcomes) {
            let [tenant, provider] = labels(one);
            let labels = [tenant, provider, ("outcome", outcome.as_str())];
            family.encode_family(&labels)?.encode_counter(&count, None::<&NoExemplar>)?;
        }
    }
    let help = "How long these took together, the fetches included";
    let mut family =
        encoder.encode_descriptor("catalogue_run", help, Some(&Unit::Seconds), MetricType::Counter)?;
    for one in &shown {
        let seconds = one.syncing.took.as_secs_f64();
        family.encode_family(&labels(one))?.encode_counter(&seconds, None::<&NoExemplar>)?;
    }
    Ok(())
}

fn labels(shown: &Shown) -> [(&'static str, &str); 2] {
    [("tenant", &shown.tenant), ("provider", &shown.of.provider.name)]
}
