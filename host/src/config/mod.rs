//! The configuration: a TOML file, with a default for everything.

mod error;
mod examine;
mod federation;
mod network;
mod notices;
mod pattern;
mod rules;
mod schema;
mod size;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;

use patrol_policy::types::{DAY, MINUTE, Parameters};
use serde::{Deserialize, Serialize};

use crate::journal;
use crate::policy::limits::{COMPONENT_BYTES, MEMORY_BYTES, TABLE_ELEMENTS};
use crate::policy::{Isolation, Options};
use crate::release::PublicKey;
use crate::time::Millis;
pub use error::ConfigError;
pub use examine::{Examined, Mistake, examine};
pub use federation::{Algorithm, GatewayConfig, JwtConfig, Match, OidcConfig};
pub use network::Network;
pub use notices::{MailConfig, MailTls, NoticeConfig};
pub(crate) use pattern::Pattern;
pub(crate) use rules::FORMS;
pub(crate) use schema::{list, nearest};
pub use size::Size;

/// Everything that an operator can set. Unknown keys are refused, so that a misspelt limit is not a default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[server]`: where `patrol serve` listens.
    pub server: Server,
    /// `[policy]`: the policy parameters and how the component is run.
    pub policy: PolicyConfig,
    /// `[http]`: how credentials are read and answers given, where no route says otherwise.
    pub http: HttpConfig,
    /// `[[route]]`: what applies to which requests of the protected service. The first that fits decides.
    #[serde(rename = "route")]
    pub routes: Vec<RouteConfig>,
    /// `[limits]`: how many failed attempts are answered before they are put off.
    pub limits: LimitConfig,
    /// `[identity]`: the signed header for upstreams.
    pub identity: IdentityConfig,
    /// `[api]`: the REST API that scripts call.
    pub api: ApiConfig,
    /// `[web]`: Patrol's own pages.
    pub web: WebConfig,
    /// `[journal]`: what is kept of decisions to rehearse policies by.
    pub journal: JournalConfig,
    /// `[notices]`: who is told of tokens that are about to end, or were revoked.
    pub notices: NoticeConfig,
}

/// Where `patrol serve` listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The address for HTTP: checks of gateways, and the REST API. Loopback unless `allow_non_loopback`, as all of
    /// these.
    pub listen: SocketAddr,
    /// The address for Envoy's `ext_authz` over gRPC. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<SocketAddr>,
    /// The address for HAProxy's SPOE agent protocol. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spop: Option<SocketAddr>,
    /// The address for FastCGI authorizers, as Apache speaks it. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fastcgi: Option<SocketAddr>,
    /// The address at which `/metrics` is read. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// How long requests under way have to be answered once the server was told to end. Default 10 s.
    pub drain: Millis,
    /// How long the server goes on as before once it was told to end, while `/readyz` answers 503 already, so that a
    /// load balancer can stop sending. None by default: a gateway on the same machine sees the port close.
    pub drain_notice: Millis,
    /// Allows an address that other machines can reach. Patrol speaks no TLS: a gateway or a tunnel must.
    pub allow_non_loopback: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            grpc: None,
            spop: None,
            fastcgi: None,
            metrics: None,
            drain: Millis(10_000),
            drain_notice: Millis(0),
            allow_non_loopback: false,
        }
    }
}

impl Server {
    /// How long requests under way have to be answered at the end.
    #[must_use]
    pub const fn drain(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.drain.0)
    }

    /// How long to go on as before at the end.
    #[must_use]
    pub const fn drain_notice(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.drain_notice.0)
    }
}

