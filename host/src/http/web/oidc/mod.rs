//! Signing in by an OpenID Connect provider: the authorization code flow with PKCE.
//!
//! A browser that leaves for the provider takes a cookie along, which stands for a record here: what it must come back
//! with, and what the provider's answer must say. A record is good once, for ten minutes, and for that browser alone.

mod provider;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{HOST, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use openidconnect::{CsrfToken, Nonce, PkceCodeVerifier};
use patrol_policy::Secret;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use self::provider::{Providers, Start, Trouble};
use super::super::api::origin;
use super::form::Query;
use super::render::Problem;
use super::sign_in::enter;
use super::strings::{text, text_with};
use super::{Web, guard};
use crate::config::{Config, Match, OidcConfig};
use crate::service::{Error, Origin, Patrol, Sought, Stranger, Vouched};

/// The cookie that stands for a record.
const COOKIE: &str = "__Host-patrol-oidc";
/// How long somebody may take at the provider.
const LASTS: Duration = Duration::from_secs(600);
/// Records at the same time; the oldest makes room.
const RECORDS: usize = 10_000;
/// Sign-ins that wait for a provider at the same time. Each has a thread.
const AT_ONCE: usize = 16;

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/ui/oidc/{name}", get(leave))
        .route("/ui/oidc/{name}/return", get(come_back))
}

/// What is kept of those who are on their way, and of the providers.
pub(super) struct Oidc {
    records: Mutex<HashMap<String, Record>>,
    providers: Providers,
    permits: Arc<Semaphore>,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            records: Mutex::default(),
            providers: Providers::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

struct Record {
    provider: String,
    /// Where the browser was told to come back to.
    redirect: String,
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    next: String,
    since: Instant,
}

impl Oidc {
    fn keep(&self, cookie: &str, record: Record) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|_, record| record.since.elapsed() < LASTS);
        if records.len() >= RECORDS {
            let oldest = records.iter().min_by_key(|(_, record)| record.since);
            if let Some(oldest) = oldest.map(|(cookie, _)| cookie.clone()) {
                records.remove(&oldest);
            }
        }
        records.insert(cookie.to_owned(), record);
    }

    /// The record of a browser, which is gone with this.
    fn take(&self, cookie: &Secret) -> Option<Record> {
        let cookie = std::str::from_utf8(cookie.expose()).ok()?;
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .remove(cookie)
            .filter(|record| record.since.elapsed() < LASTS)
    }
}

/// The providers that the sign-in page offers: what people call them, and the way there.
pub(super) fn offered(config: &Config, next: &str) -> Vec<(String, String)> {
    let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC).to_string();
    let offered = config.web.oidc.iter().map(|provider| {
        let query = if next.is_empty() {
            String::new()
        } else {
            format!("?next={next}")
        };
        (
            provider.label().to_owned(),
            format!("/ui/oidc/{}{query}", provider.name),
        )
    });
    offered.collect()
}

fn configured(web: &Web, name: &str) -> Option<OidcConfig> {
    let config = web.app.config();
    let mut providers = config.web.oidc.iter();
    providers.find(|provider| provider.name == name).cloned()
}

