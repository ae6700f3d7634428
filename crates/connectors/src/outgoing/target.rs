//! Where an outgoing request may go: a URL that was looked at before anything is asked of the network.
//!
//! Invariants:
//! - A [`Target`] is http or https, has a host and no credentials, and no address for a host that would be refused.
//!   The host is what the WHATWG URL standard makes of it, so `0x7f.1`, `2130706433` and `127.0.0.1` are one.
//! - What a name stands for is not known here: [`Rules::judge`] is asked again for each address it resolves to.
//! - An allowed host opens private addresses for itself, and nothing else for anybody.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::address::AddressClass;

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// The most hosts that can be allowed.
pub const ALLOWED_MAX: usize = 1_024;

/// Why the guard lets a request go nowhere. The text is a sentence for whoever gave the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub(super) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A host that may have private addresses: `HOST` for all its ports, or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    host: Host<String>,
    port: Option<u16>,
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no host: write HOST, HOST:PORT or [IPV6]:PORT");
        // A URL without its port is not told from one with the usual port, so the port is taken off first.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?))
            }
            _ => (text, None),
        };
        let is_bare = !host.is_empty() && !host.contains(['/', '?', '#', '@', '\\', ' ']);
        let url = Url::parse(&format!("http://{host}/")).ok().filter(|url| is_bare && url.port().is_none());
        let host = normal(url.as_ref().and_then(Url::host).ok_or_else(wrong)?);
        if let Some(address) = literal(&host)
            && let AddressClass::Never(what) = AddressClass::of(address)
        {
            return Err(format!("{text:?} cannot be allowed: it is {what}"));
        }
        Ok(AllowedHost { host, port })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

/// Which targets outgoing requests may have.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    allowed: Vec<AllowedHost>,
}

impl Rules {
    /// Rules under which these hosts may have private addresses; of more than [`ALLOWED_MAX`] the first.
    pub fn new(allowed: impl IntoIterator<Item = AllowedHost>) -> Self {
        Rules { allowed: allowed.into_iter().take(ALLOWED_MAX).collect() }
    }

    /// Whether a request to `target` may be sent to `address`.
    ///
    /// # Errors
    /// Where it may not, and what the address is.
    pub fn judge(&self, target: &Target, address: IpAddr) -> Result<(), Refused> {
        let (host, port) = (&target.host, target.port());
        match AddressClass::of(address) {
            AddressClass::Public => Ok(()),
            AddressClass::Private(_) if self.allows(target) => Ok(()),
            AddressClass::Private(what) => Err(Refused(format!(
                "{host} has {what}. Who runs the server can allow it with --allow-host {host}:{port}."
            ))),
            AddressClass::Never(what) => {
                Err(Refused(format!("{host} has {what}, to which nothing is sent.")))
            }
        }
    }

    fn allows(&self, target: &Target) -> bool {
        self.allowed.iter().any(|allowed| {
            allowed.host == target.host && allowed.port.is_none_or(|port| port == target.port())
        })
    }
}

/// A URL that may be asked, as far as can be said without asking the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    /// In lower case, without a dot behind it.
    host: Host<String>,
}

impl Target {
    /// Looks at a URL: its form, and its host where that is an address or stands for this machine.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, rules: &Rules) -> Result<Self, Refused> {
        if text.len() > URL_BYTES_MAX {
            return Err(Refused(format!("A URL has at most {URL_BYTES_MAX} bytes.")));
        }
        let url = Url::parse(text).map_err(|error| Refused(format!("It is no URL: {error}.")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused("A URL begins with http:// or https:// here.".into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused("A URL has no user name and no password here.".into()));
        }
        let host = normal(url.host().ok_or_else(|| Refused("The URL has no host.".into()))?);
        if matches!(&host, Host::Domain(name) if name.is_empty()) || url.port() == Some(0) {
            return Err(Refused("The URL has no host and port that could be reached.".into()));
        }
        let target = Target { url, host };
        if let Some(address) = target.address() {
            rules.judge(&target, address)?;
        } else if target.is_localhost() {
            rules.judge(&target, IpAddr::from([127, 0, 0, 1]))?;
        }
        Ok(target)
    }

    /// The URL in its normal form.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host's address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        literal(&self.host)
    }

    /// The host: a name in ASCII, or an address (IPv6 without brackets).
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// The port, of the URL or of its scheme.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// Whether it is spoken to by TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// What the header `Host` says.
    pub(super) fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// What the request line says.
    pub(super) fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// RFC 6761: these names stand for this machine, whatever a resolver says.
    fn is_localhost(&self) -> bool {
        matches!(&self.host, Host::Domain(name) if name == "localhost" || name.ends_with(".localhost"))
    }
}

fn normal(host: Host<&str>) -> Host<String> {
    match host {
        // The URL standard has put it into lower case, and into ASCII.
        Host::Domain(name) => Host::Domain(name.strip_suffix('.').unwrap_or(name).to_owned()),
        Host::Ipv4(address) => Host::Ipv4(address),
        Host::Ipv6(address) => Host::Ipv6(address),
    }
}

