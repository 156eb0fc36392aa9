//! Secrets that stand in for those that nobody has.
//!
//! An exchange says what a presented secret matched, not what it was. A policy wants to compare digests all the same,
//! so each secret of a record gets another one here, which depends on a random key of this replay, the record and the
//! generation and on nothing else: it is the same one each time, and its digest is what the record shows to the policy.
//! None of them authenticates anywhere: no database has their digests.

use std::sync::Arc;

use patrol_policy::Secret;
use patrol_policy::token::{self, Kind, SCHEME_PEPPERED, SCHEME_SHA256};
use patrol_policy::types::{Digest, Id};
use zeroize::Zeroizing;

use crate::service::Error;
use crate::service::pepper::{Keyring, Pepper};

/// What a secret stands in for.
#[derive(Clone, Copy)]
enum Of {
    Token = 1,
    Session = 2,
    /// A secret that matches nothing.
    Nothing = 3,
}

/// Makes them up.
pub(super) struct StandIns {
    key: Zeroizing<[u8; 32]>,
    /// Stands in for the pepper.
    pub(super) keyring: Arc<Keyring>,
}

impl StandIns {
    pub(super) fn new() -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|error| Error::interrupted(&error.to_string()))?;
        Ok(Self {
            key,
            keyring: Arc::new(Keyring::made_up()?),
        })
    }

    /// The text of a token of this generation.
    pub(super) fn token(&self, id: Id, generation: u32) -> Secret {
        token::compose(Kind::Pat, id, &self.secret(Of::Token, id, generation))
    }

    /// The text of a session.
    pub(super) fn session(&self, id: Id) -> Secret {
        token::compose(Kind::Session, id, &self.secret(Of::Session, id, 0))
    }

    /// A text with a secret that is not the record's.
    pub(super) fn wrong(&self, kind: Kind, id: Id) -> Secret {
        token::compose(kind, id, &self.secret(Of::Nothing, id, 0))
    }

    /// A text that was mistyped.
    pub(super) fn mistyped(&self, kind: Kind) -> Secret {
        let mut text = self.wrong(kind, Id::default()).into_bytes();
        if let Some(last) = text.last_mut() {
            *last = if *last == b'0' { b'1' } else { b'0' };
        }
        Secret::new(text)
    }

    /// What is stored of a token's secret of this generation.
    pub(super) fn token_digest(&self, id: Id, generation: u32, scheme: u8) -> Digest {
        match scheme {
            SCHEME_SHA256 => token::digest(&self.secret(Of::Token, id, generation)),
            SCHEME_PEPPERED => {
                let digest = token::digest(&self.secret(Of::Token, id, generation));
                let pepper: Option<Arc<Pepper>> = self.keyring.known();
                pepper.map_or_else(Digest::default, |pepper| pepper.mac(&digest))
            }
            // Erased, or of a scheme that the host does not know: nothing matches it.
            _ => Digest::default(),
        }
    }

    /// What is stored of a session's secret.
    pub(super) fn session_digest(&self, id: Id) -> Digest {
        token::digest(&self.secret(Of::Session, id, 0))
    }

    fn secret(&self, of: Of, id: Id, generation: u32) -> Zeroizing<[u8; 32]> {
        // One block of its own for each: its SHA-256 is as good as random without the key.
        let mut block = self.key.clone();
        let (record, rest) = block.split_at_mut(16);
        for (byte, with) in record.iter_mut().zip(id.to_bytes()) {
            *byte ^= with;
        }
        for (byte, with) in rest.iter_mut().zip(generation.to_be_bytes()) {
            *byte ^= with;
        }
        if let Some(last) = rest.last_mut() {
            *last ^= of as u8;
        }
        Zeroizing::new(token::digest(&block).to_bytes())
    }
}
