//! Every fault of a body that was refused, not the first alone.
//!
//! serde ends with the first value that does not fit. To find the next one, the value at fault is replaced by one that
//! fits, whatever it says, and the whole is read again: what is made up is thrown away. The good path knows nothing
//! of this.
//!
//! Invariants:
//! - The first fault is told whatever happens here; further ones only where they are found within the bounds.
//! - No fault is told of a place where something was made up.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{message, pointer_to};
use crate::objects::Objects;

/// The most faults of one body that are told.
pub(super) const FAULTS_MAX: usize = 16;
/// The longest body in which more than one is looked for.
const BODY_BYTES_MAX: usize = 8 << 10;
/// How often such a body is read at most: a few milliseconds in all.
const READS_MAX: usize = 256;
/// How deep a value is made up.
const DEPTH_MAX: usize = 4;

/// What is wrong, and where.
pub(super) struct Fault {
    pub(super) pointer: String,
    pub(super) detail: String,
}

/// The faults behind the first, in the order in which serde meets them.
pub(super) fn behind<T: DeserializeOwned>(bytes: &[u8], first: &str) -> Vec<Fault> {
    let mut found = Vec::new();
    if bytes.len() > BODY_BYTES_MAX {
        return found;
    }
    let Ok(value) = serde_json::from_slice(bytes) else { return found };
    let mut body = Body { value, reads_left: READS_MAX };
    let mut at = first.to_owned();
    while let Mended::Until(fault) = body.mend::<T>(&at, DEPTH_MAX) {
        at.clone_from(&fault.pointer);
        // What was taken away for the time being is missing at the end: that is no other fault.
        if at != first && !found.iter().any(|known: &Fault| known.pointer == at) {
            found.push(fault);
        }
        if found.len() + 1 >= FAULTS_MAX {
            break;
        }
    }
    found
}

struct Body {
    value: Value,
    reads_left: usize,
}

/// What came of making up the value of a place.
enum Mended {
    /// Nothing fits there, as far as was tried.
    Not,
    /// The body is sound now.
    Sound,
    /// The next fault is elsewhere.
    Until(Fault),
}

impl Body {
    /// Puts something at `pointer` that fits there.
    fn mend<T: DeserializeOwned>(&mut self, pointer: &str, depth: usize) -> Mended {
        if pointer.is_empty() || depth == 0 {
            return Mended::Not;
        }
        let below = format!("{pointer}/");
        // Nothing at all is what fits an unknown field, and one that need not be there.
        let mut made_up: Vec<_> = [None].into_iter().chain(usual().map(Some)).collect();
        let mut next = 0;
        while let Some(one) = made_up.get(next).cloned() {
            next += 1;
            if !self.put(pointer, one) {
                continue;
            }
            let Some(mut fault) = self.read::<T>() else { return Mended::Sound };
            // A part of what was made up is at fault: that is made up too, as far as it goes.
            while fault.pointer.starts_with(&below) {
                match self.mend::<T>(&fault.pointer, depth - 1) {
                    Mended::Sound => return Mended::Sound,
                    Mended::Until(other) => fault = other,
                    Mended::Not => break,
                }
            }
            if fault.pointer != pointer && !fault.pointer.starts_with(&below) {
                // What holds this place refuses it as a whole: there is nothing to go on from.
                let is_around = pointer.starts_with(&format!("{}/", fault.pointer));
                return if is_around || self.reads_left == 0 { Mended::Not } else { Mended::Until(fault) };
            }
            if let Some(known) = known_value(&fault.detail)
                && !made_up.contains(&Some(known.clone()))
            {
                made_up.push(Some(known));
            }
        }
        Mended::Not
    }

    /// Puts a value, or nothing, where `pointer` points. Whether there is such a place.
    fn put(&mut self, pointer: &str, value: Option<Value>) -> bool {
        let Some((parent, last)) = pointer.rsplit_once('/') else { return false };
        let last = last.replace("~1", "/").replace("~0", "~");
        match (self.value.pointer_mut(parent), value) {
            (Some(Value::Object(members)), Some(value)) => {
                members.insert(last, value);
                true
            }
            (Some(Value::Object(members)), None) => {
                members.remove(&last);
                true
            }
            (Some(Value::Array(items)), Some(value)) => {
                let item = last.parse().ok().and_then(|at: usize| items.get_mut(at));
                item.map(|item| *item = value).is_some()
            }
            _ => false,
        }
    }

