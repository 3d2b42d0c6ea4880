//! The five v0.1 calls as an `OpenAPI` 3.1 document (KC-030).
//!
//! The bodies' schemas are derived from [`crate::v01`], so that document and code cannot differ;
//! `docs/openapi.json` is the document as committed, and a test compares the two.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ComponentsBuilder, Content, Header, HttpMethod, Info, Object, ObjectBuilder,
        OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem},
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, OneOfBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::{
    Code, CorrelationId, Problem, RuntimeId, TenantId,
    v01::{
        AUDIT_EVENTS_MAX, AuditAccepted, AuditAcceptedBatch, AuditEvent, AuditRequest, CheckAnswer,
        CheckRequest, HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest,
        ResolveAnswer, ResolveRequest,
    },
    version::ContractVersion,
};

/// Writes the document.
#[must_use]
pub fn document() -> OpenApi {
    let mut paths = Paths::new();
    for call in calls() {
        paths.paths.insert(
            call.path.to_owned(),
            PathItem::new(HttpMethod::Post, call.operation()),
        );
    }
    let mut info = Info::new("The Kernel Contract", ContractVersion::V0_1.as_str());
    info.description = Some(ABOUT.to_owned());
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components()))
        .build()
}

/// The schema of an audit call's `event`: one event, or (v0.2) an array of them.
pub(crate) fn one_or_many_audit_events() -> Schema {
    let one = Ref::from_schema_name("AuditEvent");
    let many = ArrayBuilder::new()
        .items(one.clone())
        .max_items(Some(AUDIT_EVENTS_MAX))
        .build();
    Schema::OneOf(OneOfBuilder::new().item(one).item(many).build())
}

/// One of the five calls.
struct Call {
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    request: &'static str,
    /// Status, what it means, and the schemas the body may have.
    answers: &'static [(u16, &'static str, &'static [&'static str])],
    /// Needs the token that register answers.
    token: bool,
    /// What it may be refused with, beyond what every call may.
    refusals: &'static [Code],
}

fn calls() -> [Call; 5] {
    [
        Call {
            path: "/kernel/runtimes/register",
            id: "register",
            summary: "Says what the runtime is, and answers a new runtime token.",
            request: "RegisterRequest",
            answers: &[
                (200, "known already; the token is new", &["RegisterAnswer"]),
                (201, "registered", &["RegisterAnswer"]),
            ],
            token: false,
            refusals: &[
                Code::TenantSuspended,
                Code::RuntimeSuspended,
                Code::Residency,
            ],
        },
        Call {
            path: "/kernel/runtimes/{runtime_id}/heartbeat",
            id: "heartbeat",
            summary: "Says that the runtime is alive; the first one makes it active.",
            request: "HeartbeatRequest",
            answers: &[(
                200,
                "heard; also for a suspended runtime",
                &["HeartbeatAnswer"],
            )],
            token: true,
            refusals: &[],
        },
        Call {
            path: "/kernel/identity/resolve",
            id: "resolve",
            summary: "Maps a provider's token to an identity and what its tenant may do.",
            request: "ResolveRequest",
            answers: &[(200, "resolved", &["ResolveAnswer"])],
            token: true,
            refusals: &[
                Code::ExternalTokenRefused,
                Code::TenantSuspended,
                Code::RuntimeSuspended,
                Code::ProviderUnavailable,
            ],
        },
        Call {
            path: "/kernel/entitlements/check",
            id: "check",
            summary: "Asks whether the runtime may execute; takes from a quota if asked to.",
            request: "CheckRequest",
            answers: &[(200, "decided: allowed or not", &["CheckAnswer"])],
            token: true,
            refusals: &[Code::IdempotencyConflict, Code::OutcomeUnknown],
        },
        Call {
            path: "/kernel/audit/events",
            id: "audit",
            summary: "Records what happened; answered after it is durable.",
            request: "AuditRequest",
            answers: &[(202, "durable", &["AuditAccepted", "AuditAcceptedBatch"])],
            token: true,
            refusals: &[
                Code::EventConflict,
                Code::ActorTypeRefused,
                Code::EventTypeReserved,
                Code::EventTimeRefused,
                Code::PayloadTooLarge,
                Code::OutcomeUnknown,
            ],
        },
    ]
}

impl Call {
    fn operation(&self) -> utoipa::openapi::path::Operation {
        let body = RequestBodyBuilder::new()
            .content("application/json", json_of(&[self.request]))
            .required(Some(Required::True))
            .build();
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .request_body(Some(body));
        for parameter in self.parameters() {
            operation = operation.parameter(parameter);
        }
        for (status, meaning, schemas) in self.answers {
            let answer = ResponseBuilder::new()
                .description(*meaning)
                .content("application/json", json_of(schemas))
                .header("X-Correlation-Id", Header::new(CorrelationId::schema()));
            operation = operation.response(status.to_string(), answer.build());
        }
        for (status, response) in self.problems() {
            operation = operation.response(status.to_string(), response);
        }
        operation.security(self.security()).build()
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut all = Vec::new();
        if self.path.contains("{runtime_id}") {
            let about = "the runtime of the certificate";
            all.push(parameter(
                "runtime_id",
                ParameterIn::Path,
                about,
                RuntimeId::schema(),
            ));
        }
        let tenant = "the runtime's tenant, or for a shared runtime one attached to it";
        all.push(header(
            "X-Tenant-Id",
            tenant,
            Required::True,
            TenantId::schema(),
        ));
        if self.token {
            let about = "the runtime of the certificate";
            all.push(header(
                "X-Runtime-Id",
                about,
                Required::True,
                RuntimeId::schema(),
            ));
        }
        let version = "the version of the contract that is spoken";
        let schema = ContractVersion::schema();
        all.push(header(
            "X-Contract-Version",
            version,
            Required::True,
            schema,
        ));
        let correlation = "made by the kernel where absent, always echoed";
        let schema = CorrelationId::schema();
        all.push(header(
            "X-Correlation-Id",
            correlation,
            Required::False,
            schema,
        ));
        if self.id == "check" {
            let about = "makes a repeated consumption one consumption, for 24 hours";
            all.push(header(
                "Idempotency-Key",
                about,
                Required::False,
                bounded_key().into(),
            ));
        }
        all
    }

