//! The OpenAPI document: made from the calls themselves, and from here where they are alike.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response as Answer};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Content, HeaderBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi as _};

pub(super) use super::super::answer::Problem;
use super::{activity, session, sites, tokens, users};

/// Everything that is the same for all calls, and which calls there are.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Patrol",
        description = "The REST API that scripts call. Sign in, carry the session in `x-tableau-session-token`, and sign \
                       in again on a 401. On 429 and 503 wait for as many seconds as `Retry-After` says. Query \
                       parameters and members that are not listed here are ignored.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        session::pat_login, session::login, session::logout, sites::list, users::list, tokens::list, tokens::create,
        tokens::revoke, activity::list, activity::links, activity::download, serve,
    ),
    components(schemas(Problem<'static>)),
    modifiers(&Sessions),
)]
struct Document;

struct Sessions;

impl Modify for Sessions {
    fn modify(&self, document: &mut OpenApi) {
        let header = ApiKeyValue::with_description(
            crate::gate::SESSION_HEADER.as_str(),
            "The session that a sign-in opened. It may stand in `Authorization: Bearer` instead.",
        );
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(header));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("session", scheme);
    }
}

/// The OpenAPI 3.1 document of the REST API, as JSON.
#[must_use]
pub fn openapi() -> String {
    // Made of texts and numbers only, which have a JSON form.
    Document::openapi().to_pretty_json().unwrap_or_default()
}

/// This document.
#[utoipa::path(
    get, path = "/api/openapi.json", operation_id = "openapi", tag = "document",
    responses((status = 200, description = "This document.", body = Object))
)]
pub(super) async fn serve() -> Answer {
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([json], openapi()).into_response()
}

/// An answer that says what is wrong.
fn problem(description: &str) -> ResponseBuilder {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(schema)))
}

type Responses = BTreeMap<String, RefOr<Response>>;

fn responses<const N: usize>(all: [(&str, ResponseBuilder); N]) -> Responses {
    let built = all.map(|(status, response)| (status.to_owned(), response.build().into()));
    built.into_iter().collect()
}

fn retry_after(response: ResponseBuilder) -> ResponseBuilder {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
    let header = HeaderBuilder::new()
        .schema(Some(seconds))
        .description(Some("Seconds to wait before trying again."));
    response.header("Retry-After", header.build())
}

fn text_header(response: ResponseBuilder, name: &str) -> ResponseBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    response.header(name, HeaderBuilder::new().schema(Some(text)).build())
}

/// 400, 401, 429 and 503: what any call that is let in, or lets in, may answer.
fn judged() -> Responses {
    let unauthorized = problem("What was presented is not accepted.");
    let mut all = responses([
        (
            "400",
            problem("The request cannot be understood; the message says what would be."),
        ),
        ("401", text_header(unauthorized, "WWW-Authenticate")),
        ("429", retry_after(problem("Too many failed attempts."))),
    ]);
    all.extend(Undecided::responses());
    all
}

/// The answers of a call that needs a session.
pub(super) struct AsVisitor;

impl IntoResponses for AsVisitor {
    fn responses() -> Responses {
        judged()
    }
}

/// The answers of a sign-in.
pub(super) struct ForAnyone;

impl IntoResponses for ForAnyone {
    fn responses() -> Responses {
        let mut all = judged();
        all.extend(responses([("413", problem("The body is too large."))]));
        all
    }
}

/// The answers where there is no verdict.
pub(super) struct Undecided;

impl IntoResponses for Undecided {
    fn responses() -> Responses {
        responses([(
            "503",
            retry_after(problem("Nothing can be decided at the moment.")),
        )])
    }
}

/// The answers of a call that reads a body.
pub(super) struct WithBody;

impl IntoResponses for WithBody {
    fn responses() -> Responses {
        responses([
            ("413", problem("The body is too large.")),
            ("415", problem("The body is not sent as application/json.")),
        ])
    }
}

/// The answers of a call about something in a tenant.
pub(super) struct InTenant;

impl IntoResponses for InTenant {
    fn responses() -> Responses {
        responses([("404", problem("There is no such thing in the session's tenant."))])
    }
}

/// The answers of a call that needs a role.
pub(super) struct ForAdministrators;

impl IntoResponses for ForAdministrators {
    fn responses() -> Responses {
        responses([("403", problem("This is for administrators."))])
    }
}

/// The answers of a call that a session opened with a token cannot make.
pub(super) struct ForPeople;

impl IntoResponses for ForPeople {
    fn responses() -> Responses {
        responses([(
            "403",
            problem("This is for administrators, or cannot be done with a session that a token opened."),
        )])
    }
}

fn parameter(
    name: &str,
    place: ParameterIn,
    required: bool,
    description: &str,
    schema: ObjectBuilder,
) -> Parameter {
    let required = if required { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema.build()))
        .build()
}

fn text(format: Option<SchemaFormat>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(format)
}

const INSTANT: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::DateTime);

fn id(name: &str, description: &str) -> Parameter {
    parameter(
        name,
        ParameterIn::Path,
        true,
        description,
        text(Some(SchemaFormat::Custom("uuid".to_owned()))),
    )
}

fn query(name: &str, required: bool, description: &str, schema: ObjectBuilder) -> Parameter {
    parameter(name, ParameterIn::Query, required, description, schema)
}

fn page(size: &str) -> [Parameter; 2] {
    let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    [
        query(
            size,
            false,
            "How many to put on a page: 100 by default, never more than 1,000.",
            count,
        ),
        query(
            "pageToken",
            false,
            "The `pageToken` of the page before; empty or absent for the first.",
            text(None),
        ),
    ]
}

/// Parameters of a call, in the order in which they are documented.
macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident => $list:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                $list.into_iter().collect()
            }
        }
    )*};
}

fn tenant() -> Parameter {
    id("tenantId", "The tenant, which is the session's own.")
}

fn site() -> Parameter {
    id("siteId", "The site.")
}

fn user() -> Parameter {
    id("userId", "The user.")
}

parameters! {
    /// Of a tenant.
    TenantParams => [tenant()];
    /// Of a site.
    SiteParams => [tenant(), site()];
    /// Of a user.
    UserParams => [tenant(), user()];
    /// Of a token.
    TokenParams => [tenant(), user(), id("tokenId", "The token.")];
    /// Of a listing.
    ListParams => page("maxResults");
    /// Of the activity log's listing.
    ActivityParams => [
        query("startTime", true, "Files of hours that end after this.", text(Some(INSTANT))),
        query(
            "endTime",
            true,
            "Files of hours that begin before this; at most 31 days after `startTime`.",
            text(Some(INSTANT)),
        ),
    ].into_iter().chain(page("pageSize"));
    /// Of a link. Links are followed as they are; nobody puts one together.
    FileParams => [
        tenant(),
        site(),
        parameter("file", ParameterIn::Path, true, "The file.", text(None)),
        query("expires", true, "Part of the link.", text(None)),
        query("signature", true, "Part of the link.", text(None)),
    ];
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::routes;
    use super::*;

    #[test]
    fn the_document_has_every_path_of_the_router_and_no_other() {
        let document = Document::openapi();
        let documented: Vec<_> = document.paths.paths.keys().cloned().collect();
        let mut routed: Vec<_> = routes().iter().map(|(path, _)| (*path).to_owned()).collect();
        routed.sort_unstable();
        assert_eq!(documented, routed);
        assert!(openapi().contains("\"openapi\": \"3.1.0\""));
    }
}
