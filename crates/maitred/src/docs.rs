//! Pages for people: the interactive API pages, and a page for each kind of problem.
//!
//! All of them come from the binary, and load nothing from anywhere else: their `Content-Security-Policy` says so.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use maitred_web::Problem;
use utoipa_swagger_ui::Config;

/// Where the API document is.
const DOCUMENT_PATH: &str = "/openapi.json";
/// The files of Swagger UI that the page loads.
const ASSETS: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];
/// The page's own script: a policy that permits no script inside a page wants it apart.
const START: &str = "start.js";
/// Scripts and requests to this server alone. Swagger UI writes styles into elements, and has images in its CSS.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// What belongs to a build is asked for again once an hour.
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The pages.
pub fn pages() -> Vec<(&'static str, MethodRouter)> {
    vec![
        ("/docs", get(interactive)),
        ("/docs/", get(interactive)),
        // Where the clients of the replaced appointment service look.
        ("/api/docs", get(interactive)),
        ("/api/docs/", get(interactive)),
        ("/docs/assets/{file}", get(asset)),
        ("/docs/errors", get(errors)),
        ("/docs/errors/{code}", get(error)),
    ]
}

/// The page of the API document.
pub fn document(document: &utoipa::openapi::OpenApi) -> (&'static str, MethodRouter) {
    let json = Bytes::from(to_json(document));
    (DOCUMENT_PATH, get(move || async move { ([(CONTENT_TYPE, "application/json")], json) }))
}

/// The document as it is served, and kept in `docs/openapi.json`.
///
/// # Panics
/// Never: a document has a JSON form.
pub fn to_json(document: &utoipa::openapi::OpenApi) -> String {
    let mut json = serde_json::to_string_pretty(document).expect("a document has a JSON form");
    json.push('\n');
    json
}

async fn interactive() -> Response {
    let body = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>maitred: the API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/assets/favicon-32x32.png">
</head>
<body>
<main id="api"></main>
<noscript>This page needs JavaScript. The API document is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
"#;
    page(body.to_owned())
}

/// A page with the policy of all pages.
pub(crate) fn page(html: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HTML),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, html).into_response()
}

async fn asset(Path(file): Path<String>) -> Result<Response, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, AN_HOUR);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if file == START {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
        let script = format!(
            "SwaggerUIBundle({{ url: \"{DOCUMENT_PATH}\", dom_id: \"#api\", deepLinking: true, \
             presets: [SwaggerUIBundle.presets.apis], layout: \"BaseLayout\" }});\n"
        );
        return Ok((headers, script).into_response());
    }
    if !ASSETS.contains(&file.as_str()) {
        return Err(Problem::path_unknown());
    }
    let config = Arc::new(Config::new([DOCUMENT_PATH]));
    match utoipa_swagger_ui::serve(&file, config) {
        Ok(Some(found)) => {
            let content_type = HeaderValue::try_from(found.content_type);
            headers.extend(content_type.ok().map(|content_type| (CONTENT_TYPE, content_type)));
            Ok((headers, found.bytes.into_owned()).into_response())
        }
        Ok(None) => Err(Problem::path_unknown()),
        Err(error) => {
            tracing::error!(error = %error, docs.asset = file, "a part of the interactive pages cannot be served");
            Err(Problem::internal_error())
        }
    }
}

