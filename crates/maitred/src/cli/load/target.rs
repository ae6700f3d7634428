//! The server a load is aimed at, and how requests to it are written.

use std::net::{SocketAddr, ToSocketAddrs as _};

use super::LoadError;
use super::records::push_number;

/// The tenant that drop-in requests mean which name none, unless the server is told another.
pub(super) const TENANT_DEFAULT: &str = "default";

/// Where the server is and who asks.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// Address of the server. Plain HTTP only
    #[arg(long, env = "MAITRED_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub url: String,

    /// Tenant whose data is written and read
    #[arg(long, default_value = TENANT_DEFAULT, value_name = "SLUG")]
    pub tenant: String,

    /// API key (`mk_…`), where the server asks for one
    #[arg(long, env = "MAITRED_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<String>,
}

impl Target {
    /// The host and port of the URL.
    fn authority(&self) -> Result<&str, LoadError> {
        let invalid = || LoadError::Invalid(format!("--url {}: expected http://HOST[:PORT]", self.url));
        let rest = self.url.strip_prefix("http://").ok_or_else(invalid)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(plain) { Err(invalid()) } else { Ok(authority) }
    }

    /// The address the URL stands for.
    pub(super) fn address(&self) -> Result<SocketAddr, LoadError> {
        let authority = self.authority()?;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let unknown = |reason: String| LoadError::Unavailable(format!("looking up {authority}: {reason}"));
        let mut addresses = with_port.to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
        addresses.next().ok_or_else(|| unknown("no address".to_owned()))
    }

    /// A request to a path of the tenant, e.g. `appointments/`.
    pub(super) fn tenant_request(
        &self,
        method: &'static str,
        path: &str,
    ) -> Result<RequestTemplate, LoadError> {
        self.request(method, &format!("/v1/tenants/{}/{path}", self.slug()?))
    }

    /// The tenant, if it has the form of one.
    pub(super) fn slug(&self) -> Result<&str, LoadError> {
        let slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.tenant.is_empty() || self.tenant.len() > 63 || !self.tenant.bytes().all(slug) {
            return Err(LoadError::Invalid(format!(
                "--tenant {}: expected a slug such as salon-3",
                self.tenant
            )));
        }
        Ok(&self.tenant)
    }

    /// A request of a salon's old client, which names its tenant by a header.
    pub(super) fn salon_request(
        &self,
        method: &'static str,
        path: &str,
    ) -> Result<RequestTemplate, LoadError> {
        self.tenant_request(method, "")?; // only a slug goes into a header
        self.request_with(method, path, &format!("x-tenant: {}\r\n", self.tenant))
    }

    /// A request to a path that begins with `path`.
    pub(super) fn request(&self, method: &'static str, path: &str) -> Result<RequestTemplate, LoadError> {
        self.request_with(method, path, "")
    }

    fn request_with(
        &self,
        method: &'static str,
        path: &str,
        headers: &str,
    ) -> Result<RequestTemplate, LoadError> {
        let mut behind_path = format!(" HTTP/1.1\r\nhost: {}\r\n{headers}", self.authority()?);
        if let Some(key) = &self.key {
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(LoadError::Invalid("--key: holds what no key can hold".to_owned()));
            }
            behind_path.push_str(&format!("authorization: Bearer {key}\r\n"));
        }
        let has_body = method != "GET";
        behind_path.push_str(if has_body {
            "content-type: application/json\r\ncontent-length: "
        } else {
            "\r\n"
        });
        Ok(RequestTemplate {
            before: format!("{method} {path}").into_bytes(),
            behind_path: behind_path.into_bytes(),
            has_body,
        })
    }
}

/// Everything of a request but the end of its path and its body.
#[derive(Debug)]
pub(super) struct RequestTemplate {
    before: Vec<u8>,
    behind_path: Vec<u8>,
    has_body: bool,
}

impl RequestTemplate {
    /// Appends the request with the given end of the path and, unless it is a GET, the given body.
    pub(super) fn write(&self, out: &mut Vec<u8>, path_end: &[u8], body: &[u8]) {
        assert!(self.has_body || body.is_empty());
        out.extend_from_slice(&self.before);
        out.extend_from_slice(path_end);
        out.extend_from_slice(&self.behind_path);
        if self.has_body {
            push_number(out, body.len() as u64);
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target { url: url.to_owned(), tenant: "salon-3".to_owned(), key: Some("mk_1".to_owned()) }
    }

    #[test]
    fn addresses_are_taken_from_urls() {
        for (url, address) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert_eq!(target(url).address().unwrap().to_string(), address, "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for url in [
            "https://127.0.0.1",
            "127.0.0.1:8080",
            "http://",
            "http://h/path",
            "http://h\r\nx: y",
            "http://u@h",
        ] {
            assert!(matches!(target(url).address(), Err(LoadError::Invalid(_))), "{url}");
        }
    }

    #[test]
    fn a_request_is_written_whole() {
        let mut out = Vec::new();
        let put = target("http://h:1").tenant_request("PUT", "appointments/").unwrap();
        put.write(&mut out, b"x1", b"{\"a\":1}");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "PUT /v1/tenants/salon-3/appointments/x1 HTTP/1.1\r\nhost: h:1\r\nauthorization: Bearer mk_1\r\n\
             content-type: application/json\r\ncontent-length: 7\r\n\r\n{\"a\":1}"
        );
        let mut out = Vec::new();
        let anonymous = Target { key: None, ..target("http://h") };
        anonymous.request("GET", "/health").unwrap().write(&mut out, b"/ready", b"");
        assert_eq!(String::from_utf8(out).unwrap(), "GET /health/ready HTTP/1.1\r\nhost: h\r\n\r\n");
    }

    #[test]
    fn tenants_and_keys_that_would_break_the_request_are_refused() {
        let bad_tenant = Target { tenant: "a/b".to_owned(), ..target("http://h") };
        assert!(matches!(bad_tenant.tenant_request("GET", ""), Err(LoadError::Invalid(_))));
        let bad_key = Target { key: Some("mk\r\nx".to_owned()), ..target("http://h") };
        assert!(matches!(bad_key.request("GET", "/"), Err(LoadError::Invalid(_))));
    }
}
