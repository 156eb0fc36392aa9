//! What to tell a client whom a gateway has turned away on the word of introspection.
//!
//! Apache's mod_oauth2 knows yes and no: that there was no verdict, that there were two credentials or that there were
//! too many attempts is a 401 to it, in words of its own. So it asks here, after a no and with the client's request in
//! hand, what the answer should be. Nobody is let in by this one, whatever it is.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::App;
use crate::gate::{self, Denial, Door};
use crate::http::check::{only, real_ip};

/// Where it is asked for.
pub(super) const PATH: &str = "/check/oauth2";

/// `/check/oauth2`. The shipped configuration sets all three headers on the request.
pub(super) async fn refusal(State(app): State<App>, request: Request) -> Response {
    let headers = request.headers();
    let (Some(uri), Some(method)) = (
        only(headers, "x-original-uri"),
        only(headers, "x-original-method"),
    ) else {
        let message = "the gateway must set X-Original-URI and X-Original-Method, once each: see \
                       host/gateways/apache-oauth2";
        return Denial::bad_request("E_400_GATEWAY", message).into_response();
    };
    let verdict = app.gate().check(&gate::Request {
        door: Door::Introspection,
        method: &method,
        uri: &uri,
        headers,
        address: real_ip(headers),
    });
    let denial = match verdict {
        Err(denial) => denial,
        // It is good after all: what turned it away did not last, or the client's limits are not the route's.
        Ok(admission) if admission.identity().is_some() => Denial::undecided(),
        // A route that is open to everyone, behind a gateway for which none is.
        Ok(_) => Denial {
            status: StatusCode::UNAUTHORIZED,
            code: "E_401_UNAUTHORIZED",
            message: "a personal access token is needed".into(),
            challenge: Some(HeaderValue::from_static("Bearer realm=\"patrol\"")),
            retry_after: None,
        },
    };
    denial.into_response()
}
