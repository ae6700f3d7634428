//! `GET /`: for a browser what this is, and where to go from here; for other clients that the server runs, as the salon
//! system that is replaced says it there.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, HOST, VARY};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use maitred_web::Problem;

use crate::{docs, drop_in};

/// The page.
pub(crate) fn pages() -> Vec<(&'static str, MethodRouter)> {
    vec![("/", any(welcome))]
}

async fn welcome(request: Request) -> Result<Response, Problem> {
    let (method, headers) = (request.method(), request.headers());
    if !method.is_safe() {
        return Err(Problem::path_unknown());
    }
    if !wants_html(headers) {
        return Ok(([(VARY, "Accept")], drop_in::fapi::running()).into_response());
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_plain(host));
    let page = docs::page(docs::framed("maitred", &body(host.unwrap_or("127.0.0.1:8080"))));
    Ok(([(VARY, "Accept")], page).into_response())
}

/// Whether `text/html` is among what the client accepts, as it is with every browser and with no other client.
fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(','));
    types.any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("text/html"))
            && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

/// Whether a host can stand in a page and in a command as it is.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

fn body(host: &str) -> String {
    format!(
        r#"<h1>maitred</h1>
<p>A booking engine: it gives out what is scarce, exactly once, and remembers everything. This address is an API for
programs; these pages are for people:</p>
<ul>
<li><a href="/docs">The API</a>, to read and to try out (<a href="/openapi.json">as OpenAPI</a>)</li>
<li><a href="/docs/errors">Problems</a>: what each refusal means, and what to do</li>
<li><a href="/health">Health</a>, <a href="/health/ready">readiness</a></li>
</ul>
<h2>First steps</h2>
<p>With a key where the server demands one (<code>-u x:mk_…</code>), make an appointment, and see what there is:</p>
<pre><code>curl -X PUT -H 'Content-Type: application/json' \
  http://{host}/v1/tenants/default/appointments/first \
  -d '{{"starts_at": "2030-01-01T10:00:00Z", "ends_at": "2030-01-01T11:00:00Z",
       "created_at": "2030-01-01T00:00:00Z", "updated_at": "2030-01-01T00:00:00Z"}}'
curl http://{host}/v1/tenants/default/appointments</code></pre>
<p>Send the first once more with other times and a later <code>updated_at</code>: it moves. Every version is kept:
<code>/v1/tenants/default/appointments/first/versions</code>.</p>
<p>Started with <code>--demo</code>, the server has a tenant <code>demo</code> with
<a href="/v1/tenants/demo/appointments">appointments</a>, <a href="/v1/tenants/demo/bookings">bookings</a>,
<a href="/v1/tenants/demo/sales">a flash sale</a> and <a href="/v1/tenants/demo/providers">two providers of events</a>. What
changes of appointments, bookings and orders is sent to <a href="/v1/tenants/demo/webhooks">its webhook</a>: open the
<code>url</code> that this shows, and see what has arrived.</p>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_wants_html_and_other_clients_do_not() {
        let wants = |accept: &'static str| {
            wants_html(&[(ACCEPT, accept.parse().expect("a value"))].into_iter().collect())
        };
        assert!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(wants("application/json, Text/HTML;level=1; q=0.4"));
        for other in ["*/*", "application/json", "text/html;q=0", "text/htmlx", ""] {
            assert!(!wants(other), "{other}");
        }
    }

    #[test]
    fn a_host_that_is_none_does_not_stand_in_a_page() {
        assert!(is_plain("[::1]:8080") && is_plain("salon.example:80"));
        assert!(!is_plain("a<b>") && !is_plain("a'b") && !is_plain("a$(b)"));
    }
}