    /// One response for each status that a refusal may have, with the codes it may carry.
    fn problems(&self) -> Vec<(u16, Response)> {
        let mut codes: Vec<Code> = [EVERY_CALL, self.refusals].concat();
        if self.token {
            codes.push(Code::TokenRefused);
        }
        codes.sort_unstable();
        let mut statuses: Vec<u16> = codes.iter().map(|code| code.status()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        statuses
            .into_iter()
            .map(|status| (status, problem(status, &codes)))
            .collect()
    }

    fn security(&self) -> SecurityRequirement {
        let none: [&str; 0] = [];
        let certificate = SecurityRequirement::new(CERTIFICATE, none);
        if self.token {
            certificate.add(TOKEN, none)
        } else {
            certificate
        }
    }
}

fn problem(status: u16, codes: &[Code]) -> Response {
    let words: Vec<String> = codes
        .iter()
        .filter(|code| code.status() == status)
        .map(|code| format!("`{code}`"))
        .collect();
    let response = ResponseBuilder::new()
        .description(words.join(", "))
        .content("application/problem+json", json_of(&["Problem"]))
        .header("X-Correlation-Id", Header::new(CorrelationId::schema()));
    if status == Code::RateLimited.status() || status == Code::Overloaded.status() {
        let seconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("whole seconds"))
            .build();
        return response.header("Retry-After", Header::new(seconds)).build();
    }
    response.build()
}

/// A body that is one of the schemas named.
fn json_of(schemas: &[&str]) -> Content {
    if let [name] = schemas {
        return Content::new(Some(Ref::from_schema_name(*name)));
    }
    let any = schemas.iter().fold(OneOfBuilder::new(), |any, name| {
        any.item(Ref::from_schema_name(*name))
    });
    Content::new(Some(Schema::OneOf(any.build())))
}

fn header(name: &str, about: &str, required: Required, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::from(parameter(name, ParameterIn::Header, about, schema))
        .required(required)
        .build()
}

fn parameter(name: &str, place: ParameterIn, about: &str, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

fn bounded_key() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(IDEMPOTENCY_KEY_BYTES_MAX))
        .build()
}

/// Every schema that a body is made of, and the two proofs a caller gives.
fn components() -> Components {
    let mut schemas = Vec::new();
    add::<RegisterRequest>(&mut schemas);
    add::<RegisterAnswer>(&mut schemas);
    add::<HeartbeatRequest>(&mut schemas);
    add::<HeartbeatAnswer>(&mut schemas);
    add::<ResolveRequest>(&mut schemas);
    add::<ResolveAnswer>(&mut schemas);
    add::<CheckRequest>(&mut schemas);
    add::<CheckAnswer>(&mut schemas);
    add::<AuditEvent>(&mut schemas);
    add::<AuditRequest>(&mut schemas);
    add::<AuditAccepted>(&mut schemas);
    add::<AuditAcceptedBatch>(&mut schemas);
    add::<Problem>(&mut schemas);
    let certificate = SecurityScheme::MutualTls {
        description: Some("the runtime's certificate, from enrolment".to_owned()),
        deprecated: None,
        extensions: None,
    };
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("the runtime token that register answers"))
        .build();
    ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(CERTIFICATE, certificate)
        .security_scheme(TOKEN, SecurityScheme::Http(token))
        .build()
}

/// Adds a type's schema and those of the types in it.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// What every call may be refused with.
const EVERY_CALL: &[Code] = &[
    Code::Malformed,
    Code::HeaderMissing,
    Code::VersionUnknown,
    Code::IdMalformed,
    Code::CertificateRequired,
    Code::CertificateRefused,
    Code::IdentityMismatch,
    Code::RuntimeRevoked,
    Code::NotFound,
    Code::BodyTooLarge,
    Code::TenantMismatch,
    Code::Invalid,
    Code::RateLimited,
    Code::Internal,
    Code::Overloaded,
    Code::TenantQuarantined,
    Code::StorageUnavailable,
    Code::Draining,
];

const ABOUT: &str = "The five calls between a runtime and the kernel. Every call is made over \
    mutual TLS in the context of one tenant. Clients ignore fields they do not know.";

const CERTIFICATE: &str = "runtime_certificate";

const TOKEN: &str = "runtime_token";

/// As long as the envelope's `idempotency.key` may be.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
