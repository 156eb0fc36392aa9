//! A gateway in front that says, in a header, who somebody is.
//!
//! It is believed only where the connection comes from one of its addresses, or where what it says is signed with its
//! key; where both are configured, both must hold. Whatever else is in such a header is as if it were not there. The
//! gateway names users who are there already, and whose authentication method is the gateway; a page that one of them
//! asks for opens a session for them, as any other sign-in does.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jsonwebtoken::{Algorithm as Signature, DecodingKey, Validation, decode};

use super::super::Peer;
use super::super::api::origin;
use super::render::Problem;
use super::{Web, guard};
use crate::config::{Algorithm, GatewayConfig, JwtConfig, Match};
use crate::service::{PageAdmission, Sought};

/// Names and addresses are not longer, and signed ones not much.
const LONGEST: usize = 4_096;
/// How far the gateway's clock may be off, in s.
const LEEWAY: u64 = 30;
/// A file with a public key is not larger.
const KEY_BYTES: u64 = 16 * 1_024;

/// Lets in whom the gateway names.
pub(super) async fn admit(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let config = web.app.config();
    let Some(gateway) = &config.web.gateway else {
        return next.run(request).await;
    };
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| *peer);
    let data = web.patrol().data();
    let Some(named) = named(gateway, data, peer, request.headers()) else {
        return next.run(request).await;
    };
    let presented = guard::sent(request.headers(), guard::SESSION);
    // A form that was made for nobody, or for somebody else, changes nothing in anybody's name.
    let may_open = matches!(*request.method(), Method::GET | Method::HEAD);
    let origin = origin(request.headers(), request.uri());
    let gateway = gateway.clone();
    let admitted = web
        .blocking(move |patrol| {
            let sought = match gateway.found {
                Match::Name => Sought::Name(&named),
                Match::Email => Sought::Email(&named),
            };
            let tenant = gateway.tenant.as_deref();
            let presented = presented.as_ref();
            patrol.web_admit_by_gateway(tenant, sought, &gateway.method, presented, may_open, &origin)
        })
        .await;
    match admitted {
        Ok(Ok(PageAdmission::Stays)) => next.run(request).await,
        Ok(Ok(PageAdmission::Opened(opened))) => {
            let secret = String::from_utf8_lossy(opened.secret.expose()).into_owned();
            replace_session(request.headers_mut(), Some(&secret));
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            let signed_out = headers
                .get_all(SET_COOKIE)
                .iter()
                .any(|value| value.as_bytes().starts_with(guard::SESSION.as_bytes()));
            if !signed_out {
                headers.append(SET_COOKIE, guard::cookie(guard::SESSION, &secret));
            }
            response
        }
        Ok(Ok(PageAdmission::NotTheirs)) => {
            replace_session(request.headers_mut(), None);
            next.run(request).await
        }
        // Why, is in the audit trail.
        Ok(Err(_)) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Whom the gateway names, if it was the gateway. A header that is there twice is not: one of them may be the client's.
fn named(
    gateway: &GatewayConfig,
    data: &Path,
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
) -> Option<String> {
    let mut values = headers.get_all(gateway.header.as_str()).iter();
    let (value, another) = (values.next()?, values.next());
    if another.is_some() || value.len() > LONGEST {
        tracing::debug!("the gateway's header is there more than once, or too long");
        return None;
    }
    let from = gateway.from.as_slice();
    if !from.is_empty() && !peer.is_some_and(|peer| is_from(from, peer.ip())) {
        tracing::debug!(?peer, "a gateway's header comes from somewhere else");
        return None;
    }
    let value = std::str::from_utf8(value.as_bytes()).ok()?.trim();
    let named = match &gateway.jwt {
        Some(jwt) => signed(jwt, data, value)
            .inspect_err(|why| tracing::debug!(%why, "a gateway's header is not signed as it must be"))
            .ok()?,
        None if from.is_empty() => return None,
        None => value.to_owned(),
    };
    (!named.is_empty()).then_some(named)
}

fn is_from(from: &[crate::config::Network], address: IpAddr) -> bool {
    from.iter().any(|network| network.contains(address))
}

/// What a signed header says, where it was signed with the gateway's key, for Patrol, and not too long ago.
fn signed(jwt: &JwtConfig, data: &Path, value: &str) -> Result<String, String> {
    let key = key(jwt, &data.join(&jwt.key_file))?;
    let algorithms: Vec<_> = jwt
        .algorithms
        .iter()
        .map(|algorithm| signature(*algorithm))
        .collect();
    let first = algorithms.first().ok_or("no algorithm is configured")?;
    let mut validation = Validation::new(*first);
    validation.algorithms = algorithms;
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[&jwt.issuer]);
    validation.set_audience(&[&jwt.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let decoded = decode::<serde_json::Value>(value, &key, &validation).map_err(|error| error.to_string())?;
    let claim = decoded.claims.get(&jwt.claim).and_then(serde_json::Value::as_str);
    claim
        .map(|claim| claim.trim().to_owned())
        .ok_or_else(|| format!("there is no text `{}` in it", jwt.claim))
}

/// Read each time: it is small, may be replaced, and few pages are asked for.
fn key(jwt: &JwtConfig, path: &Path) -> Result<DecodingKey, String> {
    let told = |why: String| {
        tracing::warn!(path = %path.display(), %why, "the gateway's key cannot be used");
        why
    };
    let metadata = fs::metadata(path).map_err(|error| told(error.to_string()))?;
    if metadata.mode() & 0o022 != 0 || metadata.len() > KEY_BYTES {
        return Err(told("others may write to it, or it is too large".to_owned()));
    }
    let pem = fs::read(path).map_err(|error| told(error.to_string()))?;
    let family = jwt.algorithms.first().map(|algorithm| algorithm.family());
    match family {
        Some("EC") => DecodingKey::from_ec_pem(&pem),
        Some("RSA") => DecodingKey::from_rsa_pem(&pem),
        _ => DecodingKey::from_ed_pem(&pem),
    }
    .map_err(|error| told(error.to_string()))
}

const fn signature(algorithm: Algorithm) -> Signature {
    match algorithm {
        Algorithm::ES256 => Signature::ES256,
        Algorithm::ES384 => Signature::ES384,
        Algorithm::RS256 => Signature::RS256,
        Algorithm::RS384 => Signature::RS384,
        Algorithm::RS512 => Signature::RS512,
        Algorithm::PS256 => Signature::PS256,
        Algorithm::PS384 => Signature::PS384,
        Algorithm::PS512 => Signature::PS512,
        Algorithm::EdDSA => Signature::EdDSA,
    }
}

/// Has whoever reads the request next find this session, or none.
fn replace_session(headers: &mut HeaderMap, secret: Option<&str>) {
    let mut pairs: Vec<Vec<u8>> = Vec::new();
    for value in headers.get_all(COOKIE) {
        for pair in value.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            if !pair.is_empty() && name.trim_ascii() != guard::SESSION.as_bytes() {
                pairs.push(pair.to_vec());
            }
        }
    }
    if let Some(secret) = secret {
        pairs.push(format!("{}={secret}", guard::SESSION).into_bytes());
    }
    headers.remove(COOKIE);
    if let Ok(mut value) = HeaderValue::from_bytes(&pairs.join(&b"; "[..])) {
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}
