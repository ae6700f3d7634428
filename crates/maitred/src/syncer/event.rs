//! An event of a feed as the catalogue keeps it: its times resolved in the provider's zone.

use jiff::tz::TimeZone;
use maitred_booking::catalogue::{FeedEvent, FeedPlan, FeedZone, SellMode};
use maitred_connectors::xml_feed::{self, Changed, Moment};
use maitred_core::Timestamp;
use maitred_core::time::{TIMESTAMP_MAX, TIMESTAMP_MIN};

/// What a feed states of an event. A time on the wall that a zone leaves out moves on by what is left out; of one that
/// there is twice the first is meant (RFC 5545, section 3.3.5).
pub(super) fn resolved(changed: Changed, zone: &TimeZone) -> FeedEvent {
    let Changed { event, digest, .. } = changed;
    FeedEvent {
        external_id: event.id,
        title: event.title,
        sell_mode: event.sell_mode.map(|mode| match mode {
            xml_feed::SellMode::Online => SellMode::Online,
            xml_feed::SellMode::Offline => SellMode::Offline,
        }),
        organizer: event.organizer_company_id,
        plans: event.plans.into_iter().map(|stated| plan(stated, zone)).collect(),
        digest,
    }
}

fn plan(plan: xml_feed::Plan, zone: &TimeZone) -> FeedPlan {
    let zones = plan.zones.into_iter().map(|zone| FeedZone {
        id: zone.id,
        name: zone.name,
        capacity: zone.capacity,
        price: zone.price_minor,
        numbered: zone.numbered,
    });
    FeedPlan {
        id: plan.id,
        starts_at: instant(plan.starts_at, zone),
        ends_at: instant(plan.ends_at, zone),
        sell_from: Some(instant(plan.sell_from, zone)),
        sell_to: Some(instant(plan.sell_to, zone)),
        sold_out: plan.sold_out,
        zones: zones.collect(),
    }
}

fn instant(moment: Moment, zone: &TimeZone) -> Timestamp {
    let at = match moment {
        Moment::Instant(at) => at.as_microsecond(),
        Moment::Civil(civil) => match zone.to_ambiguous_zoned(civil).compatible() {
            Ok(at) => at.timestamp().as_microsecond(),
            // Within a day of the ends of the calendar.
            Err(_) if civil.year() > 0 => TIMESTAMP_MAX.as_micros(),
            Err(_) => TIMESTAMP_MIN.as_micros(),
        },
    };
    Timestamp::from_micros(at).clamp(TIMESTAMP_MIN, TIMESTAMP_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_the_wall_are_those_of_the_provider() {
        let zone = TimeZone::get("Europe/Madrid").expect("a zone");
        let at = |text: &str| instant(Moment::Civil(text.parse().expect("a civil time")), &zone).to_string();
        assert_eq!(at("2021-06-30T21:00:00"), "2021-06-30T19:00:00.000Z");
        assert_eq!(at("2021-12-30T21:00:00"), "2021-12-30T20:00:00.000Z");
        assert_eq!(
            at("2021-03-28T02:30:00"),
            "2021-03-28T01:30:00.000Z",
            "there is no such time: an hour on"
        );
        assert_eq!(at("2021-10-31T02:30:00"), "2021-10-31T00:30:00.000Z", "there are two: the first");
        assert_eq!(at("0001-01-01T00:00:00"), "0001-01-01T00:14:44.000Z");
        let told = Moment::Instant("2021-06-30T10:00:00+05:00".parse().expect("an instant"));
        assert_eq!(instant(told, &zone).to_string(), "2021-06-30T05:00:00.000Z");
    }
}
