//! Signing who calls, for upstreams that must be sure who set the headers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::HeaderValue;
use patrol_policy::types::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::keys::{Jwk, KeyError, Keys, Mark};
use crate::config::IdentityConfig;
use crate::service::Identity;

/// How long the key in memory is used before the file is looked at again, ms: a rotation is in force after that.
const LOOK_AFTER: u64 = 1_000;

/// What is signed (RFC 7519), for one request and no other: nothing that is signed is ever used again.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    tenant: String,
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The request's method.
    method: &'a str,
    /// SHA-256 of the request target, path and query as the client sent them, in base64url.
    uri_sha256: String,
}

/// What a signature is for.
pub(in crate::gate) struct Purpose<'a> {
    pub(in crate::gate) audience: &'a str,
    pub(in crate::gate) method: &'a str,
    pub(in crate::gate) uri: &'a str,
    pub(in crate::gate) now: Timestamp,
}

/// Signs with the key of a data directory, whoever replaces it.
pub(in crate::gate) struct Signer {
    data: PathBuf,
    state: ArcSwap<State>,
    /// Held by the one who looks at the file.
    looking: Mutex<()>,
    begun: Instant,
    /// Makes identifiers differ: random for this run, and counted in it.
    run: [u8; 8],
    count: AtomicU64,
}

/// What is known of the file.
#[derive(Default)]
struct State {
    keys: Option<(Arc<Keys>, Mark)>,
    /// When it was looked at, ms since the start; none: never.
    looked: Option<u64>,
}

/// There is no key, so there is no signature; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gate) struct NoKey;

impl Signer {
    pub(in crate::gate) fn new(data: PathBuf) -> Self {
        let mut run = [0; 8];
        // Without randomness, runs differ by their start: identifiers are no secrets.
        if getrandom::fill(&mut run).is_err() {
            let since = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            run = u64::try_from(since.as_nanos()).unwrap_or_default().to_be_bytes();
        }
        Self {
            data,
            state: ArcSwap::default(),
            looking: Mutex::new(()),
            begun: Instant::now(),
            run,
            count: AtomicU64::new(0),
        }
    }

    /// The header for a request that is let in.
    pub(in crate::gate) fn sign(
        &self,
        config: &IdentityConfig,
        identity: &Identity,
        purpose: &Purpose<'_>,
    ) -> Result<HeaderValue, NoKey> {
        let keys = self.keys(purpose.now)?;
        // A signature does not outlive what was presented.
        let expires = purpose
            .now
            .saturating_add(config.lifetime.0)
            .min(identity.ends.at);
        let [now, expires] = [purpose.now, expires].map(|ms| ms / 1_000);
        let claims = Claims {
            iss: &config.issuer,
            aud: purpose.audience,
            sub: identity.user_id().to_string(),
            iat: now,
            nbf: now,
            exp: expires,
            jti: self.identifier(),
            tenant: identity.tenant_id().to_string(),
            roles: identity.roles(),
            token_id: identity.token().map(|row| row.state.token.id.to_string()),
            session: identity.session.map(|session| session.to_string()),
            method: purpose.method,
            uri_sha256: BASE64URL.encode(Sha256::digest(purpose.uri)),
        };
        let mut json = Vec::with_capacity(640);
        serde_json::to_writer(&mut json, &claims).map_err(|_| NoKey)?;
        HeaderValue::try_from(keys.sign(&json)).map_err(|_| NoKey)
    }

    /// The public keys by which signatures are verified (RFC 7517); `make` one, where there is none.
    pub(in crate::gate) fn key_set(&self, make: bool, now: Timestamp) -> Result<String, NoKey> {
        #[derive(Serialize)]
        struct KeySet<'a> {
            keys: Vec<&'a Jwk>,
        }
        let keys = if make {
            Some(self.keys(now)?)
        } else {
            // Nobody signs now, but what was signed before may hold.
            let loaded = Keys::load(&self.data).map_err(|error| failed(&error))?;
            loaded.map(Arc::new)
        };
        let keys = keys.as_ref().map(|keys| keys.published(now)).unwrap_or_default();
        serde_json::to_string(&KeySet { keys }).map_err(|_| NoKey)
    }

    fn keys(&self, now: Timestamp) -> Result<Arc<Keys>, NoKey> {
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let fresh = |state: &State| {
            state
                .looked
                .is_some_and(|looked| elapsed.saturating_sub(looked) < LOOK_AFTER)
        };
        let known = |state: &State| state.keys.as_ref().map(|(keys, _)| Arc::clone(keys)).ok_or(NoKey);
        let state = self.state.load();
        if fresh(&state) {
            return known(&state);
        }
        let _one = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load();
        if fresh(&state) {
            return known(&state);
        }
        let keys = match &state.keys {
            Some((keys, mark)) if Mark::of(&self.data) == Some(*mark) => Some((Arc::clone(keys), *mark)),
            _ => match Keys::load_or_make(&self.data, now) {
                Ok((keys, mark)) => Some((Arc::new(keys), mark)),
                Err(error) => {
                    // The key from before may be the one that was to be got rid of.
                    failed(&error);
                    None
                }
            },
        };
        let state = State {
            keys,
            looked: Some(elapsed),
        };
        let keys = known(&state);
        self.state.store(Arc::new(state));
        keys
    }

    fn identifier(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut bytes = [0; 16];
        let (run, counted) = bytes.split_at_mut(8);
        run.copy_from_slice(&self.run);
        counted.copy_from_slice(&count);
        BASE64URL.encode(bytes)
    }
}

fn failed(error: &KeyError) -> NoKey {
    tracing::error!(%error, "identities cannot be signed: nobody is let in");
    NoKey
}
