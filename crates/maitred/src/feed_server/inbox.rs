//! Where webhooks can arrive: what came is shown, and whether it was signed by who has the secret.
//!
//! Invariants:
//! - The newest [`KEPT_MAX`] deliveries are kept, each `webhook-id` once: deliveries come at least once, and who receives
//!   them tells repetitions by it.
//! - With a secret nothing is taken that it did not sign within [`AGE_MAX`].
//!
//! Source: Standard Webhooks, <https://github.com/standard-webhooks/standard-webhooks>, "Verifying webhook authenticity".

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use maitred_booking::webhooks::secret::Secret;
use serde::Serialize;
use serde_json::Value;

/// How many deliveries are kept.
pub(super) const KEPT_MAX: usize = 50;
/// The largest body, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How old a delivery may be by its own word.
pub(super) const AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// A delivery that arrived.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Arrived {
    webhook_id: String,
    arrived_at: String,
    /// How often it came.
    times: u64,
    /// `valid`, or `unchecked` where there is no secret.
    signature: &'static str,
    /// What was sent; a text where it is no JSON.
    body: Value,
}

/// Why a delivery is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Untrue(pub(super) &'static str);

/// What has arrived.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    secret: Option<Secret>,
    /// The newest first, and how many were taken and refused.
    arrived: Mutex<(VecDeque<Arrived>, u64, u64)>,
}

/// The inbox as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    taken: u64,
    refused: u64,
    newest: &'a VecDeque<Arrived>,
}

impl Inbox {
    /// Takes what `secret` signed; everything without one.
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Inbox { secret, ..Inbox::default() }
    }

    /// Takes a delivery. `header` gives a header by its name in lower case.
    pub(super) fn take<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Untrue> {
        let checked = self.check(&header, body, now);
        let mut kept = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let (arrived, taken, refused) = &mut *kept;
        let (webhook_id, signature) = match checked {
            Ok(checked) => checked,
            Err(untrue) => {
                *refused += 1;
                return Err(untrue);
            }
        };
        *taken += 1;
        if let Some(known) = arrived.iter_mut().find(|known| known.webhook_id == webhook_id) {
            known.times += 1;
            return Ok(());
        }
        let text = || Value::String(String::from_utf8_lossy(body).into_owned());
        let body = serde_json::from_slice(body).unwrap_or_else(|_| text());
        arrived.push_front(Arrived { webhook_id, arrived_at: now.to_string(), times: 1, signature, body });
        arrived.truncate(KEPT_MAX);
        Ok(())
    }

    fn check<'a>(
        &self,
        header: &impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(String, &'static str), Untrue> {
        let id = header("webhook-id").filter(|id| !id.is_empty()).ok_or(Untrue("there is no webhook-id"))?;
        let Some(secret) = &self.secret else { return Ok((id.to_owned(), "unchecked")) };
        let at = header("webhook-timestamp").and_then(|text| text.parse::<i64>().ok());
        let at = at.ok_or(Untrue("there is no webhook-timestamp"))?;
        if now.as_second().abs_diff(at) > AGE_MAX.as_secs() {
            return Err(Untrue("the webhook-timestamp is too far from now"));
        }
        let signed = secret.sign(id, at, body);
        let given = header("webhook-signature").unwrap_or_default();
        if !given.split(' ').any(|given| given == signed) {
            return Err(Untrue("no webhook-signature is of our secret"));
        }
        Ok((id.to_owned(), "valid"))
    }

    /// As JSON, the newest first.
    pub(super) fn to_json(&self) -> String {
        let kept = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let (newest, taken, refused) = (&kept.0, kept.1, kept.2);
        let shown = serde_json::to_string_pretty(&Shown { taken, refused, newest });
        shown.unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"kind":"appointment"}"#;

    fn take(inbox: &Inbox, id: &str, at: i64, signature: &str, now: i64) -> Result<(), Untrue> {
        let at = at.to_string();
        let header = |name: &str| match name {
            "webhook-id" => Some(id),
            "webhook-timestamp" => Some(at.as_str()),
            "webhook-signature" => Some(signature),
            _ => None,
        };
        inbox.take(header, BODY, Timestamp::from_second(now).expect("an instant"))
    }

    #[test]
    fn what_is_not_signed_now_by_the_secret_is_refused_and_repetitions_are_told() {
        let (secret, other) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let inbox = Inbox::new(Some(secret.clone()));
        let valid = secret.sign("a", 1_000, BODY);
        let rotated = format!("{} {valid}", other.sign("a", 1_000, BODY));
        for (id, at, signature, now, expected) in [
            ("a", 1_000, valid.as_str(), 1_000, Ok(())),
            ("a", 1_000, rotated.as_str(), 1_300, Ok(())),
            ("a", 1_000, valid.as_str(), 1_301, Err("the webhook-timestamp is too far from now")),
            ("a", 1_000, valid.as_str(), 699, Err("the webhook-timestamp is too far from now")),
            ("b", 1_000, valid.as_str(), 1_000, Err("no webhook-signature is of our secret")),
            ("a", 1_001, valid.as_str(), 1_001, Err("no webhook-signature is of our secret")),
            ("a", 1_000, "", 1_000, Err("no webhook-signature is of our secret")),
            ("", 1_000, valid.as_str(), 1_000, Err("there is no webhook-id")),
        ] {
            assert_eq!(take(&inbox, id, at, signature, now), expected.map_err(Untrue), "{id} {at} {now}");
        }
        let shown: Value = serde_json::from_str(&inbox.to_json()).expect("JSON");
        assert_eq!((&shown["taken"], &shown["refused"]), (&2.into(), &6.into()));
        let newest = &shown["newest"][0];
        assert_eq!((&newest["times"], &newest["signature"]), (&2.into(), &"valid".into()));
        assert_eq!(newest["body"]["kind"], "appointment");
    }

    #[test]
    fn without_a_secret_everything_is_taken_and_the_newest_are_kept() {
        let inbox = Inbox::new(None);
        for number in 0..KEPT_MAX + 7 {
            take(&inbox, &number.to_string(), 0, "", 9).expect("it is taken");
        }
        let shown: Value = serde_json::from_str(&inbox.to_json()).expect("JSON");
        assert_eq!(shown["newest"].as_array().map(Vec::len), Some(KEPT_MAX));
        assert_eq!(shown["newest"][0]["webhook_id"], (KEPT_MAX + 6).to_string());
        assert_eq!(shown["newest"][0]["signature"], "unchecked");
    }
}
