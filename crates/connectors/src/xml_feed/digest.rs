//! What tells whether an event is as it was.

use blake3::Hasher;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::record::{Event, Moment, SellMode};

/// BLAKE3 of an event: equal for two feeds that say the same of it, in whatever order and encoding.
pub type Digest = [u8; 32];

/// Changes with what is taken into the digest, or how.
const FORM: &[u8] = b"maitred planlist 1";

impl Event {
    /// The digest of everything that is kept of it, where times on the wall are those of `time_zone`: a provider that
    /// is given another zone has other events.
    pub fn digest(&self, time_zone: &str) -> Digest {
        let mut fields = Fields(Hasher::new());
        fields.0.update(FORM);
        fields.text(time_zone);
        fields.text(&self.id);
        fields.text(&self.title);
        fields.number(match self.sell_mode {
            None => 0,
            Some(SellMode::Online) => 1,
            Some(SellMode::Offline) => 2,
        });
        fields.optional(self.organizer_company_id.as_deref());
        fields.number(self.plans.len() as i64);
        for plan in &self.plans {
            fields.text(&plan.id);
            for moment in [plan.starts_at, plan.ends_at, plan.sell_from, plan.sell_to] {
                fields.moment(moment);
            }
            fields.number(i64::from(plan.sold_out));
            fields.number(plan.zones.len() as i64);
            for zone in &plan.zones {
                fields.text(&zone.id);
                fields.number(i64::from(zone.capacity));
                fields.number(i64::from(zone.price_minor.is_some()));
                fields.number(zone.price_minor.unwrap_or_default());
                fields.text(&zone.name);
                fields.number(i64::from(zone.numbered));
            }
        }
        *fields.0.finalize().as_bytes()
    }
}

/// Fields one behind the other, each of a length that is fixed or stands before it.
struct Fields(Hasher);

impl Fields {
    fn number(&mut self, number: i64) {
        self.0.update(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as i64);
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.number(i64::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn moment(&mut self, moment: Moment) {
        let millis =
            |civil: DateTime| Offset::UTC.to_timestamp(civil).map_or(i64::MIN, |at| at.as_millisecond());
        let (kind, at) = match moment {
            Moment::Civil(civil) => (0, millis(civil)),
            Moment::Instant(at) => (1, at.as_millisecond()),
        };
        self.number(kind);
        self.number(at);
    }
}