/// Where browsers come back to, which the provider must know: by the address that is configured, or else by what the
/// browser itself has asked for.
fn redirect(web: &Web, headers: &HeaderMap, name: &str) -> Option<String> {
    let config = web.app.config();
    let base = if let Some(url) = &config.api.public_url {
        url.trim_end_matches('/').to_owned()
    } else {
        let host = headers.get(HOST)?.to_str().ok()?;
        let authority: axum::http::uri::Authority = host.parse().ok()?;
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
        let local = bare == "localhost"
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        format!("{}://{authority}", if local { "http" } else { "https" })
    };
    Some(format!("{base}/ui/oidc/{name}/return"))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Way {
    next: String,
}

async fn leave(
    State(web): State<Web>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    Query(way): Query<Way>,
) -> Response {
    let Some(provider) = configured(&web, &name) else {
        return Problem::not_found().into_response();
    };
    let Some(redirect) = redirect(&web, &headers, &name) else {
        return Problem::new(StatusCode::BAD_REQUEST, "problem-query").into_response();
    };
    let origin = origin(&headers, &uri);
    // Each takes a record, which somebody else's may have to make room for.
    if let Some(wait) = web.app.gate().sign_in_attempt(origin.address) {
        return Problem::too_many(wait).into_response();
    }
    let Ok(permit) = Arc::clone(&web.oidc.permits).try_acquire_owned() else {
        return Problem::busy().into_response();
    };
    let (oidc, asked, back) = (Arc::clone(&web.oidc), provider.clone(), redirect.clone());
    let started = web
        .blocking(move |patrol| {
            let _permit = permit;
            let started = secret(patrol, &asked)
                .and_then(|secret| oidc.providers.start(&asked, &back, secret.as_ref()));
            Ok(started.inspect_err(|trouble| note(patrol, &asked, trouble, &origin)))
        })
        .await;
    match started {
        Ok(Ok(start)) => {
            let Start {
                url,
                state,
                nonce,
                verifier,
            } = start;
            let cookie = guard::random();
            let record = Record {
                provider: name,
                redirect,
                state,
                nonce,
                verifier,
                next: guard::next(&way.next).unwrap_or_default().to_owned(),
                since: Instant::now(),
            };
            web.oidc.keep(&cookie, record);
            let mut response = Redirect::to(&url).into_response();
            response
                .headers_mut()
                .append(SET_COOKIE, guard::cookie(COOKIE, &cookie));
            response
        }
        Ok(Err(trouble)) => explain(&provider, &trouble).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// What a browser brings back.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Back {
    state: String,
    code: String,
    error: String,
    iss: Option<String>,
}

async fn come_back(
    State(web): State<Web>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Response {
    let mut response = finish(web, name, uri, &headers, back).await;
    response
        .headers_mut()
        .append(SET_COOKIE, guard::no_cookie(COOKIE));
    response
}

async fn finish(web: Web, name: String, uri: Uri, headers: &HeaderMap, back: Back) -> Response {
    let Some(provider) = configured(&web, &name) else {
        return Problem::not_found().into_response();
    };
    let origin = origin(headers, &uri);
    let record = guard::sent(headers, COOKIE).and_then(|cookie| web.oidc.take(&cookie));
    let record = record.filter(|record| {
        let same = record.state.secret().as_bytes().ct_eq(back.state.as_bytes());
        record.provider == name && bool::from(same)
    });
    let Some(record) = record else {
        // Whoever has a record was counted when they left.
        if let Some(wait) = web.app.gate().sign_in_attempt(origin.address) {
            return Problem::too_many(wait).into_response();
        }
        let why = "it was not begun in this browser, or too long ago, or is over already";
        web.patrol().note_failed_sign_in(&name, why, &origin);
        return Problem::saying(StatusCode::BAD_REQUEST, text("oidc-stale")).into_response();
    };
    // Some other provider's answer, sent here (RFC 9207).
    let mixed_up = back.iss.as_ref().is_some_and(|issuer| *issuer != provider.issuer);
    if mixed_up || !back.error.is_empty() || back.code.is_empty() {
        // It is what the browser says: no more of it than is a code.
        let plain = |c: &char| c.is_ascii_lowercase() || *c == '_';
        let error: String = back.error.chars().filter(plain).take(40).collect();
        let why = if mixed_up {
            "another issuer has answered".to_owned()
        } else {
            format!("the provider has said no: {error}")
        };
        web.patrol().note_failed_sign_in(&name, &why, &origin);
        let message = text_with("oidc-declined", &[("label", provider.label())]);
        return Problem::saying(StatusCode::FORBIDDEN, message).into_response();
    }
    let Ok(permit) = Arc::clone(&web.oidc.permits).try_acquire_owned() else {
        return Problem::busy().into_response();
    };
    let (oidc, asked) = (Arc::clone(&web.oidc), provider.clone());
    let next = record.next.clone();
    let signed_in = web
        .blocking(move |patrol| {
            let _permit = permit;
            sign_in(&oidc.providers, patrol, &asked, record, back.code, &origin)
        })
        .await;
    match signed_in {
        Ok(Ok(signed_in)) => enter(&signed_in, &next),
        Ok(Err(Refused::Trouble(trouble))) => explain(&provider, &trouble).into_response(),
        Ok(Err(Refused::Stranger(why))) => {
            Problem::saying(StatusCode::FORBIDDEN, text(stranger(why))).into_response()
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

enum Refused {
    Trouble(Trouble),
    Stranger(Stranger),
}

fn sign_in(
    providers: &Providers,
    patrol: &Patrol,
    provider: &OidcConfig,
    record: Record,
    code: String,
    origin: &Origin,
) -> Result<Result<crate::service::WebSignIn, Refused>, Error> {
    let vouched = |issuer: &str, subject: &str| Vouched {
        provider: provider.name.clone(),
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    };
    let claims = secret(patrol, provider).and_then(|secret| {
        providers.finish(
            provider,
            &record.redirect,
            secret.as_ref(),
            (code, record.verifier, &record.nonce),
            // Where that cannot be told, the provider is asked for more than is needed.
            |issuer, subject| {
                patrol
                    .is_known_account(&vouched(issuer, subject))
                    .unwrap_or(false)
            },
        )
    });
    let claims = match claims {
        Ok(claims) => claims,
        Err(trouble) => {
            note(patrol, provider, &trouble, origin);
            return Ok(Err(Refused::Trouble(trouble)));
        }
    };
    let sought = match provider.first {
        Match::Email => claims.email.as_deref().map(Sought::Email),
        Match::Name => claims.name.as_deref().map(Sought::Name),
    };
    let vouched = vouched(&claims.issuer, &claims.subject);
    let signed_in = patrol.web_sign_in_by_provider(provider.tenant.as_deref(), &vouched, sought, origin)?;
    Ok(signed_in.map_err(Refused::Stranger))
}

fn secret(patrol: &Patrol, provider: &OidcConfig) -> Result<Option<Secret>, Trouble> {
    let path = provider.client_secret_file.as_deref();
    path.map(|path| patrol.secret_file(path))
        .transpose()
        .map_err(Trouble::Unset)
}

fn note(patrol: &Patrol, provider: &OidcConfig, trouble: &Trouble, origin: &Origin) {
    tracing::warn!(provider = %provider.name, %trouble, "a sign-in by a provider went wrong");
    patrol.note_failed_sign_in(&provider.name, &trouble.to_string(), origin);
}

/// What to do about it; what exactly it was, is in the log.
fn explain(provider: &OidcConfig, trouble: &Trouble) -> Problem {
    let (status, key) = match trouble {
        Trouble::Unreachable(_) => (StatusCode::BAD_GATEWAY, "oidc-unreachable"),
        Trouble::Unset(_) => (StatusCode::INTERNAL_SERVER_ERROR, "oidc-unset"),
        Trouble::Exchange(_) => (StatusCode::BAD_GATEWAY, "oidc-exchange"),
        Trouble::Unproven(_) => (StatusCode::FORBIDDEN, "oidc-unproven"),
        Trouble::Clock(_) => (StatusCode::FORBIDDEN, "oidc-clock"),
    };
    Problem::saying(status, text_with(key, &[("label", provider.label())]))
}

const fn stranger(why: Stranger) -> &'static str {
    match why {
        Stranger::Unknown => "oidc-unknown",
        Stranger::Ambiguous => "oidc-ambiguous",
        Stranger::OtherMethod => "oidc-other-method",
        Stranger::Disabled => "oidc-disabled",
        Stranger::OtherAccount => "oidc-other-account",
        Stranger::Nameless => "oidc-nameless",
    }
}
