//! What every gateway has to pass with Patrol beside it, whichever it is and whichever door it asks at.
//!
//! A gateway implements [`Gateway`] and calls [`probe!`](crate::probe) in a module of `tests/gateways`; each check is
//! then a test of its own there, so that a failure names the gateway and the check. Where gateways differ for good
//! reason, [`Ways`] says how, and the check holds them to that; what is not in [`Ways`] is the same for all.

mod api;
mod claims;
mod credentials;
mod odd;
mod trouble;

use std::time::Duration;

use super::client::{Answer, curl};
use super::patrol::{Patrol, Token, text};
use super::upstream::{Arrived, Upstream};
use super::{Running, have, wait_for};

pub use api::*;
pub use claims::*;
pub use credentials::*;
pub use odd::*;
pub use trouble::*;

/// The header of `credential_headers` in the probe's configuration. A gateway that has to be told which headers to
/// remove before the service is told of this one as its README says.
pub const KEY_HEADER: &str = "X-Api-Key";

/// The headers by which the service learns who calls.
pub const IDENTITY: [&str; 9] = [
    "X-Patrol-User",
    "X-Patrol-User-Name",
    "X-Patrol-Tenant",
    "X-Patrol-Roles",
    "X-Patrol-Token-Id",
    "X-Patrol-Token-Name",
    "X-Patrol-Session",
    "X-Patrol-Expires",
    "X-Patrol-Identity",
];

/// The probe's `patrol.toml`, to which [`Gateway::CONFIGURATION`] is added. Failures are not limited, since the probe
/// makes many. The open routes are bait: whoever gets Patrol to see another path or method than the service does is let
/// in by them.
const CONFIGURATION: &str = r#"
[http]
credential_headers = ["X-Api-Key"]

[limits]
failures_per_address = 0
failures_per_token = 0

[identity]
signed = true

[[route]]
path = "/open/**"
anonymous = true

[[route]]
path = "/read/**"
methods = ["GET"]
anonymous = true

[[route]]
path = "/**"
"#;

/// A real gateway, running the configuration that is shipped for it: of that, only ports and paths are replaced.
pub trait Gateway: Sized + Sync {
    /// What it is called in messages and tables.
    const NAME: &'static str;
    /// The programs without which it cannot run, beside curl.
    const PROGRAMS: &'static [&'static str];
    /// The doors of Patrol that it asks at, beside HTTP: keys of `[server]` such as `grpc`. [`Patrol::door`] has their
    /// ports.
    const DOORS: &'static [&'static str] = &[];
    /// What it needs in `patrol.toml`, beginning with a table; not `[server]`.
    const CONFIGURATION: &'static str = "";
    /// How it differs.
    const WAYS: Ways;

    /// Starts it, and waits until it listens. Patrol runs.
    fn launch(setup: &Setup<'_>) -> Self;

    /// Where it listens for clients.
    fn port(&self) -> u16;

    /// What it wrote.
    fn log(&self) -> String;

    /// An address at the protected service.
    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port())
    }
}

/// Between whom a gateway stands.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub patrol: &'a Patrol,
    pub upstream: &'a Upstream,
    /// Whether Patrol is asked. If not, the gateway passes everything on: to measure what the check costs.
    pub guarded: bool,
}

/// How gateways legitimately differ.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// The forms in which a credential is read.
    pub forms: &'static [Form],
    /// What the client gets where Patrol is away or gives no answer in time: never 2xx.
    pub undecided: &'static [u16],
    /// How long the client waits for that, at most, where Patrol is there and does not answer. The machine that runs
    /// the tests may be busy.
    pub patience: Duration,
    /// What it gets with two credentials.
    pub ambiguous: &'static [u16],
    /// Whether Patrol's `WWW-Authenticate` reaches the client with a 401.
    pub challenge: bool,
    /// What becomes of `X_Patrol_User`, which some services take for `X-Patrol-User`.
    pub underscores: Fate,
    /// What becomes of `Connection: X-Patrol-User`, by which a client asks the gateway to drop what Patrol says.
    pub connection: Fate,
    /// Whether Patrol is told which request it is about, and from where. Where it is asked about the token alone, the
    /// gateway decides by path and method, and no identity is signed.
    pub tells_request: bool,
    /// Whether connections to Patrol are used again.
    pub keeps_connections: bool,
    /// Whether Patrol's own calls, which open and close sessions, are reached through it.
    pub sign_in: bool,
}