/// The policy parameters, and how the component is run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// A token not used for this long is expired (R5). Default 15 days.
    pub idle_after: Millis,
    /// The most live tokens a user may have (R7). Default 104.
    pub tokens_per_owner: u32,
    /// The farthest that an expiration date may lie from creation. Default 366 days.
    pub max_lifetime: Millis,
    /// The longest overlap a rotation may ask for. Default 7 days.
    pub max_overlap: Millis,
    /// The longest token name, in characters (R13). Default 255.
    pub name_max_length: u32,
    /// The greatest length of a session. Default 4 hours.
    pub session_lifetime: Millis,
    /// A session not used for this long is over. Default 30 minutes.
    pub session_idle: Millis,
    /// How many sessions of one token may be open; a new one ends the oldest. 0: any number, the default.
    pub sessions_per_token: u32,
    /// How long the record of an ended token stays (R6). Default 90 days.
    pub retention: Millis,
    /// `"per-call"`, the default, or `"warm"`: whether each call gets a fresh instance of the component.
    pub isolation: IsolationName,
    /// With `"warm"`, after how many calls an instance is replaced. Default 10,000.
    pub warm_max_calls: u32,
    /// How long one verdict may take; a policy that takes longer has failed. Default 50 ms.
    pub deadline: Millis,
    /// The largest component that is taken, up to 32 MiB. Default 1 MiB, which leaves no room for an interpreter.
    pub max_component: Size,
    /// The most memory of one instance, up to 64 MiB. Default 1 MiB.
    pub memory: Size,
    /// The most elements of one table of a component, which grow with the number of its functions, up to 16,384. Default
    /// 1,024.
    pub table_elements: u32,
    /// How long a release may take to be compiled and tried out before it is staged. Default 30 s.
    pub trial: Millis,
    /// The public keys by which a release of a policy may be signed, as `patrol policy keygen` prints them. None by
    /// default.
    pub trusted_keys: Vec<String>,
    /// Takes releases that are not signed, where policies are developed. Default false.
    pub allow_unsigned: bool,
    /// How long a release is watched once it decides, to be rolled back by itself if it faults too often; nothing: it
    /// is not. Default 10 minutes.
    pub watch: Millis,
    /// The share of faults among the last thousand calls or so at which a watched release is rolled back. Default
    /// 0.01.
    pub watch_faults: f64,
    /// How many faults there must be at least, so that one unlucky call decides nothing. Default 5.
    pub watch_least: u32,
}

/// Whether each call gets a fresh instance of the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationName {
    /// A fresh instance for each call.
    PerCall,
    /// An instance is used again, up to `warm_max_calls` times.
    Warm,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        let p = Parameters::default();
        Self {
            idle_after: Millis(p.idle_after),
            tokens_per_owner: p.tokens_per_owner,
            max_lifetime: Millis(p.max_lifetime),
            max_overlap: Millis(p.max_overlap),
            name_max_length: p.name_max_length,
            session_lifetime: Millis(p.session_lifetime),
            session_idle: Millis(p.session_idle),
            sessions_per_token: p.sessions_per_token,
            retention: Millis(p.retention),
            // Costs the HTTP check 1.6 times what `warm` does (host/benches/authenticate.rs), and buys that nothing
            // which one caller hands in can reach another, whatever the policy is.
            isolation: IsolationName::PerCall,
            warm_max_calls: 10_000,
            deadline: Millis(50),
            max_component: Size::of(COMPONENT_BYTES),
            memory: Size::of(MEMORY_BYTES),
            table_elements: u32::try_from(TABLE_ELEMENTS).unwrap_or(u32::MAX),
            trial: Millis(30_000),
            trusted_keys: Vec::new(),
            allow_unsigned: false,
            watch: Millis(10 * MINUTE),
            watch_faults: 0.01,
            watch_least: 5,
        }
    }
}

impl PolicyConfig {
    /// The parameters as the policy gets them.
    #[must_use]
    pub const fn parameters(&self) -> Parameters {
        Parameters {
            idle_after: self.idle_after.0,
            tokens_per_owner: self.tokens_per_owner,
            max_lifetime: self.max_lifetime.0,
            max_overlap: self.max_overlap.0,
            name_max_length: self.name_max_length,
            session_lifetime: self.session_lifetime.0,
            session_idle: self.session_idle.0,
            sessions_per_token: self.sessions_per_token,
            retention: self.retention.0,
        }
    }

    /// The keys by which releases may be signed; a text that is no key trusts nobody.
    #[must_use]
    pub fn trusted_keys(&self) -> Vec<PublicKey> {
        self.trusted_keys
            .iter()
            .filter_map(|key| key.parse().ok())
            .collect()
    }

