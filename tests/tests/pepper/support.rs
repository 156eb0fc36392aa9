//! What is stored of a token, and what should be.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use patrol::service::{NewToken, Patrol};
use patrol_policy::memory::hmac_sha256;
use patrol_policy::token::{Kind, parse};
use patrol_policy::types::{Digest, Id, Token};
use patrol_tests::deployment::{Deployment, id};
use patrol_tests::policies;

pub const PLAIN: u8 = 1;
pub const PEPPERED: u8 = 2;
pub const MOVED: &str = "move_personal_access_tokens";

/// One more host on the directory, under the policy that peppers.
pub fn peppered(it: &Deployment) -> Patrol {
    it.under(&policies::read("peppered"))
}

/// The pepper of a data directory.
pub fn pepper(directory: &Path) -> [u8; 32] {
    let text = fs::read_to_string(directory.join("pepper.key")).unwrap();
    let digits = text.trim_end().strip_prefix("patrol-pepper-1:").unwrap();
    URL_SAFE_NO_PAD.decode(digits).unwrap().try_into().unwrap()
}

/// What scheme 1 keeps of a secret.
pub fn plain(secret: &[u8]) -> (u8, Digest) {
    (PLAIN, parse(Kind::Pat, secret).unwrap().digest())
}

/// What scheme 2 keeps of a secret, under this pepper.
pub fn under(pepper: &[u8; 32], secret: &[u8]) -> (u8, Digest) {
    let mac = hmac_sha256(pepper, &plain(secret).1.to_bytes());
    (PEPPERED, Digest::from_bytes(&mac))
}

/// The record of a token as the database has it.
pub fn stored(it: &Deployment, token: Id) -> Token {
    let read = it.patrol.store().read().unwrap();
    read.token_state(token).unwrap().unwrap().token
}

/// What is kept of the current secret.
pub fn kept(it: &Deployment, token: &NewToken) -> (u8, Digest) {
    let token = stored(it, id(token));
    (token.scheme, token.digest)
}

/// What is kept of the secret before it.
pub fn kept_before(it: &Deployment, token: &NewToken) -> Option<(u8, Digest)> {
    let previous = stored(it, id(token)).previous?;
    Some((previous.scheme, previous.digest))
}
