//! Protected mode: a server without authentication answers this machine only, and no web page can drive it.
//!
//! A page on another site can make a browser on this machine send requests here. Such a request names the other
//! site in `Origin`, or, after DNS rebinding, in `Host`; so both must be loopback.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

use crate::Problem;
use crate::problem::NOT_LOOPBACK;

/// For a [`crate::Guard`] around every route of an open server.
///
/// # Errors
/// 403 `not-loopback`.
pub fn loopback_only(request: &mut Request) -> Result<(), Problem> {
    require_loopback(request.headers(), request.uri())
}

/// Refuses a request whose host is not loopback, or whose origin is neither absent nor loopback.
///
/// # Errors
/// 403 `not-loopback`.
pub fn require_loopback(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().is_some_and(|host| host.to_str().is_ok_and(is_loopback));
    let target = uri.authority().is_none_or(|authority| is_loopback(authority.as_str()));
    if !(host && target && hosts.next().is_none()) {
        return Err(refused("Host"));
    }
    let origin = |origin: &str| {
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some_and(is_loopback)
    };
    if headers.get_all(ORIGIN).iter().all(|value| value.to_str().is_ok_and(origin)) {
        Ok(())
    } else {
        Err(refused("Origin"))
    }
}

#[cold]
fn refused(header: &str) -> Problem {
    Problem::new(
        NOT_LOOPBACK,
        format!(
            "Without authentication only this machine is served, and {header} names another; start with --auth."
        ),
    )
}

/// Whether `localhost`, an address of 127.0.0.0/8, or `[::1]`, with or without a port.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_sound =
        port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let v6 = || Ipv6Addr::from_str(name.strip_prefix('[')?.strip_suffix(']')?).ok();
    let loopback = name.eq_ignore_ascii_case("localhost")
        || Ipv4Addr::from_str(name).is_ok_and(|address| address.is_loopback())
        || v6().is_some_and(|address| address.is_loopback());
    loopback && port_sound
}
