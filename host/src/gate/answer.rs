//! A denial as an HTTP answer, for whoever asked: JSON as the service's own errors, or what gRPC makes of it.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use super::Denial;

/// The body of every error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    error_code: &'a str,
    message: &'a str,
}

/// What the gRPC protocol asks to be encoded in `grpc-message`; Patrol's messages have nothing of it.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

impl Denial {
    /// As an HTTP answer with the service's JSON: `{"errorCode":"…","message":"…"}`.
    #[must_use]
    pub fn to_response(&self) -> Response<String> {
        let problem = Problem {
            error_code: self.code,
            message: &self.message,
        };
        let mut response = Response::new(serde_json::to_string(&problem).unwrap_or_default());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = &self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    /// As the answer to a gRPC call: headers with a status, and nothing else ("Trailers-Only").
    #[must_use]
    pub fn to_grpc_response(&self) -> Response<String> {
        let mut response = Response::new(String::new());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(HeaderName::from_static("grpc-status"), self.grpc_status().into());
        let message = utf8_percent_encode(&self.message, ENCODED).to_string();
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(HeaderName::from_static("grpc-message"), message);
        }
        if let Some(seconds) = self.retry_after {
            let pushback = HeaderName::from_static("grpc-retry-pushback-ms");
            headers.insert(pushback, seconds.saturating_mul(1_000).into());
        }
        response
    }

    /// The number of the gRPC status that stands for this one.
    pub(crate) const fn grpc_status(&self) -> u16 {
        match self.status {
            StatusCode::BAD_REQUEST => 3,
            StatusCode::FORBIDDEN => 7,
            StatusCode::TOO_MANY_REQUESTS => 8,
            StatusCode::UNAUTHORIZED => 16,
            _ => 14,
        }
    }
}

/// Whether a request is a gRPC call, whose caller understands no other answer.
#[must_use]
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|content_type| content_type.strip_prefix(b"application/grpc"));
    // Not application/grpc-web, which has another form.
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_call_is_told_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            assert!(!is_grpc(&headers));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(is_grpc(&headers), expected, "{value}");
        }
    }
}
