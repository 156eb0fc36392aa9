//! What the protected service is told of who calls.

mod keys;
mod signer;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::service::Identity;
use crate::time::rfc3339;
pub use keys::{Jwk, KeyError, Keys, Previous};
pub(super) use signer::{NoKey, Purpose, Signer};

const USER: HeaderName = HeaderName::from_static("x-patrol-user");
const USER_NAME: HeaderName = HeaderName::from_static("x-patrol-user-name");
const TENANT: HeaderName = HeaderName::from_static("x-patrol-tenant");
const ROLES: HeaderName = HeaderName::from_static("x-patrol-roles");
const TOKEN_ID: HeaderName = HeaderName::from_static("x-patrol-token-id");
const TOKEN_NAME: HeaderName = HeaderName::from_static("x-patrol-token-name");
const SESSION: HeaderName = HeaderName::from_static("x-patrol-session");
const EXPIRES: HeaderName = HeaderName::from_static("x-patrol-expires");

/// All of the above in one, signed, where `[identity] signed = true`; empty elsewhere, so that no copy that a client
/// sends is ever taken for one.
const SIGNED: HeaderName = HeaderName::from_static("x-patrol-identity");

/// The headers by which the service learns who calls.
pub static IDENTITY_HEADERS: [HeaderName; 9] = [
    USER, USER_NAME, TENANT, ROLES, TOKEN_ID, TOKEN_NAME, SESSION, EXPIRES, SIGNED,
];

/// Names may hold any character; in a header, what is not printable ASCII is percent-encoded UTF-8, and so is `%`.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// All identity headers, whoever it is.
pub(super) fn headers(identity: Option<&Identity>, signed: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    let Some(identity) = identity else {
        for name in &IDENTITY_HEADERS {
            headers.insert(name, HeaderValue::from_static(""));
        }
        return headers;
    };
    let token = identity.token();
    let token_id = token.map(|row| row.state.token.id.to_string());
    let session = identity.session.map(|session| session.to_string());
    headers.insert(USER, ascii(identity.user_id().to_string()));
    headers.insert(USER_NAME, text(identity.user_name()));
    headers.insert(TENANT, ascii(identity.tenant_id().to_string()));
    headers.insert(ROLES, ascii(identity.roles().join(",")));
    headers.insert(TOKEN_ID, ascii(token_id.unwrap_or_default()));
    headers.insert(TOKEN_NAME, text(token.map_or("", |row| &row.name)));
    headers.insert(SESSION, ascii(session.unwrap_or_default()));
    headers.insert(EXPIRES, ascii(rfc3339(identity.ends.at)));
    headers.insert(SIGNED, signed.unwrap_or(HeaderValue::from_static("")));
    headers
}

fn ascii(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

fn text(value: &str) -> HeaderValue {
    ascii(utf8_percent_encode(value, ENCODED).to_string())
}