impl Ways {
    /// What is to be wished for.
    pub const USUAL: Self = Self {
        forms: &Form::ALL,
        undecided: &[503],
        // The shipped configurations wait for a second or so, some of them twice.
        patience: Duration::from_secs(8),
        ambiguous: &[400],
        challenge: true,
        underscores: Fate::Refused,
        connection: Fate::Refused,
        tells_request: true,
        keeps_connections: true,
        sign_in: true,
    };
}

/// What becomes of a client's trick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The request is answered 400.
    Refused,
    /// The request goes on without it.
    Dropped,
}

/// How a credential is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `Authorization: Bearer PAT`.
    Bearer,
    /// `Authorization: Basic`, the PAT as the password.
    Basic,
    /// `Authorization: token PAT`.
    Scheme,
    /// The PAT in the header [`KEY_HEADER`].
    Key,
    /// A session in `X-Tableau-Session-Token`.
    Session,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Bearer, Self::Basic, Self::Scheme, Self::Key, Self::Session];

    /// The arguments to curl that present a secret so.
    #[must_use]
    pub fn arguments(self, secret: &str) -> [String; 2] {
        let (option, value) = match self {
            Self::Bearer => ("--oauth2-bearer", secret.to_owned()),
            Self::Basic => ("--user", format!("anybody:{secret}")),
            Self::Scheme => ("--header", format!("Authorization: token {secret}")),
            Self::Key => ("--header", format!("{KEY_HEADER}: {secret}")),
            Self::Session => ("--header", format!("X-Tableau-Session-Token: {secret}")),
        };
        [option.to_owned(), value]
    }
}

/// A service behind a gateway behind Patrol, with the user `ann`.
pub struct World<G> {
    pub gateway: G,
    pub server: Running,
    pub patrol: Patrol,
    pub upstream: Upstream,
}

impl<G: Gateway> World<G> {
    /// Nothing, where a program is missing that it needs.
    pub fn new() -> Option<Self> {
        Self::build(|patrol| (patrol.serve(), ())).map(|(world, ())| world)
    }

    /// The same, with the server started by `serve`.
    fn build<T>(serve: impl FnOnce(&Patrol) -> (Running, T)) -> Option<(Self, T)> {
        have(&[&["curl"], G::PROGRAMS].concat()).then(|| {
            let patrol = Patrol::with_doors(&format!("{CONFIGURATION}\n{}", G::CONFIGURATION), G::DOORS);
            patrol.user("ann", &["admin", "deployer"]);
            let upstream = Upstream::start();
            let (server, more) = serve(&patrol);
            let gateway = G::launch(&Setup {
                patrol: &patrol,
                upstream: &upstream,
                guarded: true,
            });
            let world = Self {
                gateway,
                server,
                patrol,
                upstream,
            };
            (world, more)
        })
    }

    /// A request for a path, with these arguments to curl. A busy machine may have no verdict for a moment, which is no
    /// answer to what a test asks: then it is asked again.
    pub fn ask<S: AsRef<str>>(&self, path: &str, arguments: &[S]) -> Answer {
        let again = |status: u16| status >= 500 && G::WAYS.undecided.contains(&status);
        wait_for("a verdict", || {
            Some(self.ask_once(path, arguments)).filter(|answer| !again(answer.status))
        })
    }

    /// The same, whatever the answer is.
    pub fn ask_once<S: AsRef<str>>(&self, path: &str, arguments: &[S]) -> Answer {
        let url = self.gateway.url(path);
        let fixed = [&*url, "--globoff", "--path-as-is"];
        let arguments: Vec<_> = fixed
            .into_iter()
            .chain(arguments.iter().map(AsRef::as_ref))
            .collect();
        curl(&arguments)
    }

