//! The API document (OpenAPI 3.1): what is the same for every operation is written here once.

use maitred_web::{Permission, Problem};
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::examples;

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
        (name = "salons", description = "Staff, services, shifts, what can be booked, and what is"),
        (name = "flash sales", description = "Products, what is sold of them in a rush, and who bought it"),
        (name = "catalogue", description = "Events of providers, their runs, and the search"),
        (name = "users", description = "Accounts: register, log in, change the password, leave"),
        (name = "changes", description = "What happened to records, in pages and live"),
        (name = "tenants", description = "Businesses: every rule and limit lives inside one"),
        (name = "api keys", description = "Who may do what"),
        (name = "jobs", description = "Long work, and what queues it by itself"),
        (name = "operation", description = "Health, metrics, and what follows the log"),
    ),
)]
pub struct Document;

/// How a caller says who they are.
struct Security;

const BEARER: &str = "bearer";
const BASIC: &str = "basic";
const JSON: &str = "application/json";

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
    name_parameters_once(operation);
    let has_body = operation.request_body.is_some();
    // A body of lines is read as it comes, whatever it is declared as: what is wrong with it stands in the answer.
    let is_json = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.contains_key(JSON),
        Some(RefOr::Ref(_)) => true,
        None => false,
    };
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
    if is_json {
        refusals.push(("413", "The body is too large"));
        refusals.push(("415", "The body is not JSON"));
        refusals.push(("422", "Well-formed, but against a rule: `errors` names the fields"));
    }
    add_refusals(operation, &refusals);
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && (status == "default" || status.as_str() >= "400")
        {
            as_problem(response);
        }
    }
}

/// Writes the refusals that every operation of a replaced service may answer, in its own form: some JSON.
pub fn describe_drop_in(operation: &mut Operation) {
    name_parameters_once(operation);
    let mut refusals = vec![("default", "Any other refusal, in the same form: overload, a timeout, a fault")];
    let schemes = operation.security.as_deref().unwrap_or_default();
    if !schemes.contains(&SecurityRequirement::default()) {
        refusals.push(("401", "The server demands a key, and none that it knows was sent"));
        refusals.push(("403", "The key does not permit this, or this API is not enabled"));
    }
    if operation.request_body.is_some() {
        refusals.push(("413", "The body is too large"));
        refusals.push(("429", "Too many: requests with a key in a day, or tenants made by a first write"));
    }
    add_refusals(operation, &refusals);
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && (status == "default" || status.as_str() >= "400")
            && response.content.is_empty()
        {
            let some = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true)));
            let content = Content::new(Some(RefOr::T(Schema::from(some))));
            response.content.insert(JSON.to_owned(), content.into());
        }
    }
}

/// Gives an operation's body its example, and takes the marks out of its summary, which is plain text.
pub fn show(method: &str, path: &str, operation: &mut Operation) {
    if let Some(summary) = &mut operation.summary {
        *summary = summary.replace('`', "").replace('\n', " ");
    }
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    if let Some(RefOr::T(content)) = body.content.get_mut(JSON) {
        content.example = examples::body(method, path);
    }
}

/// A path's part that two of an operation's extractors describe stands once.
fn name_parameters_once(operation: &mut Operation) {
    let Some(parameters) = &mut operation.parameters else { return };
    let mut named = Vec::new();
    parameters.retain(|parameter| {
        let RefOr::T(parameter) = parameter else { return true };
        let name = (parameter.name.clone(), parameter.parameter_in.clone());
        let is_new = !named.contains(&name);
        named.push(name);
        is_new
    });
}

/// Adds what an operation does not describe by itself.
fn add_refusals(operation: &mut Operation, refusals: &[(&str, &str)]) {
    for (status, description) in refusals {
        let refusal = || ResponseBuilder::new().description(*description).build().into();
        let response = operation.responses.responses.entry((*status).to_owned()).or_insert_with(refusal);
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            (*description).clone_into(&mut response.description);
        }
    }
}

fn as_problem(response: &mut Response) {
    let schema = Ref::from_schema_name(Problem::name());
    response.content.clear();
    response.content.insert("application/problem+json".to_owned(), Content::new(Some(schema)).into());
}
