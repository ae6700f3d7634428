//! The proxies that are believed, as people write them.

use std::str::FromStr;

use maitred_web::address::{Network, ProxyHeader as Header};
use serde::Deserialize;

/// The most networks of proxies. Each is looked at for each request.
const NETWORKS_MAX: usize = 64;

/// Networks, read from `10.0.0.0/8,fd00::/8` or, in a file, from a list of such texts.
///
/// # Errors
/// A sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Written")]
pub struct Networks(pub Vec<Network>);

/// What a file may hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    List(Vec<String>),
}

impl TryFrom<Written> for Networks {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => text.parse(),
            Written::List(texts) => Networks::of(texts.iter().map(String::as_str)),
        }
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Networks::of(text.split(',').map(str::trim).filter(|text| !text.is_empty()))
    }
}

impl Networks {
    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let networks = texts.map(str::parse).collect::<Result<Vec<Network>, String>>()?;
        if networks.len() > NETWORKS_MAX {
            return Err(format!("{} networks; the most are {NETWORKS_MAX}", networks.len()));
        }
        Ok(Networks(networks))
    }
}

/// In which header proxies say for whom they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[value(name = "x-forwarded-for")]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl From<ProxyHeader> for Header {
    fn from(header: ProxyHeader) -> Self {
        match header {
            ProxyHeader::XForwardedFor => Header::XForwardedFor,
            ProxyHeader::Forwarded => Header::Forwarded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_in_a_row_or_as_a_list() {
        let row: Networks = "10.0.0.0/8, fd00::/8,192.0.2.1".parse().unwrap();
        assert_eq!(row.0.len(), 3);
        #[derive(Debug, Deserialize)]
        struct File {
            proxies: Networks,
        }
        let file = |text: &str| toml::from_str::<File>(text).map(|file| file.proxies);
        assert_eq!(file("proxies = [\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1\"]").unwrap(), row);
        assert_eq!(file("proxies = \"10.0.0.0/8,fd00::/8,192.0.2.1\"").unwrap(), row);
        assert_eq!(
            ("".parse(), file("proxies = []").unwrap()),
            (Ok(Networks::default()), Networks::default())
        );
        assert!("10.0.0.1/8".parse::<Networks>().is_err() && file("proxies = [\"proxy\"]").is_err());
        assert!(vec!["10.0.0.1"; NETWORKS_MAX + 1].join(",").parse::<Networks>().is_err());
    }
}
