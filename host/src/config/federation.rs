//! `[[web.oidc]]` and `[web.gateway]`: who else may say who somebody on the pages is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::network::Network;

/// `[[web.oidc]]`: an OpenID Connect provider. It signs in those whose authentication method is `oidc:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcConfig {
    /// The name, after `oidc:` in the name of the method: 1 to 32 of `a-z 0-9 . _ -`.
    pub name: String,
    /// What people call it, on the sign-in page. By default the name.
    pub label: String,
    /// The issuer, as the provider has it in its discovery document: `https`, or `http` on this machine.
    pub issuer: String,
    /// The client identifier that the provider knows Patrol by.
    pub client_id: String,
    /// The file with the client secret, readable by its owner only; relative to the data directory. None: a public
    /// client, which PKCE alone protects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// The scopes that are asked for. Default `openid`, `email`, `profile`.
    pub scopes: Vec<String>,
    /// By what a user is found when they come for the first time. After that it is the subject, whatever else changes.
    #[serde(rename = "match")]
    pub first: Match,
    /// The tenant whose users it signs in. By default the only one that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// By what somebody is found among the users of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// By e-mail address; from a provider, only one that it has verified.
    Email,
    /// By user name; from a provider, `preferred_username`.
    Name,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            label: String::new(),
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: None,
            scopes: ["openid", "email", "profile"].map(ToOwned::to_owned).to_vec(),
            first: Match::Email,
            tenant: None,
        }
    }
}

impl OidcConfig {
    /// The authentication method of those whom it signs in.
    #[must_use]
    pub fn method(&self) -> String {
        format!("oidc:{}", self.name)
    }

    /// What people call it.
    #[must_use]
    pub fn label(&self) -> &str {
        if self.label.is_empty() {
            &self.name
        } else {
            &self.label
        }
    }
}

/// `[web.gateway]`: a header by which a gateway in front says who somebody is. It is believed only from the named
/// addresses, or where it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// The authentication method of those who come this way. Default "gateway".
    pub method: String,
    /// The header. The gateway must replace whatever a client put there itself.
    pub header: String,
    /// What the header holds. Default `"name"`.
    #[serde(rename = "match")]
    pub found: Match,
    /// The addresses of the gateway: those that connections come from, whatever other headers say.
    pub from: Vec<Network>,
    /// The tenant of its users. By default the only one that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// How the header is signed. None by default: it holds the bare name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            method: "gateway".to_owned(),
            header: String::new(),
            found: Match::Name,
            from: Vec::new(),
            tenant: None,
            jwt: None,
        }
    }
}

/// `[web.gateway.jwt]`: the header is a JSON Web Token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtConfig {
    /// The file with the gateway's public key in PEM, which nobody but its owner may write to; relative to the data
    /// directory.
    pub key_file: PathBuf,
    /// The algorithms by which it may be signed, all of one kind of key. Default `["ES256"]`.
    pub algorithms: Vec<Algorithm>,
    /// The issuer that `iss` must name.
    pub issuer: String,
    /// The audience that `aud` must name.
    pub audience: String,
    /// The claim that names the user. Default "sub".
    pub claim: String,
}

/// An algorithm with a public key. Those with a shared one are left out: whoever can verify could sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256.
    ES256,
    /// ECDSA on P-384.
    ES384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// The same with SHA-384.
    RS384,
    /// The same with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// The same with SHA-384.
    PS384,
    /// The same with SHA-512.
    PS512,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// The kind of key, as files of keys call it.
    #[must_use]
    pub const fn family(self) -> &'static str {
        match self {
            Self::ES256 | Self::ES384 => "EC",
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => "RSA",
            Self::EdDSA => "Ed25519",
        }
    }
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            key_file: PathBuf::new(),
            algorithms: vec![Algorithm::ES256],
            issuer: String::new(),
            audience: String::new(),
            claim: "sub".to_owned(),
        }
    }
}
