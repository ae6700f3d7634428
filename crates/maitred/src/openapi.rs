//! The API document (OpenAPI 3.1): what is the same for every operation is written here once.

use maitred_web::{Permission, Problem};
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

/// The document without its operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "maitred",
        description = "A booking engine: gives out what is scarce, exactly once, and remembers everything.\n\n\
            **Errors** are problem details (RFC 9457) with a stable `code`, each with a page at its `type`. \
            **Writes** answer `Maitred-Position`; a read that sends it back sees at least that write. \
            **History**: `as_of` on every read of records. **Retries** are safe with an `Idempotency-Key`.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    components(schemas(Problem)),
    modifiers(&Security),
    tags(
        (name = "appointments", description = "Time on a resource, owned by another system"),
        (name = "flash sales", description = "Products, what is sold of them in a rush, and who bought it"),
        (name = "users", description = "Accounts: register, log in, change the password, leave"),
        (name = "changes", description = "What happened to records, in pages and live"),
        (name = "tenants", description = "Businesses: every rule and limit lives inside one"),
        (name = "api keys", description = "Who may do what"),
        (name = "operation", description = "Health and metrics"),
    ),
)]
pub struct Document;

/// How a caller says who they are.
struct Security;

const BEARER: &str = "bearer";
const BASIC: &str = "basic";

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = |scheme, description: &str| {
            let mut http = Http::new(scheme);
            http.description = Some(description.to_owned());
            SecurityScheme::Http(http)
        };
        let components = document.components.get_or_insert_default();
        let bearer = scheme(
            HttpAuthScheme::Bearer,
            "An API key (`mk_…`), or a user's token. Without `--auth` the server asks for keys nowhere, and for tokens where a route is about the user.",
        );
        let basic =
            scheme(HttpAuthScheme::Basic, "The same key as the password; the user name does not matter.");
        components.add_security_scheme(BEARER, bearer);
        components.add_security_scheme(BASIC, basic);
    }
}

/// The operations of a path, by their methods.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, options, head, patch, trace, query, .. } = item;
    let all = [
        ("GET", get),
        ("PUT", put),
        ("POST", post),
        ("DELETE", delete),
        ("OPTIONS", options),
        ("HEAD", head),
        ("PATCH", patch),
        ("TRACE", trace),
        ("QUERY", query),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Whether an operation has parameters in its query.
pub fn reads_query(operation: &Operation) -> bool {
    let parameters = operation.parameters.iter().flatten();
    parameters.into_iter().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => false,
    })
}

/// Writes what an operation has because of its permission, and the refusals that every operation may answer.
pub fn describe(path: &str, operation: &mut Operation, permission: Permission) {
    let needs = format!("Permission: `{}`.", permission.name());
    operation.description = Some(match operation.description.take() {
        Some(text) => format!("{text}\n\n{needs}"),
        None => needs,
    });
    let keys = [BEARER, BASIC].map(|scheme| SecurityRequirement::new(scheme, [""; 0]));
    let anonymous = (permission == Permission::Public).then(SecurityRequirement::default);
    operation.security = Some(anonymous.into_iter().chain(keys).collect());
    let has_body = operation.request_body.is_some();
    let mut refusals =
        vec![("default", "Any other problem: too many requests, overload, a timeout, a fault")];
    if permission != Permission::Public {
        refusals.push(("401", "No credentials, or none that are valid"));
        refusals.push(("403", "The credentials do not permit this"));
    }
    if path.contains("{tenant}") {
        refusals.push(("404", "There is no such tenant"));
    }
    if operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) || has_body {
        refusals.push(("400", "Malformed: JSON, a field, a parameter, a header"));
    }
    if has_body {
        refusals.push(("413", "The body is too large"));
        refusals.push(("415", "The body is not JSON"));
        refusals.push(("422", "Well-formed, but against a rule: `errors` names the fields"));
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in refusals {
        let refusal = || ResponseBuilder::new().description(description).build().into();
        let response = responses.entry(status.to_owned()).or_insert_with(refusal);
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            description.clone_into(&mut response.description);
        }
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && (status == "default" || status.as_str() >= "400")
        {
            as_problem(response);
        }
    }
}

fn as_problem(response: &mut Response) {
    let schema = Ref::from_schema_name(Problem::name());
    response.content.clear();
    response.content.insert("application/problem+json".to_owned(), Content::new(Some(schema)).into());
}
