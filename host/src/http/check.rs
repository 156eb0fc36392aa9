//! What gateways ask before they let a request through.
//!
//! One path for each kind of gateway. Each reads the original request from the headers that its gateway sets itself,
//! and from nowhere else: whichever others there are, a client could have sent them.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::App;
use super::answer::{identity, problem};
use super::credential::{Credential, NoCredential};
use crate::service::Origin;

/// nginx's `auth_request`. The shipped configuration sets all three headers on the subrequest.
pub(super) async fn nginx(State(app): State<App>, request: Request) -> Response {
    const URI: &str = "x-original-uri";
    const METHOD: &str = "x-original-method";
    // Borrowed: to have them handed over would be to have them copied.
    let headers = request.headers();
    let (Some(uri), Some(_method)) = (only(headers, URI), only(headers, METHOD)) else {
        let message =
            "the gateway must set X-Original-URI and X-Original-Method, once each: see host/gateways/nginx";
        return problem(StatusCode::BAD_REQUEST, "E_400_GATEWAY", message);
    };
    let address =
        only(headers, "x-real-ip").and_then(|address| std::str::from_utf8(address).ok()?.parse().ok());
    // A path may hold any bytes; it is only written down here.
    verify(&app, headers, address, &String::from_utf8_lossy(uri))
}

fn verify(app: &App, headers: &HeaderMap, address: Option<IpAddr>, uri: &str) -> Response {
    let credential = match app.0.forms.read(headers) {
        Ok(credential) => credential,
        Err(NoCredential::Missing) => return app.0.challenges.missing(),
        Err(ambiguous) => {
            return problem(
                StatusCode::BAD_REQUEST,
                "E_400_CREDENTIALS",
                &ambiguous.to_string(),
            );
        }
    };
    let origin = origin(headers, address, uri);
    let patrol = &app.0.patrol;
    let verdict = match credential {
        Credential::Pat(secret) => patrol.authenticate(secret.expose(), app.audience(), &origin),
        Credential::Session(secret) => patrol.check_session(secret.expose(), app.audience(), &origin),
    };
    match verdict {
        Ok(who) => identity(&who),
        Err(error) => app.0.challenges.refused(&error),
    }
}

/// The value of a header that is there exactly once and not empty.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = Some(values.next()?.as_bytes()).filter(|value| !value.is_empty())?;
    values.next().is_none().then_some(value)
}

/// For the audit trail. The query is left out, since it may hold anything, secrets included.
pub(super) fn origin(headers: &HeaderMap, address: Option<IpAddr>, uri: &str) -> Origin {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    Origin {
        address,
        user_agent: headers
            .get("user-agent")
            .and_then(|agent| agent.to_str().ok())
            .map(|agent| cut(agent, 256)),
        url: Some(cut(path, 1_024)),
    }
}

fn cut(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes);
    text.get(..end).unwrap_or_default().to_owned()
}
