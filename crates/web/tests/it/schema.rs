//! What the API document says of the shared types.

use maitred_web::{AsOf, Limit, Page, Problem, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, OpenApi, ToSchema};

#[derive(Serialize, ToSchema)]
struct Thing {
    starts_at: Time,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here")]
struct Filters {
    #[param(inline)]
    as_of: Option<AsOf>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/things", params(Filters), responses((status = 200, body = Page<Thing>), Problem))]
#[expect(dead_code, reason = "only described here")]
async fn things() {}

#[derive(OpenApi)]
#[openapi(paths(things), components(schemas(Problem)))]
struct Document;

fn document() -> Value {
    serde_json::to_value(Document::openapi()).expect("JSON")
}

/// The schema itself, where a reference stands for it.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            document.pointer(reference.trim_start_matches('#')).expect("a schema that is there")
        }
        None => schema,
    }
}

#[test]
fn a_problem_is_the_default_answer_of_a_route() {
    let document = document();
    let responses = &document["paths"]["/things"]["get"]["responses"];
    let content = &responses["default"]["content"]["application/problem+json"]["schema"];
    let schema = resolved(&document, content);
    assert_eq!(schema["required"], json!(["type", "title", "status", "detail", "code"]));
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["properties"]["errors"]["items"]["required"], json!(["detail"]));
}

#[test]
fn a_page_is_described_with_its_items() {
    let document = document();
    let content = &document["paths"]["/things"]["get"]["responses"]["200"]["content"];
    let page = resolved(&document, &content["application/json"]["schema"]);
    assert_eq!(page["properties"]["next_cursor"]["type"], json!(["string", "null"]));
    let item = resolved(&document, &page["properties"]["items"]["items"]);
    let time = resolved(&document, &item["properties"]["starts_at"]);
    assert_eq!((&time["type"], &time["format"]), (&json!("string"), &json!("date-time")));
}

#[test]
fn the_bounds_of_parameters_are_described() {
    let document = document();
    let parameters = document["paths"]["/things"]["get"]["parameters"].as_array().expect("parameters");
    let parameter = |name: &str| parameters.iter().find(|p| p["name"] == name).expect("a parameter");
    let limit = resolved(&document, &parameter("limit")["schema"]);
    assert_eq!(
        (&limit["minimum"], &limit["maximum"], &limit["default"]),
        (&json!(1), &json!(1000), &json!(100))
    );
    assert_eq!(parameter("limit")["required"], false);
    let as_of = parameter("as_of")["schema"].to_string();
    assert!(as_of.contains("0.42"), "{as_of}");
}
