//! What scripts call: the service's REST API.
//!
//! A call that is not a sign-in carries a session, which is judged before anything else of the request is looked at.
//! Of another tenant than the session's nothing exists: it is answered as if there were no such tenant. What an
//! administrator may see is told by the roles that the user has at that moment (R4). Errors are JSON, all of them.

mod activity;
mod body;
mod document;
mod failure;
mod link;
mod query;
mod session;
mod sites;
mod tokens;
mod users;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, any, delete, get, post};
use patrol_policy::Secret;
use patrol_policy::types::Id;

use self::failure::Failure;
use self::link::Links;
use super::App;
use super::check::real_ip;
use crate::gate::SESSION_HEADER;
use crate::service::{Caller, Error, Identity, Origin, Patrol};

pub use document::openapi;
pub(super) use failure::{method_not_allowed, not_found};

/// Request bodies are small.
const BODY_BYTES: usize = 8 * 1024;
/// The body that names files is larger.
const FILES_BYTES: usize = 64 * 1024;

/// What the calls share.
#[derive(Clone)]
struct Api {
    app: App,
    shared: Arc<Shared>,
}

struct Shared {
    links: Links,
}

/// The paths of all calls, as the document has them, with what answers there.
fn routes() -> [(&'static str, MethodRouter<Api>); 10] {
    [
        ("/api/v1/pat/login", post(session::pat_login)),
        ("/api/v1/login", post(session::login)),
        ("/api/v2/sessions", delete(session::logout)),
        ("/api/v1/tenants/{tenantId}/sites", get(sites::list)),
        ("/api/v1/tenants/{tenantId}/users", get(users::list)),
        (
            "/api/v1/tenants/{tenantId}/users/{userId}/personal-access-tokens",
            get(tokens::list).post(tokens::create),
        ),
        (
            "/api/v1/tenants/{tenantId}/users/{userId}/personal-access-tokens/{tokenId}",
            delete(tokens::revoke),
        ),
        (
            "/api/v1/tenants/{tenantId}/sites/{siteId}/activitylog",
            get(activity::list).merge(post(activity::links).layer(DefaultBodyLimit::max(FILES_BYTES))),
        ),
        (
            "/api/v1/tenants/{tenantId}/sites/{siteId}/activitylog/{file}",
            get(activity::download),
        ),
        ("/api/openapi.json", get(document::serve)),
    ]
}

/// All calls.
pub(super) fn router(app: App) -> Router {
    let shared = Shared { links: Links::new() };
    let api = Api {
        app,
        shared: Arc::new(shared),
    };
    let mut router = Router::new();
    for (path, calls) in routes() {
        router = router.route(path, calls);
    }
    router
        .route("/api/{*call}", any(unknown_call))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(map_response(for_the_asker))
        .with_state(api)
}

/// Answers are for whoever asked, and for nobody whom a cache on the way would give them to: that one knows nothing of
/// the header that holds the session.
async fn for_the_asker(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Any other call: whether it exists is told to sessions only.
async fn unknown_call(State(_): State<Api>, _visitor: Visitor) -> Failure {
    Failure::not_found("there is no such call")
}

impl Api {
    fn patrol(&self) -> &Patrol {
        self.app.gate().patrol()
    }

    /// Runs what waits for the store where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Patrol) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Failure> {
        Ok(self.app.blocking(work).await?)
    }

    /// The answer to anything but yes from a verification; counts it against whoever it came from.
    fn refused(&self, error: Error, address: Option<IpAddr>) -> Failure {
        match self.app.gate().failed(&error, address) {
            Some(wait) => Failure::too_many(wait),
            None => Failure::unverified(error),
        }
    }
}

/// Whoever a session has let in.
struct Visitor {
    identity: Identity,
    origin: Origin,
}

impl FromRequestParts<Api> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let session = presented(&parts.headers)?;
        let origin = origin(&parts.headers, &parts.uri);
        let audience = &api.app.config().http.audience;
        match api.patrol().check_session(session.expose(), audience, &origin) {
            Ok(identity) => Ok(Self { identity, origin }),
            Err(error) => Err(api.refused(error, origin.address)),
        }
    }
}

impl Visitor {
    /// The tenant of the path, which is the session's own.
    fn tenant(&self, segments: &Segments) -> Result<Id, Failure> {
        let own = self.identity.tenant_id();
        segments
            .id("tenantId")
            .filter(|tenant| *tenant == own)
            .ok_or(Failure::not_found("there is no such tenant"))
    }

    /// Whether the user's roles are those of an administrator, now.
    fn administers(&self, api: &Api) -> bool {
        let config = api.app.config();
        let roles = &config.api.admin_roles;
        self.identity.roles().iter().any(|role| roles.contains(role))
    }

    fn must_administer(&self, api: &Api) -> Result<(), Failure> {
        if self.administers(api) {
            Ok(())
        } else {
            Err(Failure::forbidden("this is for administrators"))
        }
    }

    /// The visitor as the service and the audit trail see them.
    fn caller(&self) -> Caller {
        Caller::of(&self.identity, self.origin.clone())
    }
}

/// The parts of a path that stand for something.
struct Segments(Vec<(String, String)>);

impl FromRequestParts<Api> for Segments {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let path: Result<Path<Vec<(String, String)>>, PathRejection> =
            Path::from_request_parts(parts, api).await;
        // What is no text is the name of nothing.
        path.map(|Path(segments)| Self(segments))
            .map_err(|_| Failure::not_found("there is nothing at this path"))
    }
}

impl Segments {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn id(&self, name: &str) -> Option<Id> {
        self.get(name)?.parse().ok()
    }
}

/// The one session of a request, from its own header or as a bearer token.
fn presented(headers: &HeaderMap) -> Result<Secret, Failure> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked("bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    let own = headers
        .get_all(SESSION_HEADER)
        .iter()
        .map(|value| value.as_bytes());
    let mut all = own
        .chain(bearer)
        .map(<[u8]>::trim_ascii)
        .filter(|text| !text.is_empty());
    // Several could be read in two ways, so none is.
    match (all.next(), all.next()) {
        (Some(session), None) => Ok(Secret::new(session.to_vec())),
        _ => Err(Failure::missing()),
    }
}

pub(super) fn origin(headers: &HeaderMap, uri: &Uri) -> Origin {
    // Set by the gateway in front, which is the only one that can reach this listener.
    Origin::of(real_ip(headers), headers, uri.path())
}
