//! Answers: errors in the service's JSON, and the gate's verdicts.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::gate::{Admission, Denial};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The body of every error.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem<'a> {
    /// What went wrong, for programs: it begins with `E_` and the status.
    #[schema(example = "E_404_NOT_FOUND")]
    error_code: &'a str,
    /// What went wrong, for people.
    message: &'a str,
}

/// An error in the service's JSON.
pub(super) fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    let body = axum::Json(Problem {
        error_code: code,
        message,
    });
    (status, [(header::CACHE_CONTROL, NO_STORE)], body).into_response()
}

/// Yes: an empty 200 that tells the upstream who it is.
impl IntoResponse for Admission {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        response
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        self.to_response().map(Body::from)
    }
}
