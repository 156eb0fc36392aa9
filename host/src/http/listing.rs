//! The tokens by which listings go on.
//!
//! A page token says where the next page begins; a checksum over that and over what is listed keeps it from being used for
//! another listing. It is no secret and grants nothing: each page is asked for with a session.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use patrol_policy::types::Id;
use sha2::{Digest as _, Sha256};

/// Bytes of the checksum in a page token.
const CHECK: usize = 8;

/// What is listed, so that a page token of one listing is none of another.
pub(super) struct Listing(Sha256);

impl Listing {
    /// A listing of this kind, of what these numbers name.
    pub(super) fn new(kind: &'static str, of: &[u128]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(kind);
        hasher.update([0]);
        for part in of {
            hasher.update(part.to_be_bytes());
        }
        Self(hasher)
    }

    /// The same, of what fulfils these conditions.
    pub(super) fn filtered(self, conditions: &str) -> Self {
        Self(self.0.chain_update(Sha256::digest(conditions)))
    }

    /// The token for a page that begins here.
    pub(super) fn token(&self, position: Id) -> String {
        self.seal(&position.to_bytes())
    }

    /// Where the page begins that this token is for; none where it is not a token of this listing.
    pub(super) fn position(&self, token: &str) -> Option<Id> {
        let bytes = self.open(token)?.try_into().ok()?;
        Some(Id::from_bytes(bytes))
    }

    /// The token for a page that begins at a place which has another form.
    pub(super) fn seal(&self, place: &[u8]) -> String {
        let mut bytes = self.check(place).to_vec();
        bytes.extend_from_slice(place);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that was sealed into this token; none where it is not a token of this listing.
    pub(super) fn open(&self, token: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (check, place) = bytes.split_first_chunk::<CHECK>()?;
        (*check == self.check(place)).then(|| place.to_vec())
    }

    fn check(&self, place: &[u8]) -> [u8; CHECK] {
        let hash = self.0.clone().chain_update(place).finalize();
        let mut check = [0; CHECK];
        for (to, from) in check.iter_mut().zip(hash) {
            *to = from;
        }
        check
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

    use super::*;

    const POSITION: Id = Id { hi: 1, lo: u64::MAX };

    #[test]
    fn a_page_token_goes_on_with_its_own_listing_and_no_other() {
        let listing = Listing::new("users", &[1, 2]);
        let token = listing.token(POSITION);
        assert_eq!(listing.position(&token), Some(POSITION));
        for other in [
            Listing::new("users", &[1, 3]),
            Listing::new("users", &[1]),
            Listing::new("sites", &[1, 2]),
        ] {
            assert!(other.position(&token).is_none());
        }
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            *changed.get_mut(at).unwrap() ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(listing.position(&changed).is_none(), "{changed}");
        }
        assert!(listing.position(&token[1..]).is_none());
        assert!(listing.position(&format!("{token}A")).is_none());
    }
}
