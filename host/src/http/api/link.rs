//! Links that let whoever has one read one file for a short while, without a session.
//!
//! A link is signed (HMAC-SHA256) with a key that lives as long as this process, so none outlives a restart, and
//! nothing need be remembered of those that were given out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use patrol_policy::types::{Id, MINUTE, Timestamp};
use sha2::Sha256;
use zeroize::Zeroizing;

/// For how long a link holds, in ms.
pub(super) const LIFETIME: u64 = 5 * MINUTE;

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tenant: Id,
    pub(super) site: Id,
    pub(super) hour: u64,
}

/// Makes links, and tells whether they hold.
pub(super) struct Links {
    /// None where the machine had no randomness; then there are no links.
    key: Option<Zeroizing<[u8; 32]>>,
}

impl Links {
    pub(super) fn new() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        let filled = getrandom::fill(&mut *key);
        Self {
            key: filled.is_ok().then_some(key),
        }
    }

    /// The query of a link: until when it holds, and the signature.
    pub(super) fn sign(&self, target: Target, now: Timestamp) -> Option<String> {
        let expires = now.saturating_add(LIFETIME).checked_div(1_000)?;
        let signature = self.mac(target, expires)?.finalize().into_bytes();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Some(format!("expires={expires}&signature={signature}"))
    }

    /// Whether a link with these parameters leads there, now.
    pub(super) fn holds(&self, target: Target, expires: &str, signature: &str, now: Timestamp) -> bool {
        let Ok(expires) = expires.parse::<u64>() else {
            return false;
        };
        let Some(mac) = self.mac(target, expires) else {
            return false;
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        mac.verify_slice(&signature).is_ok() && now < expires.saturating_mul(1_000)
    }

    fn mac(&self, target: Target, expires: u64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&**self.key.as_ref()?).ok()?;
        mac.update(&target.tenant.to_bytes());
        mac.update(&target.site.to_bytes());
        mac.update(&target.hour.to_be_bytes());
        mac.update(&expires.to_be_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: Timestamp = 1_700_000_000_000;
    const TARGET: Target = Target {
        tenant: Id { hi: 0, lo: 1 },
        site: Id { hi: 0, lo: 2 },
        hour: 3,
    };

    fn parts(query: &str) -> (&str, &str) {
        let (expires, signature) = query.split_once("&signature=").unwrap();
        (expires.strip_prefix("expires=").unwrap(), signature)
    }

    #[test]
    fn a_link_holds_for_five_minutes_and_leads_to_one_file() {
        let links = Links::new();
        let query = links.sign(TARGET, NOW).unwrap();
        let (expires, signature) = parts(&query);
        let holds = |target, now| links.holds(target, expires, signature, now);
        assert!(holds(TARGET, NOW));
        assert!(holds(TARGET, NOW + LIFETIME - 1));
        assert!(!holds(TARGET, NOW + LIFETIME));
        let elsewhere = [
            Target { hour: 4, ..TARGET },
            Target {
                tenant: TARGET.site,
                ..TARGET
            },
            Target {
                site: TARGET.tenant,
                ..TARGET
            },
            Target {
                tenant: TARGET.site,
                site: TARGET.tenant,
                ..TARGET
            },
        ];
        for target in elsewhere {
            assert!(!holds(target, NOW), "{target:?}");
        }
        let later = (expires.parse::<u64>().unwrap() + 1).to_string();
        assert!(!links.holds(TARGET, &later, signature, NOW));
        for wrong in ["", "x", &signature[1..], &format!("{signature}AAAA")] {
            assert!(!links.holds(TARGET, expires, wrong, NOW), "{wrong}");
        }
        assert!(
            !Links::new().holds(TARGET, expires, signature, NOW),
            "another process's"
        );
        assert!(!Links { key: None }.holds(TARGET, expires, signature, NOW));
    }
}
