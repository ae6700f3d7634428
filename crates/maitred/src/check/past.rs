//! A time that is over: where the log ended then, and the reconciliation of each sale as it stood.
//!
//! Invariant: nothing here asks the tables of the past that the view keeps. The view is the one of then, rebuilt from
//! the log up to there, so that what the API answers with `as_of` has something to be compared with.

use maitred_booking::flash_sales::reconciliation;
use maitred_core::{Position, Seq, TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_engine::batch::{GENESIS, Sealed};
use maitred_engine::log::{LogReader, Tail};
use maitred_web::AsOf;

use super::invariants::{Found, Problems};
use super::stock;
use crate::assemble::PARTITION;

/// So many sales are told one by one; the others are counted.
const SALES_TOLD_MAX: usize = 100;

/// Where the log ended, and the instant that is meant.
pub(super) struct End {
    pub(super) tail: Tail,
    pub(super) at: Timestamp,
}

/// The end of the log as of then: the last batch that was decided at or before an instant, or the one of a position.
pub(super) fn end(log: &dyn LogReader, as_of: AsOf) -> Result<End, String> {
    let newest = log.tail().0;
    let (seq, at) = match as_of {
        AsOf::Instant(instant) => (last_until(log, newest, instant)?, Some(instant)),
        AsOf::Position(Position { partition: PARTITION, seq }) if seq <= newest => (seq, None),
        AsOf::Position(position) => {
            return Err(format!(
                "there is no position {position} in this log, which ends at {PARTITION}.{newest}"
            ));
        }
    };
    if seq == 0 {
        return Ok(End { tail: (0, GENESIS), at: at.unwrap_or_default() });
    }
    let batch = batch(log, seq)?;
    Ok(End { tail: (seq, batch.hash), at: at.unwrap_or(batch.header.timestamp) })
}

/// Timestamps rise with the batches, so that halving finds the last one.
fn last_until(log: &dyn LogReader, newest: Seq, instant: Timestamp) -> Result<Seq, String> {
    let (mut from, mut to) = (0, newest);
    while from < to {
        let middle = to - (to - from) / 2;
        if batch(log, middle)?.header.timestamp <= instant {
            from = middle;
        } else {
            to = middle - 1;
        }
    }
    Ok(from)
}

fn batch(log: &dyn LogReader, seq: Seq) -> Result<Sealed, String> {
    let read = log.read(seq, 1).map_err(|error| format!("the log: {error}"))?;
    read.into_iter().next().ok_or_else(|| format!("the log: batch {seq} is not there"))
}

/// Reconciles every sale of the view at an instant: holds that were over then are settled.
pub(super) fn reconcile(view: &View, at: Timestamp) -> Found {
    let (mut found, mut problems) = (Found::default(), Problems::default());
    let sales = stock::sales(view);
    for (tenant, id) in &sales {
        let reconciled = reconciliation::reconcile(view, TenantNumber(*tenant), *id, at, None);
        let place = format!("tenant {tenant}, sale {id}");
        let Some(reconciled) = reconciled else {
            problems.add(|| format!("{place}: it cannot be reconciled"));
            continue;
        };
        for difference in &reconciled.differences {
            problems.add(|| format!("{place}: {difference} (I6)"));
        }
        if reconciled.differences.is_empty() && found.good.len() < SALES_TOLD_MAX {
            let stock = reconciled.stock;
            found.good.push(format!(
                "{place}: {} issued = {} sold + {} held + {} left + {} returned; {} orders, {} buyers with at most {} \
                 each",
                reconciled.issued,
                stock.sold,
                stock.held,
                stock.free,
                stock.returned,
                reconciled.orders.all(),
                reconciled.buyers,
                reconciled.most_per_buyer,
            ));
        }
    }
    problems.settle(
        format!("reconciliation: {} sales at {at}; each has what it was given", sales.len()),
        &mut found,
    );
    found
}
