//! The one question that all doors ask: may this request reach the protected service, and as whom?
//!
//! A door (nginx, Caddy, Traefik, Envoy, HAProxy, Apache, the tower layer) reads the request in its gateway's way,
//! puts it into a [`Request`], and translates the answer back: an [`Admission`] with headers for the service, or a
//! [`Denial`] with a status for the client. Everything between is here, once: which [route](crate::config::RouteConfig)
//! applies, where its credential is, the verdict of the [`service`](crate::service), the roles that the route asks for,
//! and how often failures are answered.
//!
//! It fails closed: whatever is not a well-formed yes is a [`Denial`].

mod answer;
mod credential;
mod explain;
mod identity;
mod limit;
mod meters;
mod path;
mod request_id;
mod routes;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use patrol_policy::token::{ACCOUNT_PREFIX, CLIENT_PREFIX, PAT_PREFIX, SESSION_PREFIX};
use patrol_policy::types::Id;

use crate::config::{Config, ConfigError, IdentityConfig};
use crate::service::{Error, Identity, Origin, Patrol, normalize};
use credential::{Credential, NoCredential};
use identity::{NoKey, Purpose, Signer};
use limit::Limits;
pub use meters::{Connected, Kind, Listener, Meters, NEAR_EXPIRY};
use routes::{Route, Rules};

pub(crate) use answer::is_grpc;
pub use credential::SESSION_HEADER;
pub use explain::{Applies, Explanation, PassedOver, explain, routes as explain_routes};
pub use identity::{IDENTITY_HEADERS, Jwk, KeyError, Keys, Previous};
pub use request_id::{REQUEST_ID, TRACEPARENT, request_id};

/// Who asks: a label of the metrics and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Door {
    /// nginx's `auth_request`.
    Nginx,
    /// Forward authentication, as Caddy and Traefik have it.
    Forward,
    /// Envoy's `ext_authz` over HTTP.
    EnvoyHttp,
    /// Envoy's `ext_authz` over gRPC.
    EnvoyGrpc,
    /// HAProxy's SPOE.
    Spop,
    /// A FastCGI authorizer, as Apache has it.
    FastCgi,
    /// The tower layer, in process.
    Layer,
    /// OAuth 2.0 token introspection (RFC 7662).
    Introspection,
    /// The REST API that scripts call.
    Api,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Nginx,
        Self::Forward,
        Self::EnvoyHttp,
        Self::EnvoyGrpc,
        Self::Spop,
        Self::FastCgi,
        Self::Layer,
        Self::Introspection,
        Self::Api,
    ];

    /// Whether its requests come in by the HTTP listener.
    const fn answers_over_http(self) -> bool {
        matches!(
            self,
            Self::Nginx | Self::Forward | Self::EnvoyHttp | Self::Introspection | Self::Api
        )
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Forward => "forward",
            Self::EnvoyHttp => "envoy-http",
            Self::EnvoyGrpc => "envoy-grpc",
            Self::Spop => "spop",
            Self::FastCgi => "fastcgi",
            Self::Layer => "layer",
            Self::Introspection => "introspection",
            Self::Api => "api",
        }
    }
}

/// A request to the protected service, as a door was told of it by its gateway, and by nobody else.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Which door asks.
    pub door: Door,
    /// The method.
    pub method: &'a str,
    /// The request target: path and query as the client sent them, in origin form.
    pub uri: &'a str,
    /// The client's headers, among them its credential.
    pub headers: &'a HeaderMap,
    /// The client's address, if the gateway vouches for one.
    pub address: Option<IpAddr>,
}

/// Yes: the request may go on.
#[derive(Debug)]
#[non_exhaustive]
pub struct Admission {
    identity: Option<Identity>,
    /// Every identity header, empty where there is nothing to say, so that no copy sent by the client survives in a
    /// gateway that only replaces what it gets.
    pub headers: HeaderMap,
    /// The request headers that may hold a credential. The gateway removes them before the service.
    pub credential_headers: Arc<[HeaderName]>,
}

impl Admission {
    /// Who comes in; nobody known where the route lets anyone in.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

/// No. Why, is for the audit trail: to whoever presented it, unknown, expired, revoked and malformed look alike.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Denial {
    /// The status for the client: 400, 401, 403, 429 or 503.
    pub status: StatusCode,
    /// The error code for the client.
    pub code: &'static str,
    /// The message for the client.
    pub message: Cow<'static, str>,
    /// `WWW-Authenticate`, with a 401 whose route has a challenge.
    pub challenge: Option<HeaderValue>,
    /// `Retry-After`, in seconds, with 429 and 503.
    pub retry_after: Option<u64>,
}

