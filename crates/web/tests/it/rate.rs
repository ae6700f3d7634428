//! Rate limits: what a caller may send, what it is told, and that memory is bounded.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::FutureExt;
use maitred_core::TenantNumber;
use maitred_web::Guard;
use maitred_web::rate::{CALLERS_MAX, Limiter, QUOTA_MAX, Quotas, Sender, Standing};
use tower::ServiceExt;

const TENANT: TenantNumber = TenantNumber(1);
const QUOTAS: Quotas = Quotas { address: 6, user: 60, key: 600 };

fn ip(text: &str) -> Sender {
    Sender::Address(text.parse::<IpAddr>().expect("an address"))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How many of `tries` requests at once are let through.
fn burst(limiter: &Limiter, tenant: TenantNumber, sender: Sender, now: Duration, tries: usize) -> usize {
    (0..tries).filter(|_| limiter.count_at(tenant, sender, now).is_ok()).count()
}

#[test]
fn a_quota_may_be_spent_at_once_and_fills_up_evenly() {
    let limiter = Limiter::new(QUOTAS);
    for (now, through) in
        [(0, 6), (1, 0), (9_999, 0), (10_000, 1), (10_001, 0), (35_000, 2), (200_000, 6), (200_001, 0)]
    {
        assert_eq!(burst(&limiter, TENANT, ip("203.0.113.7"), millis(now), 20), through, "at {now} ms");
    }
}

#[test]
fn who_keeps_to_the_pace_is_never_refused() {
    let limiter = Limiter::new(QUOTAS);
    let user = Sender::User(7);
    assert_eq!(burst(&limiter, TENANT, user, millis(0), 60), 60);
    for second in 1..=600 {
        assert_eq!(burst(&limiter, TENANT, user, millis(second * 1_000), 2), 1, "second {second}");
    }
}

#[test]
fn callers_are_told_apart_by_kind_tenant_and_id() {
    let limiter = Limiter::new(QUOTAS);
    let all = |tenant, sender| burst(&limiter, tenant, sender, millis(0), 1_000);
    assert_eq!(all(TENANT, ip("203.0.113.7")), 6);
    assert_eq!(all(TENANT, ip("::ffff:203.0.113.7")), 0, "the same");
    assert_eq!(all(TENANT, ip("203.0.113.8")), 6);
    assert_eq!(all(TenantNumber(2), ip("203.0.113.7")), 6);
    assert_eq!(all(TENANT, ip("2001:db8::1")), 6);
    assert_eq!(all(TENANT, ip("2001:db8::ffff:1")), 0, "another address of the same network");
    assert_eq!(all(TENANT, ip("2001:db8:0:1::1")), 6);
    assert_eq!(all(TENANT, Sender::User(5)), 60);
    assert_eq!(all(TENANT, Sender::Key(5)), 600);
    assert_eq!(all(TenantNumber(2), Sender::User(5)), 60);
    for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(all(TENANT, ip(own)), 1_000, "{own}: this machine speaks for many");
    }
}

#[test]
fn without_a_quota_there_is_no_limit() {
    let limiter = Limiter::new(Quotas { address: 0, user: 0, key: 1 });
    assert_eq!(limiter.count(TENANT, ip("203.0.113.7")).expect("no limit"), None);
    assert_eq!(limiter.count(TENANT, Sender::User(1)).expect("no limit"), None);
    assert!(limiter.count(TENANT, Sender::Key(1)).expect("the first").is_some());
    assert!(limiter.count(TENANT, Sender::Key(1)).is_err());
    let fast = Limiter::new(Quotas { key: QUOTA_MAX, ..QUOTAS });
    assert_eq!(burst(&fast, TENANT, Sender::Key(1), millis(0), 1_000), 1_000);
}

/// The headers of a limit on an answer.
fn told(response: &axum::response::Response) -> (Option<&str>, Option<&str>, Option<&str>) {
    let header = |name| response.headers().get(name).map(|value| value.to_str().expect("ASCII"));
    (header("ratelimit"), header("ratelimit-policy"), header("retry-after"))
}

#[test]
fn an_answer_tells_what_is_left_and_a_refusal_when_to_come_back() {
    let limiter = Limiter::new(QUOTAS);
    let policy = Some("\"address\";q=6;w=60");
    let marked = |standing: Option<Standing>| {
        let routes = Router::new().route("/", get(async || "here"));
        let routes = routes.layer(Guard::new(move |_: &mut Request| Ok(standing.clone())));
        let answer = routes.oneshot(Request::new(Body::empty())).now_or_never();
        answer.expect("nothing is waited for").expect("a router cannot fail")
    };
    for (left, whole_in) in [(5, 10), (4, 20), (3, 30), (2, 40), (1, 50), (0, 60)] {
        let standing = limiter.count_at(TENANT, ip("203.0.113.7"), millis(0)).expect("within the quota");
        let answer = marked(standing);
        let left = format!("\"address\";r={left};t={whole_in}");
        assert_eq!(told(&answer), (Some(&*left), policy, None));
    }
    let refused = limiter.count_at(TENANT, ip("203.0.113.7"), millis(3_500)).expect_err("over it");
    assert_eq!(refused.code(), "rate-limited");
    let answer = refused.into_response();
    assert_eq!(answer.status(), 429);
    assert_eq!(told(&answer), (Some("\"address\";r=0;t=7"), policy, Some("7")), "6.5 seconds, rounded up");
    assert_eq!(told(&marked(None)), (None, None, None));
}

#[test]
fn a_flood_of_callers_takes_no_memory_and_nobodys_quota() {
    let limiter = Limiter::new(QUOTAS);
    let now = millis(0);
    let through =
        (0..4 * CALLERS_MAX as u128).filter(|id| limiter.count_at(TENANT, Sender::User(*id), now).is_ok());
    assert!(through.count() > 4 * CALLERS_MAX - 10, "a caller's first request is let through");
    assert!(burst(&limiter, TENANT, Sender::User(u128::MAX), now, 100) >= 60, "and all of its quota");
    let later = millis(120_000);
    assert_eq!(burst(&limiter, TENANT, Sender::User(u128::MAX), later, 100), 60, "stale ones have left");
}

#[test]
fn threads_together_get_no_more_than_one_alone() {
    let limiter = Limiter::new(QUOTAS);
    assert_eq!(burst(&limiter, TENANT, Sender::Key(9), millis(0), 1), 1);
    let through: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| burst(&limiter, TENANT, Sender::Key(9), millis(0), 500))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(through, 599);
}
