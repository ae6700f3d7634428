//! From where a request came, also where a proxy brought it.
//!
//! Invariants:
//! - A header is believed of a proxy that the operator named, and of nobody else: anybody can write one.
//! - Of the addresses in it the right-most counts that is no such proxy. What stands to its left was written by that
//!   client, whatever it says.
//! - Garbage ends the search: what counts then is the last proxy that is known, never an address that was made up.
//!
//! Sources: RFC 7239 (`Forwarded`); `X-Forwarded-For` has none but its use.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use axum::extract::{FromRequestParts, Request};
use axum::http::header::FORWARDED;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The most addresses of a header that are looked at, from the right.
pub const HOPS_MAX: usize = 32;
/// How many bits of an IPv6 address are a client's own network: a host there has 2^64 addresses.
const IPV6_NETWORK_BITS: u8 = 64;

/// The address of the client, as an argument of a handler; nothing where there is no connection. Whoever serves the
/// socket puts the other end of the connection into the extensions of each request; where that is a proxy that is
/// believed, [`Proxies::resolve`] puts there for whom it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

/// What counts as one client where clients are counted: an IPv4 address, or the /64 network of an IPv6 address.
pub fn one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask_v6(IPV6_NETWORK_BITS))),
    }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address lies in it. An IPv4 address is the same in its form for IPv6 (`::ffff:10.0.0.1`).
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(given)) => u32::from(given) & mask_v4(self.bits) == u32::from(own),
            (IpAddr::V6(own), IpAddr::V6(given)) => u128::from(given) & mask_v6(self.bits) == u128::from(own),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("\"{text}\" is no network; expected one such as 10.0.0.0/8, fd00::/8 or 192.0.2.1");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse::<u8>().map_err(|_| expected())?))
            }
            Some(_) => return Err(expected()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        if address.is_ipv6() && address.to_canonical().is_ipv4() {
            return Err(format!("\"{text}\" is a network of IPv4; write {} instead", address.to_canonical()));
        }
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(bits_max);
        if bits > bits_max {
            return Err(expected());
        }
        let begin = match address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask_v4(bits))),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask_v6(bits))),
        };
        if begin != address {
            return Err(format!(
                "\"{text}\" is an address within a network; write {begin}/{bits}, or {address} alone"
            ));
        }
        Ok(Network { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// In which header proxies say for whom they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    /// `X-Forwarded-For: 192.0.2.7, 10.0.0.2`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.7, for="[2001:db8::1]:4711";proto=https`
    Forwarded,
}

/// The proxies that are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// What they write. The other header is not read: a client may have written it, and they let it pass.
    pub header: ProxyHeader,
}

impl Proxies {
    /// Puts into a request's extensions for whom the other end of its connection speaks.
    pub fn resolve(&self, request: &mut Request) {
        let Some(ClientAddress(Some(peer))) = request.extensions().get().copied() else { return };
        let client = self.client(peer, request.headers());
        request.extensions_mut().insert(ClientAddress(Some(client)));
    }

    /// Who the client is of whom `peer` sent a request with these headers.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let read: fn(&str) -> Option<IpAddr> = match self.header {
            ProxyHeader::XForwardedFor => node,
            ProxyHeader::Forwarded => forwarded_for,
        };
        for hop in self.hops(headers) {
            let Some(address) = hop.and_then(read) else { return client };
            client = address;
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }

    /// The elements of the header, from the right; `None` for one that is not ASCII. Commas in quotes separate too: a
    /// client that opens a quote cannot hide what a proxy wrote behind it, and no address has a comma.
    fn hops<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = Option<&'a str>> {
        let name = match self.header {
            ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            ProxyHeader::Forwarded => FORWARDED,
        };
        let lines = headers.get_all(name).into_iter().rev();
        let elements = lines.flat_map(|line: &HeaderValue| line.as_bytes().rsplit(|byte| *byte == b','));
        let given = elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty());
        given.take(HOPS_MAX).map(|element| std::str::from_utf8(element).ok())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// The address of an element of `Forwarded`, if it says one.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            if found.replace(node(bare.unwrap_or(value))?).is_some() {
                return None; // said twice
            }
        }
    }
    found
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn node(text: &str) -> Option<IpAddr> {
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(address.parse().ok()?)
    } else if let Ok(address) = text.parse() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        IpAddr::V4(address.parse().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}