impl Denial {
    const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message: Cow::Borrowed(message),
            challenge: None,
            retry_after: None,
        }
    }

    /// The request cannot be understood, or could be in two ways.
    #[must_use]
    pub const fn bad_request(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// There is no verdict, by no fault of the client's: never a yes (fail closed).
    #[must_use]
    pub const fn undecided() -> Self {
        let mut denial = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "E_503_SERVICE_UNAVAILABLE",
            "no decision can be made at the moment",
        );
        denial.retry_after = Some(1);
        denial
    }

    /// Whoever it is, is known, and may not do this.
    #[must_use]
    pub const fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "E_403_FORBIDDEN", "this is not allowed")
    }

    /// There are routes, and none is for this (default deny), whoever asks.
    #[must_use]
    pub const fn no_route() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "E_403_NO_ROUTE",
            "no route is open for this path and method",
        )
    }

    /// Too many failures: later.
    #[must_use]
    pub fn too_many(wait: Duration) -> Self {
        let mut denial = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "E_429_TOO_MANY_REQUESTS",
            "too many failed attempts: try again later",
        );
        denial.retry_after = Some(
            wait.as_secs()
                .saturating_add(u64::from(wait.subsec_nanos() > 0))
                .max(1),
        );
        denial
    }

    fn unauthorized(challenge: Option<&HeaderValue>, message: &'static str) -> Self {
        let mut denial = Self::new(StatusCode::UNAUTHORIZED, "E_401_UNAUTHORIZED", message);
        denial.challenge = challenge.cloned();
        denial
    }
}

/// Decides about requests; shared by all doors.
pub struct Gate {
    patrol: Arc<Patrol>,
    rules: ArcSwap<Rules>,
    limits: ArcSwap<Limits>,
    signer: Signer,
    meters: Meters,
    draining: AtomicBool,
}

impl Gate {
    /// A gate with the routes and limits of Patrol's configuration.
    ///
    /// # Errors
    /// [`ConfigError`] says which route makes no sense.
    pub fn new(patrol: Arc<Patrol>, meters: Meters) -> Result<Self, ConfigError> {
        let config = patrol.config();
        Ok(Self {
            rules: ArcSwap::from_pointee(Rules::new(&config)?),
            limits: ArcSwap::from_pointee(Limits::new(&config.limits)),
            signer: Signer::new(patrol.data().to_owned()),
            patrol,
            meters,
            draining: AtomicBool::new(false),
        })
    }

