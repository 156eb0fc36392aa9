//! The public keys of signed identities, for upstreams that verify them.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::App;

/// `GET /.well-known/jwks.json` (RFC 7517). May be kept for a minute: whoever meets a key that they do not know asks
/// again.
pub(super) async fn jwks(State(app): State<App>) -> Response {
    match app.gate().identity_keys() {
        Ok(keys) => {
            let headers = [
                (header::CONTENT_TYPE, "application/jwk-set+json"),
                (header::CACHE_CONTROL, "public, max-age=60"),
            ];
            (headers, keys).into_response()
        }
        Err(denial) => denial.into_response(),
    }
}
