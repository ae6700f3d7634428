//! A client of a running server, for the commands that take `--url`: one connection for each request.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

use super::failure::Failure;

/// The most bytes of an answer that is read as a whole.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// A body that is sent.
pub(super) type SentBody = BoxBody<Bytes, std::io::Error>;

/// A server, and who asks it.
#[derive(Clone)]
pub(super) struct Client {
    authority: String,
    address: (String, u16),
    key: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a client of {}", self.authority)
    }
}

/// An answer that says no.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

impl Client {
    /// A client of the server at `url`: `http://HOST[:PORT]`.
    ///
    /// # Errors
    /// [`Failure`] for any other URL.
    pub(super) fn new(url: &str, key: Option<String>) -> Result<Self, Failure> {
        let invalid = || Failure::usage(format!("--url {url}: expected http://HOST[:PORT]"));
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let plain =
            uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        let (Some(authority), true) = (uri.authority(), plain) else { return Err(invalid()) };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let address = (host, authority.port_u16().unwrap_or(80));
        Ok(Client { authority: authority.to_string(), address, key })
    }

    /// Sends a request and gives back the answer, whatever it is.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: SentBody,
    ) -> Result<Response<Incoming>, Failure> {
        let unreachable = |why: String| {
            Failure::unable(format!(
                "cannot reach http://{}: {why}. Is the server running? Use --data DIR for a stopped one",
                self.authority
            ))
        };
        let (host, port) = &self.address;
        let stream =
            TcpStream::connect((&**host, *port)).await.map_err(|error| unreachable(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        tokio::spawn(connection); // its errors reach the request or the body
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.authority);
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request
            .body(body)
            .map_err(|_| Failure::usage("--key, --tenant or --url hold what no request can hold"))?;
        sender.send_request(request).await.map_err(|error| unreachable(error.to_string()))
    }

    /// Sends a request with a JSON body, if there is one, and reads the JSON of the answer.
    ///
    /// # Errors
    /// [`Failure`] with the server's own words when it says no.
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let (status, bytes) = self.exchange(method, path, body).await?;
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::unable(format!("the answer is no JSON: {error}")))
    }

    /// Sends a request with a JSON body, if there is one, and reads the answer.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let content_type = if body.is_some() { "application/json" } else { "" };
        let response = self.send(method, path, content_type, whole(body.map(Value::to_string))).await?;
        let status = response.status();
        Ok((status, read(response).await?))
    }
}

/// A body that is there as a whole.
pub(super) fn whole(text: Option<String>) -> SentBody {
    Full::new(Bytes::from(text.unwrap_or_default())).map_err(|never| match never {}).boxed()
}

/// Reads an answer as a whole.
///
/// # Errors
/// [`Failure`].
pub(super) async fn read(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let limited = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let collected =
        limited.collect().await.map_err(|error| Failure::unable(format!("the answer: {error}")))?;
    Ok(collected.to_bytes())
}

/// What the server says when it says no.
pub(super) fn refusal(status: StatusCode, bytes: &[u8]) -> Failure {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(Problem { code, detail }) if status == StatusCode::UNAUTHORIZED => {
            Failure::unable(format!("{detail} ({code}): name an API key (mk_…) with --key or in MAITRED_KEY"))
        }
        Ok(Problem { code, detail }) => Failure::unable(format!("{detail} ({code})")),
        Err(_) => Failure::unable(format!("the server answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_a_plain_url() {
        for (url, host, port) in [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080),
            ("http://localhost/", "localhost", 80),
            ("http://[::1]:9", "::1", 9),
        ] {
            let Ok(client) = Client::new(url, None) else { panic!("{url}") };
            assert_eq!(client.address, (host.to_owned(), port), "{url}");
        }
        for url in ["https://a", "a:80", "http://a/b", "http://a?b", "", "http://"] {
            assert!(Client::new(url, None).is_err(), "{url}");
        }
    }
}
