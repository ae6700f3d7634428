//! An address to listen on, as people write it.
//!
//! Invariant: where no host is named it is this machine's own, which nobody else can reach.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::Deserialize;

/// An address to listen on, read from `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080` or `8080`.
///
/// # Errors
/// A sentence for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Listen(pub SocketAddr);

/// What a file may hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Port(u16),
}

impl TryFrom<Written> for Listen {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Port(port) => Ok(Listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Listen(address));
        }
        let expected = || "expected HOST:PORT such as 127.0.0.1:8080, or a port such as 8080".to_owned();
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port: u16 = port.parse().map_err(|_| expected())?;
        if host.is_empty() {
            return Ok(Listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        let found = (host, port).to_socket_addrs().map_err(|error| format!("the host {host}: {error}"))?;
        // A name of this machine often has an address of either kind: most clients try the older one.
        let found: Vec<SocketAddr> = found.collect();
        let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
        first.copied().map(Listen).ok_or_else(|| format!("the host {host} has no address"))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_is_this_machines_own_and_a_name_is_looked_up() {
        for (text, address) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), address, "{text}");
        }
        let local: Listen = "localhost:8080".parse().unwrap();
        assert!(local.0.ip().is_loopback() && local.0.port() == 8080, "{local}");
        for text in ["", "localhost", "127.0.0.1", "99999", "a b:80", "no-such-host.invalid:80", "::1"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