    /// How a component is run; where its compiled code is kept is not for the configuration to say.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            isolation: self.isolation(),
            deadline: std::time::Duration::from_millis(self.deadline.0),
            component_bytes: self.max_component.bytes(),
            memory_bytes: self.memory.bytes(),
            table_elements: usize::try_from(self.table_elements).unwrap_or(usize::MAX),
            ..Options::default()
        }
    }

    /// The same settings with a component run as `other` says, except for its `deadline`.
    #[must_use]
    pub fn running_as(self, other: &Self) -> Self {
        Self {
            isolation: other.isolation,
            warm_max_calls: other.warm_max_calls,
            max_component: other.max_component,
            memory: other.memory,
            table_elements: other.table_elements,
            ..self
        }
    }

    /// How instances are used.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        match self.isolation {
            IsolationName::PerCall => Isolation::PerCall,
            IsolationName::Warm => Isolation::Warm {
                max_calls: self.warm_max_calls,
            },
        }
    }
}

/// How credentials are read and answers given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// The audience that tokens are presented at, and are created for by default (R12).
    pub audience: String,
    /// Further request headers that may carry a PAT, such as `X-Api-Key`. None by default.
    pub credential_headers: Vec<String>,
    /// What a 401 asks for: API clients expect `"bearer"`, git needs `"basic"`.
    pub challenge: Challenge,
    /// The realm in the challenge.
    pub realm: String,
}

/// What a 401 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Challenge {
    /// `WWW-Authenticate: Bearer …` (RFC 6750).
    Bearer,
    /// `WWW-Authenticate: Basic …` (RFC 7617).
    Basic,
    /// No challenge: a bare 401.
    None,
}

/// `[[route]]`: what applies to requests of the protected service that have this path and method.
///
/// What a route leaves out is as `[http]` says. Where there are routes and none fits, the request is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// The path: `*` stands for anything within a segment, the segment `**` for any number of them, none included, so
    /// that `/git/**` is `/git` too. All else stands for itself, in the same case; the request's path is decoded first.
    pub path: String,
    /// The methods; empty: all. HEAD goes where GET does.
    pub methods: Vec<String>,
    /// The audience that a token must be for (R12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Roles of which the caller must have one (R4); empty: none is needed.
    pub any_role: Vec<String>,
    /// Roles of which the caller must have all (R4).
    pub all_roles: Vec<String>,
    /// The forms in which a credential is read: `"bearer"`, `"basic"`, `"token"`, `"bare"`, `"session"`, or the name
    /// of a header. By default all of these but `"bare"`, and the headers of `[http]`. A credential in another form is
    /// as none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<String>>,
    /// What a 401 asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// The realm in the challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Lets in who presents nothing, without identity. Who presents something must still be accepted.
    pub anonymous: bool,
}

/// `[limits]`: failed attempts. One that presents nothing is not a failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// Failed attempts a minute from one source address (IPv6: one /64); further ones are answered 429. 0: any
    /// number. Default 60.
    pub failures_per_address: u32,
    /// The same with one token id. Default 60.
    pub failures_per_token: u32,
    /// Sign-ins with a password, good or bad, that one address may try a minute in one user's name; further ones are
    /// answered 429 before the password is looked at. 0: any number. Default 10.
    pub passwords_per_user: u32,
    /// The same from one address, whoever's name is tried; ways to an identity provider are counted along. Default 60.
    pub passwords_per_address: u32,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            failures_per_address: 60,
            failures_per_token: 60,
            passwords_per_user: 10,
            passwords_per_address: 60,
        }
    }
}

/// `[identity]`: one short-lived signed header (a JWT, EdDSA), by which an upstream can be sure who set it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// Whether `X-Patrol-Identity` is sent. Default false.
    pub signed: bool,
    /// The issuer, `iss`. Default "patrol".
    pub issuer: String,
    /// For how long a signature holds. Default 60 s.
    pub lifetime: Millis,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            signed: false,
            issuer: "patrol".to_owned(),
            lifetime: Millis(60_000),
        }
    }
}

/// `[api]`: the REST API that scripts call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// The address by which clients reach this API, for the links in its answers, such as `https://api.example.com`.
    /// By default what the request's `Host` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Roles that may see other users, the activity log and other users' tokens. Default `["admin"]`.
    pub admin_roles: Vec<String>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            admin_roles: vec!["admin".to_owned()],
        }
    }
}

