//! What is told of mail. No label names a tenant: there may be any number of them.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use maitred_booking::app::App;
use maitred_booking::mail::view;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{NoExemplar, gauge};

/// Mails, those of all tenants together.
pub(super) fn encode(app: &App, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut waiting = 0_i64;
    view::tenants(&app.engine().view(), &mut |_, counts| waiting += i64::from(counts.waiting));
    gauge(encoder, "mails_waiting", "Mails that are queued and not sent", None, waiting)?;
    let status = &app.mailing().status;
    let help = "Attempts at a mail, by what came of them";
    let mut family = encoder.encode_descriptor("mail_attempts", help, None, MetricType::Counter)?;
    for (outcome, count) in [
        ("sent", &status.sent),
        ("put_off", &status.put_off),
        ("refused", &status.refused),
        ("no_server", &status.no_server),
    ] {
        let count = count.load(Relaxed);
        family.encode_family(&[("outcome", outcome)])?.encode_counter(&count, None::<&NoExemplar>)?;
    }
    Ok(())
}
