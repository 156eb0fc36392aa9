//! Patrol issues, verifies and ends personal access tokens (PATs).
//!
//! The rules are a WebAssembly component, the policy; this crate is the host that runs it, keeps its records and
//! speaks to gateways and people. Most run it as the `patrol` program beside a gateway. A Rust program can do without
//! both: it opens the data directory itself, and puts [`PatrolLayer`] before its service.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use patrol::{Caller, DAY, Error, NewAccount, Origin, Patrol, RefusalReason, Settings};
//!
//! # let directory = tempfile::tempdir()?;
//! # let data = directory.path();
//! // A data directory, made if it is not there. Any number of threads and processes may work on it.
//! let mut settings = Settings::new(data);
//! # settings.config.policy.deadline = patrol::time::Millis(5_000);
//! let patrol = Patrol::open(settings)?;
//!
//! // What administrators do, and who is told to have done it in the audit trail.
//! let operator = Caller::operator(Some("the setup script".to_owned()));
//! patrol.create_tenant(&operator, "acme", "password", false)?;
//! let ann = NewAccount {
//!     name: "ann".to_owned(),
//!     email: None,
//!     roles: vec!["admin".to_owned()],
//! };
//! let ann = patrol.create_user(&operator, "acme", &ann)?;
//! let expires = patrol.now() + 90 * DAY;
//! let token = patrol.issue(&operator, ann.id, "nightly backup", expires, "api")?;
//!
//! // A script presents the secret, which exists nowhere else; a yes says who it is, with the roles as they are now.
//! let from = Origin::default();
//! let caller = patrol.authenticate(token.secret.expose(), "api", &from)?;
//! assert_eq!((caller.user_name(), caller.roles()), ("ann", ["admin".to_owned()].as_slice()));
//!
//! // Or it signs in, and presents the session from then on.
//! let session = patrol.open_session(token.secret.expose(), "api", &from)?;
//! let caller = patrol.check_session(session.secret.expose(), "api", &from)?;
//! assert_eq!(caller.user_id(), ann.id);
//!
//! // Revocation holds at once, for the sessions too. Refusal, fault and outage are different errors: only the first
//! // is the policy's no.
//! patrol.revoke(&operator, token.row.state.token.id)?;
//! let refused = patrol.check_session(session.secret.expose(), "api", &from);
//! assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.reason == RefusalReason::Revoked));
//! # Ok(())
//! # }
//! ```
//!
//! # What to lean on
//!
//! The names at the top of this page, [`gate`], [`layer`], [`service`], [`scenario`], [`config`] and [`time`] are the
//! library's interface, and follow semantic versioning: while the version is 0.x, what breaks callers waits for the
//! next 0.x. Enums and records that will grow are `#[non_exhaustive]`. A server needs [`http`](mod@http), [`doors`] and
//! [`control`] besides, which are meant for the program and may change with it; so may what is hidden from this documentation: the
//! command line, and the two layers below [`service`], the policy's runtime and the store.
//!
//! # Layers
//!
//! Each knows only those below: `cli`; [`http`](mod@http), [`doors`] and [`layer`]; [`gate`] and, beside it,
//! [`scenario`], [`control`] and `notices`; [`service`]; then `policy` and `store`. A test holds them to it.

mod accept;
#[doc(hidden)]
pub mod cli;
pub mod config;
pub mod control;
pub mod doors;
pub mod gate;
pub mod http;
#[doc(hidden)]
pub mod journal;
mod key_text;
pub mod layer;
#[doc(hidden)]
pub mod notices;
#[doc(hidden)]
pub mod policy;
mod private_file;
#[doc(hidden)]
pub mod release;
pub mod scenario;
pub mod service;
#[doc(hidden)]
pub mod store;
pub mod time;

pub use config::{Config, ConfigError};
pub use gate::{Admission, Denial, Door, Gate, Meters};
pub use layer::PatrolLayer;
pub use patrol_policy::Secret;
pub use patrol_policy::types::{Cause, DAY, End, Id, RefusalReason, Timestamp};
pub use service::{
    Caller, Error, Housekeeping, Identity, NewAccount, NewToken, OpenError, Origin, Patrol, Settings, SignIn,
    UserRef,
};
