//! The description of it all, in OpenAPI 3.1.

use super::answer::{PROBLEM, Problem};
use super::operations::{Answered, DESCRIPTION, OPERATIONS, Operation, Place, Shape};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

/// What each status of a problem means.
const STATUSES: [(u16, &str); 15] = [
    (400, "The request is not as it is described here."),
    (401, "Over TCP, the token was not shown."),
    (403, "Whoever asks, or whoever is named, may not."),
    (404, "There is no such thing."),
    (408, "The body did not come in time."),
    (409, "It cannot be done as things stand: see the code."),
    (413, "The body is too long."),
    (415, "The body is not JSON."),
    (421, "The request was meant for another host."),
    (422, "It is refused by a rule, or the Idempotency-Key was used for something else."),
    (429, "One requester asks for too much."),
    (500, "Something is wrong with the installation."),
    (503, "Something does not answer, or is in use: ask again."),
    (507, "There is no room for what would be recorded."),
    (200, "It is so, or it was done."),
];

/// What any request may be answered.
const OF_ALL: [u16; 6] = [400, 401, 403, 421, 500, 503];

/// The description.
pub(crate) fn document() -> Value {
    let mut schemas = BTreeMap::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS.iter().chain([&DESCRIPTION]) {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            let method = if operation.is_read() { "get" } else { "post" };
            item.insert(method.into(), described(operation, &mut schemas));
        }
    }
    let mut inner = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut inner);
    add(&mut schemas, inner);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cradle, for programs of operators",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What `cradle` does at the command line. At the socket, whoever may open the data directory may ask; over \
                TCP, whoever shows the token.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Over TCP: what is in `api/token`."},
            },
        },
    })
}

fn described(operation: &Operation, schemas: &mut BTreeMap<String, Value>) -> Value {
    let parameters = operation.parameters.iter().map(|parameter| {
        let place = if parameter.place == Place::Path { "path" } else { "query" };
        json!({
            "name": parameter.name, "in": place, "required": parameter.place == Place::Path,
            "description": parameter.what, "schema": parameter.kind.schema(),
        })
    });
    let key = (!operation.is_read()).then(|| {
        json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same key with the same request is carried out once, and answered as the first time.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
        })
    });
    let parameters: Vec<_> = parameters.chain(key).collect();
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation, schemas),
    });
    if let (Some((body, _)), Some(described)) = (&operation.body, described.as_object_mut()) {
        let content = json!({"application/json": {"schema": reference(body, schemas)}});
        described.insert("requestBody".into(), json!({"required": true, "content": content}));
    }
    described
}

fn responses(operation: &Operation, schemas: &mut BTreeMap<String, Value>) -> Value {
    let schema = match operation.answer {
        Answered::One(shape) => reference(&shape, schemas),
        Answered::Page(shape) => json!({
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": reference(&shape, schemas)},
                "next": {"type": ["string", "null"], "description": "The cursor of the next page, if there is one."},
            },
            "required": ["items", "next"],
            "additionalProperties": false,
        }),
        Answered::Description => json!({"type": "object"}),
    };
    let what = |status: u16| STATUSES.iter().find(|(known, _)| *known == status).map_or("", |(_, what)| what);
    let mut responses = Map::new();
    let answer = json!({"description": what(200), "content": {"application/json": {"schema": schema}}});
    responses.insert("200".into(), answer);
    let problem = format!("#/components/schemas/{}", Problem::name());
    for status in OF_ALL.iter().chain(operation.problems) {
        let content = json!({PROBLEM: {"schema": {"$ref": problem}}});
        responses.insert(status.to_string(), json!({"description": what(*status), "content": content}));
    }
    Value::Object(responses)
}

/// Says where a schema is, and puts it there with all that it names.
fn reference(shape: &Shape, schemas: &mut BTreeMap<String, Value>) -> Value {
    let mut inner = vec![((shape.name)().into_owned(), (shape.schema)())];
    (shape.inner)(&mut inner);
    add(schemas, inner);
    json!({"$ref": format!("#/components/schemas/{}", (shape.name)())})
}

fn add(schemas: &mut BTreeMap<String, Value>, more: Vec<(String, RefOr<Schema>)>) {
    for (name, schema) in more {
        let schema = serde_json::to_value(schema).unwrap_or_default();
        let before = schemas.insert(name.clone(), schema.clone());
        debug_assert!(before.is_none_or(|before| before == schema), "two things are called {name}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn file() -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/openapi.json"))
    }

    #[test]
    fn the_description_is_the_one_that_is_checked_in() {
        let kept: Value = serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap();
        assert_eq!(
            document(),
            kept,
            "the API changed: run the ignored test beside this one, and look at the difference"
        );
    }
    #[test]
    #[ignore = "writes the file that the test beside it compares with"]
    fn the_description_is_written() {
        // The same order wherever it is written.
        let sorted: BTreeMap<String, Value> = serde_json::from_value(document()).unwrap();
        std::fs::write(file(), serde_json::to_string_pretty(&sorted).unwrap() + "\n").unwrap();
    }
    #[test]
    fn each_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let mut found = 0;
        for place in text.split("\"#/components/schemas/").skip(1) {
            let name = place.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
            found += 1;
        }
        assert!(found > 30, "{found}");
    }
    #[test]
    fn each_status_has_its_meaning_and_each_operation_its_name() {
        let document = document();
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                assert!(names.insert(operation["operationId"].to_string()), "{path}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert_ne!(response["description"], "", "{path} {status}");
                }
            }
        }
        assert_eq!(names.len(), OPERATIONS.len() + 1);
    }
}
