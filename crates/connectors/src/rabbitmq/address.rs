//! Where a broker is, and as whom to come.

use std::fmt;

use lapin::uri::{AMQPQueryString, AMQPScheme, AMQPUri};
use url::Url;

use super::HEARTBEAT_SECONDS;

/// Where a broker is, and as whom to come. What it shows of itself has no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    uri: AMQPUri,
    roots: Option<String>,
}

impl Address {
    /// Reads `amqp://user@host:5672/vhost` or `amqps://…`, without a path for the virtual host `/`. A `password` goes
    /// before one that stands in the URL. Of the query `heartbeat` counts, in seconds.
    ///
    /// # Errors
    /// What is wrong with it, without the URL.
    pub fn parse(url: &str, password: Option<String>) -> Result<Self, String> {
        let parsed = Url::parse(url).map_err(|error| error.to_string())?;
        if !matches!(parsed.scheme(), "amqp" | "amqps") {
            return Err(format!("{}: a broker's URL begins with amqp:// or amqps://", parsed.scheme()));
        }
        let host = parsed.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("it names no host")?.trim_start_matches('[').trim_end_matches(']').to_owned();
        // lapin's reading knows neither numbers of IPv6 nor an empty path.
        let mut uri: AMQPUri = url.parse()?;
        uri.authority.host = host;
        if matches!(parsed.path(), "" | "/") {
            uri.vhost = "/".to_owned();
        }
        if let Some(password) = password {
            uri.authority.userinfo.password = password;
        }
        let heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT_SECONDS));
        uri.query = AMQPQueryString { heartbeat, ..AMQPQueryString::default() };
        Ok(Address { uri, roots: None })
    }

    /// Trusts these certificates in PEM too, beside the bundled ones.
    #[must_use]
    pub fn trusting(self, roots: Option<String>) -> Self {
        Address { roots, ..self }
    }

    /// Whether what is said to the broker is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    pub(super) fn roots(&self) -> Option<&str> {
        self.roots.as_deref()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        write!(f, "{scheme}://{}:{} ({vhost})", authority.host, authority.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: &str, user: (&str, &str)) {
        let address = Address::parse(url, None).expect(url);
        let given = &address.uri.authority.userinfo;
        assert_eq!(
            (address.to_string().as_str(), (given.username.as_str(), given.password.as_str())),
            (shown, user)
        );
        assert!(!format!("{address:?}").contains("secret"));
    }

    #[test]
    fn an_address_is_read_with_all_its_parts_and_shown_without_its_password() {
        check("amqp://127.0.0.1", "amqp://127.0.0.1:5672 (/)", ("guest", "guest"));
        check("amqp://127.0.0.1:1234/", "amqp://127.0.0.1:1234 (/)", ("guest", "guest"));
        check("amqp://[::1]:1234/%2f", "amqp://::1:1234 (/)", ("guest", "guest"));
        check("amqps://ann:secret%2f@mq.example/shop", "amqps://mq.example:5671 (shop)", ("ann", "secret/"));
    }

    #[test]
    fn a_password_from_elsewhere_goes_before_the_one_in_the_url() {
        let address = Address::parse("amqp://ann:old@mq", Some("secret".to_owned())).expect("an address");
        assert_eq!(address.uri.authority.userinfo.password, "secret");
        assert_eq!(address.uri.query.heartbeat, Some(HEARTBEAT_SECONDS));
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for url in ["", "mq.example", "http://ann:secret@mq.example", "amqp:///", "amqp://ann:secret@"] {
            let said = Address::parse(url, None).expect_err(url);
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
