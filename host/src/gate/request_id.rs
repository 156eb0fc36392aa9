//! Finding out which request it is.

use http::{HeaderMap, HeaderName};

use crate::service::RequestId;

/// The header that names a request, and by which every answer does.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header of W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The identifier that a request came with: the trace-id of `traceparent`, else `x-request-id`. A header that is there
/// twice, or holds something else, counts for nothing.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<RequestId> {
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    only(TRACEPARENT)
        .and_then(|value| RequestId::from_traceparent(value.as_bytes()))
        .or_else(|| only(REQUEST_ID).and_then(|value| RequestId::from_text(value.as_bytes())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        request_id(&map).map(|id| id.to_string())
    }

    #[test]
    fn a_traceparent_comes_first_and_what_is_unclear_counts_for_nothing() {
        let trace = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
        let seven = Some("7".to_owned());
        assert_eq!(of(&[("traceparent", PARENT)]), trace);
        assert_eq!(of(&[("x-request-id", "7"), ("traceparent", PARENT)]), trace);
        assert_eq!(of(&[("x-request-id", "7"), ("traceparent", "nonsense")]), seven);
        assert_eq!(of(&[("traceparent", PARENT), ("traceparent", PARENT)]), None);
        assert_eq!(of(&[("x-request-id", "7"), ("x-request-id", "8")]), None);
        assert_eq!(of(&[("x-request-id", "no thanks")]), None);
        assert_eq!(of(&[]), None);
    }
}
