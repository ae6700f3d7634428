//! Amounts of money: whole minor units of a currency, never fractions.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::violation::Violation;

/// The largest price, in minor units.
pub const PRICE_AMOUNT_MAX: i64 = 1_000_000_000_000;

/// An ISO 4217 code: three upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code; `None` for any other text. Whether such a currency exists is not looked at.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Currency(letters))
    }

    /// How many decimals a major unit has in minor ones (ISO 4217, table A.1, of 2024): none of the yen, three of the
    /// Kuwaiti dinar, two of most.
    pub fn decimals(self) -> u8 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX") // ISO 4217: no currency
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount in a currency, as facts and records keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// In minor units: cents, say.
    pub amount: i64,
    /// Of what.
    pub currency: Currency,
}

/// An amount in a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money)]
pub struct MoneyBody {
    /// In minor units: cents, say.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 4500)]
    pub amount: i64,
    /// An ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    pub currency: String,
}

// The attribute above takes literals alone.
const _: () = assert!(PRICE_AMOUNT_MAX == 1_000_000_000_000);

impl MoneyBody {
    /// The amount, if its currency has the shape of one.
    ///
    /// # Errors
    /// `invalid-currency`, at `/price/currency`.
    pub fn to_price(&self) -> Result<Money, Violation> {
        let currency = Currency::parse(&self.currency).ok_or_else(|| {
            let detail = "currency must be an ISO 4217 code, such as EUR";
            Violation::new("/price/currency", "invalid-currency", detail)
        })?;
        Ok(Money { amount: self.amount, currency })
    }
}

impl From<Money> for MoneyBody {
    fn from(from: Money) -> Self {
        MoneyBody { amount: from.amount, currency: from.currency.as_str().to_owned() }
    }
}

/// Checks a price's amount.
pub fn check_price(found: &mut Vec<Violation>, price: Money) {
    if !(0..=PRICE_AMOUNT_MAX).contains(&price.amount) {
        let detail = format!("a price has 0 to {PRICE_AMOUNT_MAX} minor units");
        found.push(Violation::new("/price/amount", "invalid-price", detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!(Currency::parse("EUR").map(|currency| currency.as_str().to_owned()), Some("EUR".into()));
        for text in ["", "EU", "EURO", "eur", "E1R", "ÄR"] {
            assert_eq!(Currency::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_price_is_neither_negative_nor_boundless() {
        let currency = Currency::parse("EUR").expect("a code");
        for (amount, wrong) in [(-1, 1), (0, 0), (PRICE_AMOUNT_MAX, 0), (PRICE_AMOUNT_MAX + 1, 1)] {
            let mut found = Vec::new();
            check_price(&mut found, Money { amount, currency });
            assert_eq!(found.len(), wrong, "{amount}");
        }
    }
}
