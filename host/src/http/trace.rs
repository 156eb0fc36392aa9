//! What every request gets, whatever it asks for: an identifier, a place in the log, a count.
//!
//! The log has one line for an answer, at the target `patrol::access`: `info` where Patrol could not answer, `debug`
//! where it said no, `trace` for all else, so that `PATROL_LOG=info,patrol::access=trace` is an access log and the
//! default is none. A line holds no header, no query and no part of a path that is long enough for a secret (R1). The
//! span around a request exists at `debug` only: whatever is logged above that level names the request itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::upload;
use crate::gate::{Door, Gate, Kind, REQUEST_ID, request_id};
use crate::service::RequestId;

/// A part of a path that is longer is not logged: an identifier has 36 characters, and what is longer may be a secret.
const LONGEST_SEGMENT: usize = 40;

/// Answers one request.
pub(super) async fn answer(
    router: Router,
    gate: Option<Arc<Gate>>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let begun = Instant::now();
    let id = request_id(request.headers()).unwrap_or_else(|| {
        let id = RequestId::fresh();
        // Whoever looks at the headers next finds this one.
        request.headers_mut().insert(REQUEST_ID, value(&id));
        id
    });
    let (method, target) = (request.method().clone(), request.uri().path_and_query().cloned());
    let span = tracing::debug_span!(
        target: "patrol::access", "request", %id, %method, path = shown(target.as_ref())
    );
    let request = request.map(upload::in_time);
    let mut response = router.oneshot(request).instrument(span).await?;
    let status = response.status();
    response.headers_mut().insert(REQUEST_ID, value(&id));
    let is_api = target
        .as_ref()
        .is_some_and(|target| target.path().starts_with("/api/"));
    if let Some(gate) = gate.filter(|_| is_api) {
        gate.meters()
            .verdict(Door::Api, Kind::from(status), begun.elapsed());
    }
    tell(&id, &method, target.as_ref(), status.as_u16(), begun);
    Ok(response)
}

fn tell(id: &RequestId, method: &Method, target: Option<&PathAndQuery>, status: u16, begun: Instant) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "patrol::access", request = %id, %method, path = shown(target), status,
                took = begun.elapsed().as_secs_f64(), "answered"
            )
        };
    }
    match status {
        500.. => line!(info),
        400.. => line!(debug),
        _ => line!(trace),
    }
}

fn value(id: &RequestId) -> HeaderValue {
    // Letters, digits and a few signs: always a value.
    HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))
}

/// A path as it may be logged.
fn shown(target: Option<&PathAndQuery>) -> String {
    let segments = target.map_or("", PathAndQuery::path).split('/');
    let segments = segments.map(|segment| match segment.len() {
        ..=LONGEST_SEGMENT => segment,
        _ => "…",
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use patrol_policy::token::{Kind, compose};
    use patrol_policy::types::Id;

    use super::*;

    #[test]
    fn a_logged_path_has_no_query_and_no_room_for_a_secret_r1() {
        let shown_of = |target: &str| shown(Some(&target.parse().unwrap()));
        let uuid = "/api/v1/tenants/0198b1f2-7c1e-7d3a-9d6e-0a1b2c3d4e5f/sites";
        assert_eq!(shown_of(uuid), uuid);
        assert_eq!(shown_of("/check/nginx?token=hidden"), "/check/nginx");
        let secret = compose(Kind::Pat, Id::from_u128(1), &[7; 32]);
        let secret = std::str::from_utf8(secret.expose()).unwrap();
        assert_eq!(shown_of(&format!("/x/{secret}/y")), "/x/…/y");
        assert_eq!(shown(None), "");
    }
}
