//! Reading a JSON body, which may hold a secret.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use patrol_policy::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

use super::Api;
use super::failure::Failure;

/// What a call's body must look like, for its error message.
pub(super) trait Form: DeserializeOwned {
    /// An example.
    const EXAMPLE: &'static str;
    /// Whether a body is read whatever type it says it has.
    const ANY_TYPE: bool = false;
}

/// A body that was read. Members that are not known are ignored.
pub(super) struct Json<T>(pub(super) T);

impl<T: Form> FromRequest<Api> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        if !T::ANY_TYPE && !is_json(request.headers()) {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "E_415_UNSUPPORTED_MEDIA_TYPE",
                "the body must be JSON, sent as application/json",
            ));
        }
        let body = Bytes::from_request(request, api).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let code = "E_413_CONTENT_TOO_LARGE";
                return Failure::new(rejection.status(), code, "the body is too large");
            }
            Failure::bad_request("the body cannot be read")
        })?;
        let read = serde_json::from_slice(&body);
        // Secrets were copied out of the body; what the socket was read into need not keep them.
        if let Ok(mut bytes) = body.try_into_mut() {
            bytes.as_mut().zeroize();
        }
        // What the parser says could quote what it read.
        read.map(Self)
            .map_err(|_| Failure::bad_request(format!("the body must be JSON: {}", T::EXAMPLE)))
    }
}

/// Whether a body says that it is JSON, or says nothing.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let value = value.to_str().unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A member that is a secret.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(|text| Secret::new(text.into_bytes()))
}
