//! What is told of webhooks. No label names a tenant: there may be any number of them.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use maitred_booking::app::App;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{NoExemplar, gauge};

/// Deliveries to webhooks, those of all tenants together.
pub(super) fn encode(app: &App, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let status = &app.webhooks().status;
    let help = "Changes that are read and not delivered, a failing record counting as one";
    gauge(encoder, "webhook_deliveries_waiting", help, None, status.depth.load(Relaxed) as i64)?;
    let oldest = status.oldest_age(app.engine().now()).as_secs_f64();
    encoder
        .encode_descriptor(
            "webhook_deliveries_oldest",
            "Age of the oldest of these",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?
        .encode_gauge(&oldest)?;
    let mut family = encoder.encode_descriptor(
        "webhook_attempts",
        "Attempts at a delivery, by what came of them",
        None,
        MetricType::Counter,
    )?;
    for (outcome, count) in [
        ("delivered", &status.delivered),
        ("refused", &status.refused),
        ("unanswered", &status.unanswered),
        ("guarded", &status.guarded),
    ] {
        let count = count.load(Relaxed);
        family.encode_family(&[("outcome", outcome)])?.encode_counter(&count, None::<&NoExemplar>)?;
    }
    Ok(())
}
