//! `[notices]`: who is told of tokens that are about to end, or were revoked.

use std::net::IpAddr;
use std::path::PathBuf;

use patrol_policy::types::DAY;
use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// `[notices]`: who is told of tokens that are about to end, or were revoked. Nobody by default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoticeConfig {
    /// The address that each notice is posted to as JSON: https, or http on this machine. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// The file with the secret by which notices to the webhook are signed, readable by its owner only. Without it they
    /// are not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret_file: Option<PathBuf>,
    /// How long before its end a token is told of as ending. Default 7 days.
    pub ending_within: Millis,
    /// `[notices.mail]`: the server that notices are mailed by. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailConfig>,
}

impl Default for NoticeConfig {
    fn default() -> Self {
        Self {
            webhook: None,
            webhook_secret_file: None,
            ending_within: Millis(7 * DAY),
            mail: None,
        }
    }
}

/// `[notices.mail]`: notices by mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailConfig {
    /// The SMTP server's name or address.
    pub server: String,
    /// Its port. Default 587.
    pub port: u16,
    /// How the connection is kept private. Default `"starttls"`.
    pub tls: MailTls,
    /// The name to sign in with at the server. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The file with the password for it, readable by its owner only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The sender, such as `Patrol <patrol@example.com>`.
    pub from: String,
    /// Whether a token's owner is told, where their e-mail address is known. Default true.
    pub to_owner: bool,
    /// Who is told of all. Nobody by default.
    pub to: Vec<String>,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            server: String::new(),
            port: 587,
            tls: MailTls::Starttls,
            user: None,
            password_file: None,
            from: String::new(),
            to_owner: true,
            to: Vec::new(),
        }
    }
}

/// How the connection to a mail server is kept private. The server's certificate is always verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// By STARTTLS; a server that does not offer it gets no mail.
    Starttls,
    /// From the first byte.
    Implicit,
    /// Not at all, which is for a server on this machine only.
    None,
}

/// Whether this names this machine and no other.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