macro_rules! error_pages {
    ($($code:literal)*) => {
        /// A page for each code that a problem can have: the code, and its text from `docs/errors/`.
        pub const ERROR_PAGES: &[(&str, &str)] = &[
            $(($code, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/", $code, ".md"))),)*
        ];
    };
}

error_pages! {
    "absence-not-found"
    "account-closed"
    "alias-taken"
    "already-exists"
    "api-key-not-found"
    "body-invalid"
    "body-too-large"
    "body-unreadable"
    "booking-not-found"
    "buyer-limit-reached"
    "clock-suspect"
    "command-too-large"
    "consumer-not-found"
    "consumer-superseded"
    "content-encoding-unsupported"
    "content-type-unsupported"
    "credentials-invalid"
    "cursor-invalid"
    "customer-not-found"
    "data-loss"
    "delivery-not-found"
    "disk-full"
    "draining"
    "email-taken"
    "employee-in-use"
    "employee-not-found"
    "field-refused"
    "forbidden"
    "hold-expired"
    "holds-unsettled"
    "id-collision"
    "id-taken"
    "idempotency-key-invalid"
    "idempotency-key-reused"
    "idempotency-keys-exhausted"
    "internal-error"
    "invalid-alias"
    "invalid-buyer-limit"
    "invalid-colour"
    "invalid-created-at"
    "invalid-currency"
    "invalid-description"
    "invalid-duration"
    "invalid-email"
    "invalid-external-id"
    "invalid-filter"
    "invalid-headers"
    "invalid-hold-seconds"
    "invalid-interval"
    "invalid-inventory"
    "invalid-items"
    "invalid-job-input"
    "invalid-job-kind"
    "invalid-locale"
    "invalid-metadata"
    "invalid-name"
    "invalid-notes"
    "invalid-password"
    "invalid-phone"
    "invalid-price"
    "invalid-processing"
    "invalid-quantity"
    "invalid-reason"
    "invalid-reference"
    "invalid-reminder-hours"
    "invalid-reply-to"
    "invalid-resource"
    "invalid-resource-kind"
    "invalid-role"
    "invalid-rrule"
    "invalid-schedule"
    "invalid-sender-name"
    "invalid-settings"
    "invalid-shifts"
    "invalid-skills"
    "invalid-slug"
    "invalid-time-range"
    "invalid-time-zone"
    "invalid-timeout"
    "invalid-title"
    "invalid-tombstone"
    "invalid-transition"
    "invalid-url"
    "invalid-version"
    "inventory-below-allocated"
    "inventory-short"
    "job-ended"
    "job-lease-lost"
    "job-not-ended"
    "job-not-found"
    "job-not-queued"
    "job-result-not-found"
    "json-malformed"
    "last-event-id-invalid"
    "log-away"
    "mail-not-configured"
    "mail-not-dead"
    "mail-not-found"
    "method-not-allowed"
    "not-found"
    "not-loopback"
    "order-not-found"
    "outcome-unknown"
    "overloaded"
    "password-changed"
    "path-invalid"
    "path-unknown"
    "position-invalid"
    "precondition-failed"
    "precondition-invalid"
    "product-in-use"
    "product-not-found"
    "provider-exists"
    "provider-inactive"
    "provider-not-found"
    "quantity-below-sold"
    "query-invalid"
    "rate-limited"
    "replay-under-way"
    "replica-behind"
    "request-timeout"
    "resource-in-use"
    "resource-not-found"
    "run-not-found"
    "run-not-open"
    "sale-closed"
    "sale-not-active"
    "sale-not-found"
    "schedule-not-found"
    "series-clashes"
    "series-not-found"
    "service-not-found"
    "slot-unavailable"
    "slug-taken"
    "sold-out"
    "tenant-not-found"
    "time-range-unavailable"
    "too-many-api-keys"
    "too-many-automatic-tenants"
    "too-many-dead-letters"
    "too-many-events"
    "too-many-failing"
    "too-many-holds"
    "too-many-jobs"
    "too-many-mails"
    "too-many-open-sales"
    "too-many-providers"
    "too-many-records"
    "too-many-schedules"
    "too-many-waiting"
    "too-many-webhooks"
    "unauthenticated"
    "user-not-found"
    "version-differs"
    "version-mismatch"
    "version-missing"
    "version-not-newer"
    "waitlist-entry-not-found"
    "webhook-inactive"
    "webhook-not-found"
    "wrong-password"
    "zone-not-for-sale"
    "zone-without-price"
}

async fn errors() -> Response {
    let mut body = String::from("<h1>Problems</h1>\n<ul>\n");
    for (code, text) in ERROR_PAGES {
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        body.push_str(&format!("<li><a href=\"/docs/errors/{code}\"><code>{code}</code></a>: "));
        escape(title, &mut body);
        body.push_str("</li>\n");
    }
    body.push_str("</ul>\n");
    page(framed("Problems", &body))
}

async fn error(Path(code): Path<String>) -> Result<Response, Problem> {
    let found = ERROR_PAGES.iter().find(|(known, _)| *known == code);
    let (code, text) = found.ok_or_else(Problem::path_unknown)?;
    Ok(page(framed(code, &to_html(text))))
}

/// A page with a title, and the links of all pages.
pub(crate) fn framed(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }}\
         </style>\n</head>\n<body>\n{body}<p><a href=\"/docs/errors\">All problems</a> · \
         <a href=\"/docs\">The API</a></p>\n</body>\n</html>\n"
    )
}

/// The few forms of Markdown that the pages use: a heading, paragraphs, lists, and `code`.
fn to_html(markdown: &str) -> String {
    let mut html = String::with_capacity(markdown.len() * 2);
    for block in markdown.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        if let Some(heading) = block.strip_prefix("# ") {
            element("h1", heading, &mut html);
        } else if block.starts_with("- ") {
            html.push_str("<ul>\n");
            for item in block.split("\n- ") {
                element("li", item.trim_start_matches("- "), &mut html);
            }
            html.push_str("</ul>\n");
        } else {
            element("p", block, &mut html);
        }
    }
    html
}

fn element(name: &str, text: &str, html: &mut String) {
    html.push_str(&format!("<{name}>"));
    for (i, part) in text.split('`').enumerate() {
        if i > 0 {
            html.push_str(if i % 2 == 1 { "<code>" } else { "</code>" });
        }
        escape(part, html);
    }
    html.push_str(&format!("</{name}>\n"));
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            _ => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_pages_use_become_html() {
        let html = to_html("# A `b` & c\n\nOne <two>\nthree.\n\n- four `5`\n- six\n");
        assert_eq!(
            html,
            "<h1>A <code>b</code> &amp; c</h1>\n<p>One &lt;two&gt;\nthree.</p>\n\
             <ul>\n<li>four <code>5</code></li>\n<li>six</li>\n</ul>\n"
        );
    }

    #[test]
    fn every_page_has_a_heading_and_closes_what_it_quotes() {
        for (code, text) in ERROR_PAGES {
            assert!(text.starts_with("# "), "{code} begins with a heading");
            assert!(
                text.split("\n\n").all(|block| block.matches('`').count() % 2 == 0),
                "{code}: a ` is open"
            );
            assert!(text.split("\n\n").count() >= 3, "{code} says what happened and what to do");
        }
    }
}
