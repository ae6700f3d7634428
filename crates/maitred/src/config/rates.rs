//! How often callers may ask.

use maitred_web::rate::Quotas;

use super::settings;

settings! {
    /// How often callers may ask, in requests a minute; a quota may be spent at once, and fills up again evenly.
    Rates, layer RatesLayer {
        /// Requests a minute from an address without valid credentials, in a tenant; over it 429. 0: any number
        /// [default: 3000]
        address_per_minute: u64 = 3_000, "address-per-minute" "MAITRED_ADDRESS_PER_MINUTE" [value_name = "COUNT"];
        /// Requests a minute of a user; over it 429. 0: any number [default: 600]
        user_per_minute: u64 = 600, "user-per-minute" "MAITRED_USER_PER_MINUTE" [value_name = "COUNT"];
        /// Requests a minute with an API key, in a tenant; over it 429. 0: any number [default: 120000]
        key_per_minute: u64 = 120_000, "key-per-minute" "MAITRED_KEY_PER_MINUTE" [value_name = "COUNT"];
    }
}

impl Rates {
    /// As the limiter takes them. The configuration has checked their range.
    pub fn quotas(&self) -> Quotas {
        let quota = |per_minute: u64| u32::try_from(per_minute).unwrap_or(u32::MAX);
        Quotas {
            address: quota(self.address_per_minute),
            user: quota(self.user_per_minute),
            key: quota(self.key_per_minute),
        }
    }
}