    /// A request for `/thing` with this token.
    pub fn bearer(&self, secret: &str) -> Answer {
        self.ask("/thing", &Form::Bearer.arguments(secret))
    }

    /// Asserts that a request is answered so, and that the service hears nothing of it.
    pub fn refused<S: AsRef<str>>(&self, path: &str, arguments: &[S], statuses: &[u16]) -> Answer {
        let before = self.upstream.requests();
        let answer = self.ask(path, arguments);
        assert!(
            statuses.contains(&answer.status),
            "{path}: {statuses:?} expected: {answer:?}"
        );
        assert_eq!(
            self.upstream.requests(),
            before,
            "{path}: the service was reached: {answer:?}"
        );
        answer
    }

    /// Asserts that a token is refused, that the answer does not say why, and that the service hears nothing of it.
    pub fn refuses(&self, secret: &str) -> Answer {
        let answer = self.refused("/thing", &Form::Bearer.arguments(secret), &[401]);
        if G::WAYS.challenge {
            let challenge = r#"Bearer realm="patrol", error="invalid_token""#;
            assert_eq!(answer.all("WWW-Authenticate"), [challenge]);
        }
        answer
    }

    /// Opens a session, past the gateway.
    fn session(&self, token: &Token) -> String {
        let body = serde_json::json!({ "token": token.secret }).to_string();
        let url = format!("http://127.0.0.1:{}/api/v1/pat/login", self.patrol.port());
        let answer = wait_for("a session", || {
            Some(curl(&[&url, "--json", &body])).filter(|answer| answer.status != 503)
        });
        assert_eq!(answer.status, 200, "{answer:?}");
        text(&answer.json(), "sessionToken")
    }
}

/// Asserts that nothing in a request shows a secret, as it is or as the password of `anybody` in Basic.
fn assert_unseen(arrived: &Arrived, secret: &str) {
    let all = format!("{arrived:?}");
    // The first and the last group of the encoded text depend on what is beside the secret, the others on how far from
    // the beginning they are: a piece from the middle is enough.
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("anybody:{secret}"),
    );
    for needle in [secret, &basic[40..80]] {
        assert!(!all.contains(needle), "the secret arrived: {all}");
    }
}

/// Makes each check of the probe a test, for one gateway.
#[macro_export]
macro_rules! probe {
    ($gateway:ty) => {
        $crate::probe! {
            $gateway:
            each_form_of_credential_lets_in_and_ends_at_the_gateway,
            the_service_learns_who_comes,
            who_presents_nothing_is_asked_for_a_token,
            all_refusals_look_alike,
            an_expired_token_is_refused,
            two_credentials_are_refused_even_where_both_are_good,
            a_session_is_opened_and_closed_through_the_gateway,
            the_rest_api_is_reached_through_the_gateway,
            links_lead_back_through_the_gateway,
            a_body_that_patrol_would_not_take_ends_at_the_gateway,
            an_identity_that_a_client_claims_does_not_reach_the_service,
            an_identity_in_underscores_does_not_reach_the_service,
            an_identity_named_in_connection_is_not_lost,
            what_patrol_decides_on_comes_from_the_gateway_alone,
            paths_that_can_be_read_in_two_ways_open_nothing,
            no_odd_request_gets_in_without_a_token,
            no_odd_header_carries_a_token_or_an_identity_to_the_service,
            nobody_gets_past_the_gateway_by_an_upgrade_to_http_2,
            a_body_arrives_whole_and_is_not_shown_to_patrol,
            connections_to_patrol_are_used_again,
            without_patrol_nobody_comes_in,
            a_patrol_that_does_not_answer_lets_nobody_in_and_holds_nobody_up,
            a_restart_under_load_lets_nobody_in_wrongly,
            under_load_no_request_begun_after_a_revocation_is_let_in,
        }
    };
    ($gateway:ty: $($check:ident),* $(,)?) => {
        $(
            #[test]
            fn $check() {
                $crate::gateway::probe::$check::<$gateway>();
            }
        )*
    };
}
