//! What is said to an OpenID Connect provider: discovery, the exchange of a code, and what its answer proves.
//!
//! Everything here waits for another machine, and is called where that is in nobody's way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EndUserEmail, EndUserUsername, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    SignatureVerificationError, TokenResponse as _,
};
use patrol_policy::Secret;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::config::OidcConfig;
use crate::time::rfc3339;

/// For each answer of the provider, from the first byte to the last.
const PATIENCE: Duration = Duration::from_secs(10);
/// Its answers are not larger, in bytes.
const ANSWER_BYTES: u64 = 1024 * 1024;
/// For so long it is taken to be as it was discovered.
const FRESH: Duration = Duration::from_secs(3_600);
/// So long it is not asked again for keys that it did not have.
const AGAIN: Duration = Duration::from_secs(1);
/// How far its clock may be off, in ms.
const SKEW: u64 = 60_000;

/// Signatures with a public key, all of them: whoever can verify one with a shared key could make it.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why a sign-in by a provider went wrong; the text is for the log and the audit trail.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the provider cannot be reached, or is not what the configuration says: {0}")]
    Unreachable(String),
    #[error("the configuration is not complete: {0}")]
    Unset(String),
    #[error("the provider did not take the code: {0}")]
    Exchange(String),
    #[error("what the provider says is not proven: {0}")]
    Unproven(String),
    #[error("what the provider says has expired, or is not yet so: {0}")]
    Clock(String),
}

/// A way to the provider.
pub(super) struct Start {
    pub(super) url: String,
    pub(super) state: CsrfToken,
    pub(super) nonce: Nonce,
    pub(super) verifier: PkceCodeVerifier,
}

/// Who somebody is, by the provider's word.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// Only one that the provider has verified.
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What is known of the providers, by issuer.
#[derive(Default)]
pub(super) struct Providers {
    known: Mutex<HashMap<String, (Instant, CoreProviderMetadata)>>,
}

impl Providers {
    /// Where to send somebody who is to sign in.
    pub(super) fn start(
        &self,
        provider: &OidcConfig,
        redirect: &str,
        secret: Option<&Secret>,
    ) -> Result<Start, Trouble> {
        let client = client(self.metadata(provider, FRESH)?, provider, redirect, secret)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        // `openid` is always asked for.
        for scope in provider.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        Ok(Start {
            url: url.into(),
            state,
            nonce,
            verifier,
        })
    }

    /// Exchanges a code, and looks at all that the answer must prove. `is_known` says whether the account needs no
    /// more than its subject to be found.
    pub(super) fn finish(
        &self,
        provider: &OidcConfig,
        redirect: &str,
        secret: Option<&Secret>,
        (code, verifier, nonce): (String, PkceCodeVerifier, &Nonce),
        is_known: impl FnOnce(&str, &str) -> bool,
    ) -> Result<Claims, Trouble> {
        let agent = agent(provider);
        let http = |request| call(&agent, request);
        let mut client = client(self.metadata(provider, FRESH)?, provider, redirect, secret)?;
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| Trouble::Unreachable(error.to_string()))?
            .set_pkce_verifier(verifier)
            .request(&http)
            .map_err(|error| Trouble::Exchange(told(&error)))?;
        let token = answer
            .id_token()
            .ok_or_else(|| Trouble::Exchange("there is no ID token".to_owned()))?;
        let claims = match verified(&client, token, nonce) {
            Err(Unverified::Claims(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            ))) => {
                // It has other keys by now.
                client = self::client(self.metadata(provider, AGAIN)?, provider, redirect, secret)?;
                verified(&client, token, nonce)?
            }
            verified => verified?,
        };
        check_access_token(&client, token, claims, answer.access_token())?;
        let (issuer, subject) = (claims.issuer().to_string(), claims.subject().to_string());
        let told = (
            claims.email(),
            claims.email_verified(),
            claims.preferred_username(),
        );
        let (mut email, mut name) = said(told);
        if email.is_none() && name.is_none() && !is_known(&issuer, &subject) {
            // Some say this only where they are asked in the name of the user, and so of nobody else.
            let request = client
                .user_info(answer.access_token().clone(), Some(claims.subject().clone()))
                .map_err(|error| Trouble::Unreachable(error.to_string()))?;
            let claims: CoreUserInfoClaims = request
                .request(&http)
                .map_err(|error| Trouble::Unproven(self::told(&error)))?;
            let told = (
                claims.email(),
                claims.email_verified(),
                claims.preferred_username(),
            );
            (email, name) = said(told);
        }
        Ok(Claims {
            issuer,
            subject,
            email,
            name,
        })
    }

    /// What the provider says of itself, with its keys, unless that is older than this.
    fn metadata(&self, provider: &OidcConfig, oldest: Duration) -> Result<CoreProviderMetadata, Trouble> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, metadata)) = lock().get(&provider.issuer)
            && at.elapsed() < oldest
        {
            return Ok(metadata.clone());
        }
        let issuer = IssuerUrl::new(provider.issuer.clone())
            .map_err(|error| Trouble::Unset(format!("issuer: {error}")))?;
        let agent = agent(provider);
        // It must name the very issuer that it was asked for as.
        let metadata = CoreProviderMetadata::discover(&issuer, &|request| call(&agent, request))
            .map_err(|error| Trouble::Unreachable(told(&error)))?;
        lock().insert(provider.issuer.clone(), (Instant::now(), metadata.clone()));
        Ok(metadata)
    }
}