/// `[web]`: Patrol's own pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// How long a session of a person on the pages lasts, however much it is used. Default 12 hours.
    pub session_lifetime: Millis,
    /// After how long such a session ends if it is not used. Default 30 minutes.
    pub session_idle: Millis,
    /// `[[web.oidc]]`: identity providers that sign people in. None by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub oidc: Vec<OidcConfig>,
    /// `[web.gateway]`: the gateway whose word signs people in. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayConfig>,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            session_lifetime: Millis(DAY / 2),
            session_idle: Millis(30 * MINUTE),
            oidc: Vec::new(),
            gateway: None,
        }
    }
}

/// `[journal]`: what is kept of decisions, sealed and without secrets, so that another policy can be rehearsed on them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Whether the server keeps a journal, in `decisions` in the data directory. Default false. Turned off, what is
    /// there stays.
    pub enabled: bool,
    /// What the journal may have on disk at most; the oldest part of it makes room. At least 4 MiB. Default 256 MiB.
    pub max_size: Size,
    /// For how long decisions are kept at most; they are deleted a part at a time, up to a sixteenth of this later.
    /// At least an hour. Default 30 days.
    pub max_age: Millis,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            max_size: Size::of(256 * 1_024 * 1_024),
            max_age: Millis(30 * DAY),
        }
    }
}

impl JournalConfig {
    /// The settings as the journal's writer takes them.
    #[must_use]
    pub const fn settings(&self) -> journal::Settings {
        journal::Settings {
            enabled: self.enabled,
            max_size: self.max_size.bytes() as u64,
            max_age: self.max_age.0,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            audience: "api".to_owned(),
            credential_headers: Vec::new(),
            challenge: Challenge::Bearer,
            realm: "patrol".to_owned(),
        }
    }
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(Cow<'static, str>),
    /// From 0; people are told it from 1.
    Index(usize),
}

impl Config {
    /// Reads a configuration file; without one, everything is at its default. Where it listens is not judged: the
    /// command line may say otherwise ([`Server::check`]).
    ///
    /// # Errors
    /// Where the file cannot be read, has unknown keys or values of the wrong kind, or values out of range.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        Self::load_examined(path).map(|examined| examined.config)
    }

    /// As [`Config::load`], with what else is known of the file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_examined(path: &Path) -> Result<Examined, ConfigError> {
        let mut examined = examine(&Self::read(path)?);
        examined.mistakes.retain(|mistake| !mistake.about_listeners);
        if examined.mistakes.is_empty() {
            return Ok(examined);
        }
        Err(ConfigError::Mistakes {
            path: Some(path.to_owned()),
            mistakes: examined.mistakes,
        })
    }

    /// Reads a configuration file as text.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(path: &Path) -> Result<String, ConfigError> {
        std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })
    }

    /// Whether the values make sense, however they came here; as for [`Config::load`], except where it listens.
    ///
    /// # Errors
    /// [`ConfigError::Mistakes`], all of them.
    pub fn check(&self) -> Result<(), ConfigError> {
        mistakes(self.findings())
    }
}

impl Server {
    /// Whether it can listen there: on this machine only, unless `allow_non_loopback`, and on each address once.
    ///
    /// # Errors
    /// [`ConfigError::Mistakes`], all of them.
    pub fn check(&self) -> Result<(), ConfigError> {
        mistakes(self.findings())
    }
}

fn mistakes(findings: Vec<rules::Finding>) -> Result<(), ConfigError> {
    if findings.is_empty() {
        return Ok(());
    }
    let mistakes = findings.into_iter().map(Mistake::from).collect();
    Err(ConfigError::Mistakes { path: None, mistakes })
}

/// The keys of `[policy]`.
pub(crate) fn policy_keys() -> Vec<&'static str> {
    schema::keys::<PolicyConfig>(&[]).unwrap_or_default().to_vec()
}

/// The line that an offset in a text is in, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    examine::line_and_column(text, offset).0
}

/// Whether a text can be the name of an audience (R12).
///
/// # Errors
/// What it must be, where it cannot.
pub fn check_audience(name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(fits) {
        Ok(())
    } else {
        Err("an audience has 1 to 64 letters, digits or any of . _ : / -")
    }
}

#[cfg(test)]
mod tests;