    /// Puts another configuration in force, here and in Patrol, for all requests that come from now on; a wrong one
    /// changes nothing.
    ///
    /// # Errors
    /// As [`Gate::new`].
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        let rules = Rules::new(&config)?;
        self.rules.store(Arc::new(rules));
        self.limits
            .store(Arc::new(self.limits.load().changed(&config.limits)));
        self.patrol.reconfigure(config);
        Ok(())
    }

    /// Patrol itself.
    #[must_use]
    pub const fn patrol(&self) -> &Arc<Patrol> {
        &self.patrol
    }

    /// Says that the program is about to end: whoever asks whether it is ready is told no from now on. Requests are
    /// decided as before.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the program is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// What is counted.
    #[must_use]
    pub const fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Decides about a request. Takes microseconds and no lock for long: to be called on the thread that read it.
    ///
    /// # Errors
    /// [`Denial`], where the request may not go on.
    pub fn check(&self, request: &Request<'_>) -> Result<Admission, Denial> {
        let begun = Instant::now();
        let verdict = self.decide(request);
        let kind = match &verdict {
            Ok(admission) if admission.identity.is_some() => Kind::Allowed,
            Ok(_) => Kind::Anonymous,
            Err(denial) => Kind::from(denial),
        };
        self.meters.verdict(request.door, kind, begun.elapsed());
        self.tell(request, &verdict);
        verdict
    }

    /// One line for a denial, where the door has no log of its own: the HTTP listener has.
    fn tell(&self, request: &Request<'_>, verdict: &Result<Admission, Denial>) {
        let Err(denial) = verdict else { return };
        if request.door.answers_over_http() {
            return;
        }
        let door = request.door.as_str();
        let (status, code) = (denial.status.as_u16(), denial.code);
        let request = request_id(request.headers).map(tracing::field::display);
        tracing::debug!(target: "patrol::access", request, door, status, code, "denied");
    }

    fn decide(&self, request: &Request<'_>) -> Result<Admission, Denial> {
        let rules = self.rules.load();
        let route = rules.find(request.method, request.uri)?;
        let credential = match route.forms.read(request.headers) {
            Ok(credential) => credential,
            Err(NoCredential::Missing) if route.anonymous => {
                return Ok(admit(&rules, None, None));
            }
            Err(NoCredential::Missing) => return Err(route.missing()),
            Err(NoCredential::Ambiguous) => {
                let message = "exactly one credential must be presented";
                return Err(Denial::bad_request("E_400_CREDENTIALS", message));
            }
        };
        let origin = origin(request);
        let identity = self.verify(&credential, route, &origin)?;
        if !route.permits(identity.roles()) {
            self.patrol
                .note_forbidden(&identity, request.method, &route.required_roles(), &origin);
            return Err(Denial::forbidden());
        }
        // Never an unsigned yes: who asked for signatures takes a header without one for nobody's.
        let signed = match &rules.identity {
            config if config.signed => Some(self.sign(config, route, &identity, request)?),
            _ => None,
        };
        Ok(admit(&rules, Some(identity), signed))
    }

    fn sign(
        &self,
        config: &IdentityConfig,
        route: &Route,
        identity: &Identity,
        request: &Request<'_>,
    ) -> Result<HeaderValue, Denial> {
        let purpose = Purpose {
            audience: &route.audience,
            method: request.method,
            uri: request.uri,
            now: self.patrol.now(),
        };
        self.signer
            .sign(config, identity, &purpose)
            .map_err(|NoKey| Denial::undecided())
    }

    /// The public keys by which signed identities are verified: a JWK set (RFC 7517), as JSON.
    ///
    /// # Errors
    /// [`Denial`] with 503 where the key cannot be read; the log says why.
    pub fn identity_keys(&self) -> Result<String, Denial> {
        let signed = self.rules.load().identity.signed;
        self.signer
            .key_set(signed, self.patrol.now())
            .map_err(|NoKey| Denial::undecided())
    }

    fn verify(&self, credential: &Credential, route: &Route, origin: &Origin) -> Result<Identity, Denial> {
        let verdict = match credential {
            Credential::Pat(secret) => self.patrol.authenticate(secret.expose(), &route.audience, origin),
            Credential::Session(secret) => {
                self.patrol
                    .check_session(secret.expose(), &route.audience, origin)
            }
        };
        verdict.map_err(|error| match self.failed(&error, origin.address) {
            Some(wait) => Denial::too_many(wait),
            None if matches!(error, Error::Refused(_) | Error::WrongPassword) => route.invalid(),
            None => Denial::undecided(),
        })
    }

    /// Counts a verdict that a door came to without [`Gate::check`], as introspection does.
    pub fn count(&self, door: Door, kind: Kind, took: Duration) {
        self.meters.verdict(door, kind, took);
    }

    /// The identity headers of somebody whom a door let in without [`Gate::check`]. Not signed: there is no request
    /// to bind a signature to.
    #[must_use]
    pub fn identity_headers(&self, identity: &Identity) -> HeaderMap {
        identity::headers(Some(identity), None)
    }

    /// Counts a failed attempt; how long to wait, where there were too many. What is no refusal is not the client's
    /// failure. A good credential is never put off, so nobody can lock anybody out by failing in their name.
    pub fn failed(&self, error: &Error, address: Option<IpAddr>) -> Option<Duration> {
        let token: Option<Id> = match error {
            Error::Refused(refusal) => refusal.token,
            Error::WrongPassword => None,
            Error::WrongClient { client, .. } => *client,
            _ => return None,
        };
        self.limits.load().failed(address, token)
    }

    /// Counts an attempt to sign in with a password, good or bad, and says how long to wait where there were too many.
    /// To be asked before the password is looked at, because that is slow on purpose. It counts by address and name
    /// together, so that nobody can keep another out from somewhere else; all ways to write a name are one (R13), and
    /// so are all ways to say which tenant is meant.
    ///
    /// # Errors
    /// An outage of the store; then the password must not be looked at.
    pub fn password_attempt(
        &self,
        address: Option<IpAddr>,
        tenant: Option<&str>,
        user: &str,
    ) -> Result<Option<Duration>, Error> {
        let tenant = self.patrol.tenant_counted(tenant)?;
        let limits = self.limits.load();
        Ok(limits.password(address, &tenant, &normalize(user)))
    }

    /// Counts an attempt to sign in that needs no password here, and says how long to wait where too many attempts, of
    /// either kind, came from this address.
    pub fn sign_in_attempt(&self, address: Option<IpAddr>) -> Option<Duration> {
        self.limits.load().sign_in(address)
    }
}

fn admit(rules: &Rules, identity: Option<Identity>, signed: Option<HeaderValue>) -> Admission {
    Admission {
        headers: identity::headers(identity.as_ref(), signed),
        identity,
        credential_headers: Arc::clone(rules.credential_headers()),
    }
}

/// For the audit trail. The query is left out, since it may hold anything, secrets included.
fn origin(request: &Request<'_>) -> Origin {
    Origin::of(request.address, request.headers, request.uri)
}

impl Origin {
    /// Where a request came from, by its headers and target; the query is left out, since it may hold anything,
    /// secrets included.
    #[must_use]
    pub fn of(address: Option<IpAddr>, headers: &HeaderMap, uri: &str) -> Self {
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        Self {
            address,
            user_agent: headers
                .get(http::header::USER_AGENT)
                .and_then(|agent| agent.to_str().ok())
                .map(|agent| without_tokens(cut(agent, 256))),
            url: Some(without_tokens(cut(path, 1_024))),
            request: request_id(headers),
            client: None,
            batch: None,
        }
    }
}

/// What a client says of itself and of what it wants, without a token that it may have put there: the trail is kept,
/// and read by others (R1).
fn without_tokens(mut text: String) -> String {
    for prefix in [PAT_PREFIX, SESSION_PREFIX, ACCOUNT_PREFIX, CLIENT_PREFIX] {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| rest.find(prefix)) {
            from = from.saturating_add(at).saturating_add(prefix.len());
            let rest = text.get(from..).unwrap_or_default();
            let digits = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            text.replace_range(from..from.saturating_add(digits), "…");
        }
    }
    text
}

fn cut(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes);
    text.get(..end).unwrap_or_default().to_owned()
}