fn literal(host: &Host<String>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str]) -> Rules {
        Rules::new(allowed.iter().map(|text| text.parse().expect("a host")))
    }

    #[test]
    fn a_private_host_is_refused_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://127.0.0.1./",
            "http://127.1/",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://%31%32%37.0.0.1/",
            "http://127\u{3002}0\u{ff0e}0\u{ff61}1/",
            "http://\u{2460}\u{2461}\u{2466}.0.0.1/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::127.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://localhost/",
            "http://LocalHost./",
            "http://a.b.localhost:8080/",
            "http://\u{24db}ocalhost/",
            "http://10.0.0.1/",
            "http://0/",
            "http://169.254.169.254/latest/meta-data/",
            "http://0xa9fea9fe/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "https://192.168.0.1:8443/",
        ] {
            let refused = Target::parse(url, &Rules::default()).expect_err(url);
            assert!(refused.0.contains(" has "), "{url}: {refused}");
        }
    }

    #[test]
    fn a_url_of_another_form_is_refused() {
        let long = format!("http://example.com/{}", "a".repeat(URL_BYTES_MAX));
        for (url, why) in [
            ("", "no URL"),
            ("/hook", "no URL"),
            ("example.com", "no URL"),
            ("http://", "no URL"),
            ("http://[::1", "no URL"),
            ("http://1.2.3.4.5/", "no URL"),
            ("http://256.0.0.1/", "no URL"),
            ("http://a b/", "no URL"),
            ("http://./", "no host"),
            ("http://example.com:0/", "no host"),
            ("http://example.com:99999/", "no URL"),
            ("ftp://example.com/", "http://"),
            ("file:///etc/passwd", "http://"),
            ("gopher://example.com/", "http://"),
            ("http://user@example.com/", "user name"),
            ("http://user:secret@example.com/", "user name"),
            ("http://:secret@example.com/", "user name"),
            (&long, "bytes"),
        ] {
            let refused = Target::parse(url, &Rules::default()).expect_err(url);
            assert!(refused.0.contains(why), "{url}: {refused}");
        }
    }

    #[test]
    fn a_target_says_what_a_request_needs() {
        let target = Target::parse("HTTPS://B\u{fc}cher.Example.:8443/a b?q=1#part", &Rules::default())
            .expect("public");
        assert_eq!(
            (target.host().as_str(), target.port(), target.is_https()),
            ("xn--bcher-kva.example", 8443, true)
        );
        assert_eq!(target.authority(), "xn--bcher-kva.example:8443");
        assert_eq!(target.path_and_query(), "/a%20b?q=1");
        assert_eq!(target.address(), None);
        let target = Target::parse("http://[2606:4700::1111]", &Rules::default()).expect("public");
        assert_eq!((target.host().as_str(), target.port()), ("2606:4700::1111", 80));
        assert_eq!((target.authority().as_str(), target.path_and_query()), ("[2606:4700::1111]", "/"));
    }

    #[test]
    fn an_allowed_host_opens_its_own_private_addresses_and_no_others() {
        let rules = rules(&["127.0.0.1:9000", "LOCALHOST.", "[::1]:80", "hooks.internal:443", "10.0.0.7"]);
        let judge = |url: &str, address: &str| {
            let target = Target::parse(url, &rules)?;
            rules.judge(&target, address.parse().expect("an address"))
        };
        for (url, address) in [
            ("http://127.0.0.1:9000/", "127.0.0.1"),
            ("http://0x7f.1:9000/", "127.0.0.1"),
            ("http://localhost:1234/", "127.0.0.1"),
            ("http://localhost/", "::1"),
            ("http://[::1]/", "::1"),
            ("https://hooks.internal/a", "10.1.2.3"),
            ("https://hooks.internal/a", "fd00::7"),
            ("https://hooks.internal/a", "100.64.0.9"),
            ("http://10.0.0.7:81/", "10.0.0.7"),
            ("http://example.com/", "1.1.1.1"),
        ] {
            assert_eq!(judge(url, address), Ok(()), "{url} at {address}");
        }
        for (url, address) in [
            ("http://127.0.0.1:9001/", "127.0.0.1"),
            ("http://127.0.0.2:9000/", "127.0.0.2"),
            ("http://[::ffff:127.0.0.1]:9000/", "127.0.0.1"),
            ("http://[::1]:81/", "::1"),
            ("http://hooks.internal/a", "10.1.2.3"),
            ("https://a.hooks.internal/", "10.1.2.3"),
            ("https://hooks.internal/a", "169.254.169.254"),
            ("https://hooks.internal/a", "fe80::1"),
            ("https://hooks.internal/a", "fd00:ec2::254"),
            ("https://hooks.internal/a", "0.0.0.0"),
            ("https://hooks.internal/a", "::ffff:169.254.1.1"),
            ("http://localhost/", "224.0.0.1"),
            ("http://example.com/", "10.0.0.7"),
        ] {
            assert!(judge(url, address).is_err(), "{url} at {address}");
        }
    }

    #[test]
    fn what_is_refused_says_how_it_can_be_allowed() {
        let refused = Target::parse("http://localhost:9000/hook", &Rules::default()).expect_err("private");
        assert_eq!(
            refused.to_string(),
            "localhost has a loopback address. Who runs the server can allow it with --allow-host localhost:9000."
        );
        let refused = Target::parse("http://169.254.169.254/", &Rules::default()).expect_err("never");
        assert_eq!(
            refused.to_string(),
            "169.254.169.254 has a link-local address, to which nothing is sent."
        );
    }

    #[test]
    fn an_allowed_host_is_written_as_it_is_read() {
        for (text, shown) in [
            ("Example.com", "example.com"),
            ("example.com:80", "example.com:80"),
            ("[::1]", "[::1]"),
            ("[::1]:443", "[::1]:443"),
            ("0x7f.1:9", "127.0.0.1:9"),
        ] {
            assert_eq!(
                text.parse::<AllowedHost>().map(|host| host.to_string()).as_deref(),
                Ok(shown),
                "{text}"
            );
        }
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:b",
            "::1",
            "http://a",
            "a/b",
            "a@b",
            "a?b",
            "a b",
            "[::1]x",
            "169.254.169.254",
            "[fe80::1]:80",
            "0.0.0.0",
            "[fd00:ec2::254]",
        ] {
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
    }
}
