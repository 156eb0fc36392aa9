//! Notices by webhook: `POST` with the notice as JSON, see [`Notice`].
//!
//! With a secret, the header `Patrol-Signature: t=SECONDS,v1=HEX` has the time of sending, and the HMAC-SHA-256 under
//! that secret of the time as it stands there, a full stop, and the body. A receiver that compares it, and refuses times
//! that are minutes away, knows that the notice is Patrol's and not an old one.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use ureq::{Agent, Error, Timeout};

use super::{CONNECTING, PATIENCE, Sent, secret, unreadable};
use crate::release::hex;
use crate::service::Notice;

/// Who posts.
#[derive(Debug)]
pub(super) struct Webhook(Agent);

impl Default for Webhook {
    fn default() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(CONNECTING))
            // What is meant for one receiver is not for whomever it names.
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            // A connection that the receiver has closed meanwhile would leave it open whether the notice arrived.
            .max_idle_connections(0)
            .user_agent(concat!("patrol/", env!("CARGO_PKG_VERSION")));
        Self(config.build().new_agent())
    }
}

impl Webhook {
    /// Posts a notice.
    pub(super) fn send(&self, url: &str, key: Option<&Path>, notice: &Notice) -> Sent {
        let Ok(body) = serde_json::to_vec(notice) else {
            return Sent::Refused("it has no JSON form".to_owned());
        };
        let request = self.0.post(url).content_type("application/json");
        let request = match key {
            None => request,
            Some(path) => {
                let key = match secret(path) {
                    Ok(key) if !key.is_empty() => key,
                    Ok(_) => return Sent::Nothing("webhook_secret_file is empty".to_owned()),
                    Err(error) => return unreadable("webhook_secret_file", &error),
                };
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                match signature(&key, since.as_secs(), &body) {
                    Some(signature) => request.header("Patrol-Signature", signature),
                    None => return Sent::Nothing("it cannot be signed".to_owned()),
                }
            }
        };
        match request.send(&body) {
            Ok(answer) if answer.status().is_success() => Sent::Delivered,
            Ok(answer) => Sent::Refused(format!("HTTP {}", answer.status().as_u16())),
            Err(error) if before_sending(&error) => Sent::Nothing(error.to_string()),
            Err(error) => Sent::Unknown(error.to_string()),
        }
    }
}

/// The value of the signature's header; none for a key that cannot be one.
fn signature(key: &[u8], seconds: u64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    Some(format!("t={seconds},v1={}", hex(&mac)))
}

/// Whether it failed before anything of the notice can have left: there was no connection. All else is in doubt.
fn before_sending(error: &Error) -> bool {
    match error {
        Error::HostNotFound | Error::ConnectionFailed | Error::BadUri(_) | Error::TlsRequired => true,
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_signature_is_over_time_and_body() {
        // As `printf '1800000000.{}' | openssl dgst -sha256 -hmac key` has it.
        assert_eq!(
            signature(b"key", 1_800_000_000, b"{}").unwrap(),
            "t=1800000000,v1=7321475872b03ff21bdc2dfd86ea2d99ec29c479fbe4a77aa6acf4509505493f"
        );
    }
}