    fn read<T: DeserializeOwned>(&mut self) -> Option<Fault> {
        self.reads_left = self.reads_left.saturating_sub(1);
        if self.reads_left == 0 {
            // As if the whole were wrong: nothing can be made up for that.
            return Some(Fault { pointer: String::new(), detail: String::new() });
        }
        let error = serde_path_to_error::deserialize::<_, T>(Objects(&self.value)).err()?;
        Some(Fault { pointer: pointer_to(error.path(), error.inner()), detail: message(error.inner()) })
    }
}

/// One of these fits most fields.
fn usual() -> impl Iterator<Item = Value> {
    let texts =
        ["2030-01-01T00:00:00Z", "2030-01-01", "09:00", "01890000-0000-7000-8000-000000000000", "", "0.1"];
    let plain = [json!(null), json!(1), json!(true), json!([]), Value::Object(Map::new())];
    plain.into_iter().chain(texts.map(Value::from))
}

/// The first of the values that a refusal names as those that there are.
fn known_value(detail: &str) -> Option<Value> {
    let (_, expected) = detail.strip_prefix("unknown value `")?.split_once(", expected ")?;
    expected.split('`').nth(1).map(Value::from)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what is read is looked at for its faults alone")]
    struct Sample {
        name: String,
        role: Role,
        price: Price,
        starts_at: crate::Time,
        #[serde(default)]
        items: Vec<Price>,
        note: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what is read is looked at for its faults alone")]
    struct Price {
        amount: u32,
        currency: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Role {
        Staff,
        Owner,
    }

    /// The places of all faults.
    fn check(body: &Value) -> Vec<String> {
        let problem =
            super::super::parse::<Sample>(body.to_string().as_bytes()).err().expect("it is refused");
        let errors: Value = serde_json::from_str(&problem.to_json(None)).expect("JSON");
        let places = errors["errors"].as_array().expect("errors").iter();
        places.map(|error| error["pointer"].as_str().expect("a place").to_owned()).collect()
    }

    fn good() -> Value {
        json!({
            "name": "x", "role": "staff", "price": {"amount": 1, "currency": "EUR"},
            "starts_at": "2026-11-21T09:30:00Z", "items": [{"amount": 1, "currency": "EUR"}], "note": null,
        })
    }

    #[test]
    fn every_fault_is_told_once() {
        assert_eq!(
            check(&json!({})),
            ["/name", "/role", "/price", "/starts_at"],
            "nothing is told of what is within a field that is missing"
        );
        let mut body = good();
        body["name"] = json!(5);
        body["role"] = json!("king");
        body["price"] = json!("1 EUR");
        body["starts_at"] = json!("yesterday");
        body["note"] = json!([]);
        body["typo"] = json!(1);
        let mut places = check(&body);
        places.sort();
        assert_eq!(places, ["/name", "/note", "/price", "/role", "/starts_at", "/typo"]);
        let mut body = good();
        body["price"] = json!({"amount": -1, "currency": 5});
        body["items"] = json!([{"amount": "1"}, {"amount": 1, "currency": "EUR", "x/y": 1}, 7]);
        let mut places = check(&body);
        places.sort();
        assert_eq!(
            places,
            [
                "/items/0/amount",
                "/items/0/currency",
                "/items/1/x~1y",
                "/items/2",
                "/price/amount",
                "/price/currency"
            ]
        );
    }

    #[test]
    fn a_body_that_is_wrong_as_a_whole_has_one_fault() {
        for body in [json!([]), json!(null), json!("x"), json!(7)] {
            assert_eq!(check(&body), [""], "{body}");
        }
    }

    #[test]
    fn faults_and_the_time_to_find_them_are_bounded() {
        let mut body = good();
        body["items"] = json!(vec![json!({"amount": "x", "currency": "y"}); 100]);
        assert_eq!(check(&body).len(), FAULTS_MAX);
        body["items"] = json!(vec![json!({"amount": "x", "currency": "y"}); 1_000]);
        assert_eq!(check(&body), ["/items/0/amount"], "of a long body the first alone");
    }
}
