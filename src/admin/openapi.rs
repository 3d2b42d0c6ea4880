//! The admin API as an OpenAPI 3.1 document, written from the table of routes and the types.

use std::collections::BTreeMap;

use provost_protocol::Problem;
use serde_json::{Map, Value, json};
use utoipa::{
    ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{
    auth::Needs,
    body, page,
    routes::{Method, Route, all},
    view,
};

/// Writes the document.
#[must_use]
pub fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in all() {
        let item = paths.entry(route.path).or_default();
        item.insert(route.method.as_str().to_owned(), operation(route));
    }
    for (path, about, kind) in OPEN {
        let answer = json!({"description": about, "content": {kind: {}}});
        let get = json!({
            "operationId": path.trim_start_matches('/').replace('.', "_"),
            "summary": about,
            "security": [],
            "responses": {"200": answer, "default": refusal()},
        });
        paths.entry(path).or_default().insert("get".to_owned(), get);
    }
    let key = json!({"type": "http", "scheme": "bearer", "bearerFormat": "pvk_"});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Provost admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
        },
        "security": [{"admin_key": []}],
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"admin_key": key}},
    })
}

fn operation(route: &Route) -> Value {
    let (status, schema) = route.answer;
    let mut responses = Map::new();
    let good = json!({
        "description": route.about,
        "headers": {
            "X-Correlation-Id": {"schema": {"type": "string"}},
            "X-RateLimit-Limit": {"schema": {"type": "integer"}},
            "X-RateLimit-Remaining": {"schema": {"type": "integer"}},
            "X-RateLimit-Reset": {"schema": {"type": "integer"}},
        },
        "content": {"application/json": {"schema": named(schema)}},
    });
    responses.insert(status.to_string(), good);
    responses.insert("default".to_owned(), refusal());
    let role = match route.needs {
        Needs::Read => "any role",
        Needs::Write => "role admin or super_admin",
    };
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.about,
        "description": format!("Needs {role}."),
        "parameters": parameters(route),
        "responses": responses,
    });
    if let Some(schema) = route.body {
        let body = json!({
            "required": !matches!(schema, "Reason" | "RevokeAll"),
            "content": {"application/json": {"schema": named(schema)}},
        });
        operation["requestBody"] = body;
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    let ids = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for name in ids {
        let schema = match name {
            "seq" => json!({"type": "integer", "minimum": 1}),
            _ => json!({"type": "string", "format": "uuid"}),
        };
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    for name in route.query {
        let schema = match *name {
            "limit" => json!({"type": "integer", "minimum": 1, "maximum": page::LIMIT_MAX}),
            "after" | "from_size" => json!({"type": "integer", "minimum": 0}),
            "since" | "until" => json!({"type": "string", "format": "date-time"}),
            "runtime_id" | "correlation_id" => json!({"type": "string", "format": "uuid"}),
            _ => json!({"type": "string"}),
        };
        let required = *name == "feature";
        parameters
            .push(json!({"name": name, "in": "query", "required": required, "schema": schema}));
    }
    let mut header = |name: &str, schema: Value| {
        parameters.push(json!({"name": name, "in": "header", "schema": schema}));
    };
    header(
        "X-Correlation-Id",
        json!({"type": "string", "format": "uuid"}),
    );
    match route.method {
        Method::Get => {}
        Method::Put | Method::Post | Method::Delete => {
            header(
                "Idempotency-Key",
                json!({"type": "string", "maxLength": 255}),
            );
            header("If-Match", json!({"type": "string"}));
        }
    }
    parameters
}

fn refusal() -> Value {
    let schema = named("Problem");
    json!({"description": "refused", "content": {"application/problem+json": {"schema": schema}}})
}

fn named(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn schemas() -> BTreeMap<String, RefOr<Schema>> {
    let mut schemas = BTreeMap::new();
    add::<Problem>(&mut schemas);
    add::<body::CreateTenant>(&mut schemas);
    add::<body::Reason>(&mut schemas);
    add::<body::RevokeAll>(&mut schemas);
    add::<body::CreateToken>(&mut schemas);
    add::<body::SetEntitlement>(&mut schemas);
    add::<body::SetLimit>(&mut schemas);
    add::<body::AddProvider>(&mut schemas);
    add::<body::AttachRuntime>(&mut schemas);
    add::<body::CreateAdminKey>(&mut schemas);
    add::<body::RotateCa>(&mut schemas);
    add::<body::RevokeCertificate>(&mut schemas);
    add::<view::Ca>(&mut schemas);
    add::<view::Rotated>(&mut schemas);
    add::<view::Revocation>(&mut schemas);
    add::<view::RuntimeRevoked>(&mut schemas);
    add_page::<view::CaRuntime>("CaRuntimePage", &mut schemas);
    add::<view::Keys>(&mut schemas);
    add::<view::Directives>(&mut schemas);
    add::<view::Status>(&mut schemas);
    add::<view::TokenCreated>(&mut schemas);
    add::<view::AdminKeyCreated>(&mut schemas);
    add::<view::Checkpoint>(&mut schemas);
    add::<view::InclusionProof>(&mut schemas);
    add_page::<view::Tenant>("TenantPage", &mut schemas);
    add_page::<view::Runtime>("RuntimePage", &mut schemas);
    add_page::<view::Token>("TokenPage", &mut schemas);
    add_page::<view::Entitlement>("EntitlementPage", &mut schemas);
    add_page::<view::Provider>("ProviderPage", &mut schemas);
    add_page::<view::Attachment>("AttachmentPage", &mut schemas);
    add_page::<view::License>("LicensePage", &mut schemas);
    add_page::<view::AdminKey>("AdminKeyPage", &mut schemas);
    add_page::<provost_protocol::json::RawJson>("EventPage", &mut schemas);
    schemas
}

fn add<T: ToSchema>(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let mut inner = Vec::new();
    T::schemas(&mut inner);
    schemas.extend(inner);
    schemas.insert(T::name().into_owned(), T::schema());
}

fn add_page<T: ToSchema>(name: &str, schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    add::<T>(schemas);
    let mut inner = Vec::new();
    <view::Page<T> as ToSchema>::schemas(&mut inner);
    schemas.extend(inner);
    schemas.insert(
        name.to_owned(),
        <view::Page<T> as utoipa::PartialSchema>::schema(),
    );
}

const OPEN: [(&str, &str, &str); 4] = [
    ("/healthz", "The process answers.", "text/plain"),
    ("/readyz", "Requests can be served.", "text/plain"),
    (
        "/metrics",
        "Figures in the Prometheus text format.",
        "text/plain",
    ),
    ("/openapi.json", "This document.", "application/json"),
];

const ABOUT: &str = "Plain HTTP on the kernel's own machine. Every change is an event in the \
    tenant's log with who made it. Another tenant's id is not found. A repeated Idempotency-Key \
    answers what came of the first request, for 24 hours.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let mut seen = 0;
        for part in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(
                document["components"]["schemas"].get(name).is_some(),
                "{name}"
            );
            seen += 1;
        }
        assert!(seen > 50, "{seen}");
    }

    /// `UPDATE_GOLDEN=1 cargo test -p provost` rewrites it, for a diff to be read.
    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admin-openapi.json");
        let mut text = serde_json::to_string_pretty(&document()).unwrap();
        text.push('\n');
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            std::fs::write(path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == text,
            "docs/admin-openapi.json differs; UPDATE_GOLDEN=1 rewrites it"
        );
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_an_answer() {
        let mut names: Vec<_> = all().map(|route| route.id).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let mut places: Vec<_> = all().map(|route| (route.path, route.method)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
    }
}
