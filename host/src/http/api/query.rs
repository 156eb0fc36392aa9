//! Query parameters, and the tokens by which a listing goes on.
//!
//! Parameters that a call does not know are ignored, and so is an empty `pageToken`. A page token says where the next
//! page begins; a checksum over that and over what is listed keeps it from being used for another listing. It is no
//! secret and grants nothing: each page is asked for with a session.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use patrol_policy::types::{Id, Timestamp};
use percent_encoding::percent_decode_str;

use super::Api;
use super::failure::Failure;
use crate::http::listing::Listing;
use crate::time::parse_rfc3339;

/// The size of a page where none is asked for.
pub(super) const PAGE: u32 = 100;
/// The size of the largest page; who asks for more gets as much.
pub(super) const LARGEST_PAGE: u32 = 1_000;

/// The query of a request.
pub(super) struct Query(String);

impl FromRequestParts<Api> for Query {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

impl Query {
    /// A parameter that may be there once.
    pub(super) fn get(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, Failure> {
        let mut values = self.0.split('&').filter_map(|pair| {
            let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
            // `+` is left as it is: no parameter has spaces in it, and times have zones such as +01:00.
            let known = percent_decode_str(known).decode_utf8().ok()?;
            (known == name).then(|| percent_decode_str(value).decode_utf8())
        });
        let value = values.next();
        if values.next().is_some() {
            return Err(Failure::bad_request(format!("{name} may be given once")));
        }
        let value = value.transpose();
        value.map_err(|_| Failure::bad_request(format!("{name} is not UTF-8")))
    }

    /// The size of the page that is asked for: from 1; at most [`LARGEST_PAGE`], however much is asked for.
    pub(super) fn size(&self, name: &'static str) -> Result<u32, Failure> {
        let Some(text) = self.get(name)? else {
            return Ok(PAGE);
        };
        let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !number || text.bytes().all(|byte| byte == b'0') {
            return Err(Failure::bad_request(format!(
                "{name} must be a whole number from 1"
            )));
        }
        // One with too many digits is larger than any.
        Ok(text.parse().unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE))
    }

    /// An instant that must be there.
    pub(super) fn instant(&self, name: &'static str) -> Result<Timestamp, Failure> {
        let text = self.get(name)?.unwrap_or_default();
        parse_rfc3339(&text).map_err(|_| {
            Failure::bad_request(format!("{name} must be an instant such as 2027-01-31T17:00:00Z"))
        })
    }

    /// Where the page begins that is asked for, in this listing; none for the first.
    pub(super) fn position(&self, listing: &Listing) -> Result<Option<Id>, Failure> {
        match self.get("pageToken")? {
            Some(text) if !text.is_empty() => match listing.position(&text) {
                Some(position) => Ok(Some(position)),
                None => Err(Failure::bad_request(
                    "the pageToken is not one of this listing: begin again without it",
                )),
            },
            _ => Ok(None),
        }
    }
}

/// A page of rows out of one more than fit, and the last of them where there are more.
pub(super) fn page<T>(mut rows: Vec<T>, size: u32) -> (Vec<T>, bool) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    (rows, more)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]
    use super::*;

    #[test]
    fn a_parameter_is_read_once_and_decoded() {
        let query = |text: &str| Query(text.to_owned());
        assert_eq!(query("").get("a").unwrap(), None);
        assert_eq!(query("b=1&a=%32&c").get("a").unwrap().unwrap(), "2");
        assert_eq!(query("%61=1").get("a").unwrap().unwrap(), "1");
        assert_eq!(query("a").get("a").unwrap().unwrap(), "");
        assert!(query("a=1&a=1").get("a").is_err());
        assert!(query("a=%ff").get("a").is_err());
        assert!(query("%ff=1&a=2").get("a").is_ok());
        assert!(query("t=2027-01-31T17:00:00+01:00").instant("t").is_ok());
    }

    #[test]
    fn a_page_has_from_one_row_to_the_largest_number() {
        let size = |text: &str| Query(format!("n={text}")).size("n");
        assert_eq!(Query(String::new()).size("n").unwrap(), PAGE);
        assert_eq!(size("1").unwrap(), 1);
        assert_eq!(size("0999").unwrap(), 999);
        for many in ["1000", "1001", "99999999999999999999999999"] {
            assert_eq!(size(many).unwrap(), LARGEST_PAGE);
        }
        for wrong in ["", "0", "000", "-1", "+1", "1.0", "1e2", "x", "%20", "1%20"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
