//! The two lines.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::release::hex;
use crate::service::{self, ReleaseRow};

/// The version of the protocol. Verbs may be added within one; a line of another version is not understood.
pub const PROTOCOL: u32 = 1;

/// The longest line, in bytes: a request names a release and a tenant, an answer lists what runs.
pub(super) const REQUEST_BYTES: usize = 16 * 1024;
/// The same, of an answer.
pub(super) const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The version of this program.
pub(super) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// What a client sends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request<V> {
    pub(super) protocol: u32,
    /// The version of the client's program.
    pub(super) program: String,
    /// Who asks, for the audit trail: a name that the client vouches for.
    pub(super) caller: String,
    pub(super) ask: V,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "verb",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Verb {
    /// What runs; answered by a [`Status`].
    Status,
    /// Makes a staged release the active one; answered by the [`Release`].
    Activate {
        /// Its id, or the first digits of it.
        release: String,
        /// For this tenant alone, by its name or UUID.
        #[serde(default)]
        tenant: Option<String>,
        /// Even where it is not after the active one.
        #[serde(default)]
        allow_downgrade: bool,
    },
    /// Puts a staged release beside the policy that decides; answered by a [`ShadowStatus`](service::ShadowStatus).
    Shadow {
        /// Its id, or the first digits of it.
        release: String,
        /// For this tenant's decisions, by its name or UUID.
        #[serde(default)]
        tenant: Option<String>,
        /// For how long, ms; none: until it is told to end.
        #[serde(default)]
        lasting: Option<u64>,
    },
    /// What the shadow found; answered by a [`ShadowStatus`](service::ShadowStatus), or by null where there was none.
    ShadowStatus,
    /// Ends the shadow; answered likewise.
    ShadowStop,
    /// Makes the release before the active one active again; answered by that [`Release`], or by null where there is
    /// none.
    Rollback {
        /// For this tenant alone, by its name or UUID.
        #[serde(default)]
        tenant: Option<String>,
    },
}

/// What a server sends back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) protocol: u32,
    /// The version of the server's program.
    pub(super) program: String,
    pub(super) outcome: Outcome,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Outcome {
    /// It was done; what came of it depends on the verb.
    Done(Value),
    /// It was not done, and nothing was changed.
    Failed {
        /// As the same command would say it where no server runs.
        message: String,
        /// Its exit code.
        exit: u8,
    },
}

/// A release that was staged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// SHA-256 of its file, in hexadecimal digits.
    pub id: String,
    /// What the policy is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its release number.
    pub release: u32,
    /// When it was staged first, ms.
    pub staged: u64,
}

impl From<&ReleaseRow> for Release {
    fn from(row: &ReleaseRow) -> Self {
        Self {
            id: hex(&row.digest),
            name: row.name.clone(),
            version: row.version.clone(),
            release: row.number,
            staged: row.staged,
        }
    }
}

/// What runs in a server, or would if one were started.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// First for everybody, then for each tenant with a release of its own.
    pub governing: Vec<Governing>,
}

/// Which policy decides for somebody.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Governing {
    /// The tenant's name; none: everybody but tenants with a release of their own.
    pub tenant: Option<String>,
    /// The release that decides; none: the built-in policy or, for a tenant, what everybody has.
    pub release: Option<Release>,
    /// Since when, ms; none for the built-in policy.
    pub since: Option<u64>,
    /// How it does so far, while it is watched.
    pub watched: Option<Watched>,
    /// Releases that should decide and could not be loaded.
    pub passed_over: Vec<PassedOver>,
}

/// How a release does that may be rolled back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Calls of late.
    pub calls: u32,
    /// Those of them that ended in a fault.
    pub faults: u32,
}

/// A release that should decide and could not be loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassedOver {
    /// Which.
    pub release: Release,
    /// Why, and what to do.
    pub why: String,
}

impl From<Vec<service::Governing>> for Status {
    fn from(governing: Vec<service::Governing>) -> Self {
        Self {
            governing: governing.into_iter().map(Governing::from).collect(),
        }
    }
}

impl From<service::Governing> for Governing {
    fn from(from: service::Governing) -> Self {
        let passed_over = from.passed_over.into_iter().map(|passed| PassedOver {
            release: Release::from(&passed.release),
            why: passed.why,
        });
        Self {
            tenant: from.tenant.map(|tenant| tenant.name),
            release: from.release.as_ref().map(Release::from),
            since: from.since,
            watched: from.watched.map(|(calls, faults)| Watched { calls, faults }),
            passed_over: passed_over.collect(),
        }
    }
}