/// An address that is verified, and a name, as far as they are told.
fn said(
    (email, verified, name): (Option<&EndUserEmail>, Option<bool>, Option<&EndUserUsername>),
) -> (Option<String>, Option<String>) {
    let email = email.filter(|_| verified == Some(true));
    (
        email.map(|email| email.to_string()),
        name.map(|name| name.to_string()),
    )
}

fn client(
    metadata: CoreProviderMetadata,
    provider: &OidcConfig,
    redirect: &str,
    secret: Option<&Secret>,
) -> Result<Client, Trouble> {
    let secret = secret
        .map(|secret| String::from_utf8(secret.expose().to_vec()))
        .transpose()
        .map_err(|_| Trouble::Unset("the client secret is not text".to_owned()))?;
    let redirect = RedirectUrl::new(redirect.to_owned())
        .map_err(|error| Trouble::Unset(format!("api.public_url: {error}")))?;
    let id = ClientId::new(provider.client_id.clone());
    let client = CoreClient::from_provider_metadata(metadata, id, secret.map(ClientSecret::new));
    Ok(client.set_redirect_uri(redirect))
}

/// Why an ID token proves nothing.
enum Unverified {
    Claims(ClaimsVerificationError),
    Here(Trouble),
}

impl From<Unverified> for Trouble {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Here(trouble) => trouble,
            Unverified::Claims(error @ ClaimsVerificationError::Expired(_)) => Self::Clock(told(&error)),
            Unverified::Claims(error) => Self::Unproven(told(&error)),
        }
    }
}

/// Signature, issuer, audience, nonce and times.
fn verified<'t>(
    client: &Client,
    token: &'t CoreIdToken,
    nonce: &Nonce,
) -> Result<&'t CoreIdTokenClaims, Unverified> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let time = || Unverified::Here(Trouble::Clock("this machine's clock cannot be read".to_owned()));
    let earliest = rfc3339(now.saturating_sub(SKEW)).parse().map_err(|_| time())?;
    let latest = rfc3339(now.saturating_add(SKEW)).parse().map_err(|_| time())?;
    let verifier = verifier(client)
        .set_time_fn(move || earliest)
        .set_issue_time_verifier_fn(move |issued| {
            if issued.min(latest) == issued {
                Ok(())
            } else {
                Err("it was issued in the future".to_owned())
            }
        });
    token.claims(&verifier, nonce).map_err(Unverified::Claims)
}

fn verifier(client: &Client) -> CoreIdTokenVerifier<'_> {
    client.id_token_verifier().set_allowed_algs(ALGORITHMS)
}

/// The access token is the one that the ID token was issued with, where that says so.
fn check_access_token(
    client: &Client,
    token: &CoreIdToken,
    claims: &CoreIdTokenClaims,
    access: &openidconnect::AccessToken,
) -> Result<(), Trouble> {
    let Some(expected) = claims.access_token_hash() else {
        return Ok(());
    };
    let verifier = verifier(client);
    let unproven = |error: &dyn std::error::Error| Trouble::Unproven(told(error));
    let algorithm = token.signing_alg().map_err(|error| unproven(&error))?;
    let key = token.signing_key(&verifier).map_err(|error| unproven(&error))?;
    let actual = AccessTokenHash::from_token(access, algorithm, key).map_err(|error| unproven(&error))?;
    if actual == *expected {
        Ok(())
    } else {
        Err(Trouble::Unproven("the access token is another one's".to_owned()))
    }
}

/// Follows no redirect, and speaks TLS unless the issuer is on this machine.
fn agent(provider: &OidcConfig) -> Agent {
    let local = provider.issuer.starts_with("http:");
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .https_only(!local)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(PATIENCE))
        .tls_config(tls);
    // What is on this machine is not behind a proxy.
    let config = if local { config.proxy(None) } else { config };
    config.build().new_agent()
}

fn call(agent: &Agent, request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let (parts, body) = agent.run(request)?.into_parts();
    let body = body.into_with_config().limit(ANSWER_BYTES).read_to_vec()?;
    Ok(HttpResponse::from_parts(parts, body))
}

/// An error with its reasons, which it keeps to itself otherwise.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(why) = source {
        text = format!("{text}: {why}");
        source = why.source();
    }
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
