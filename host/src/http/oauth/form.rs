//! What a client sends: a form, and its credentials in one of two places (RFC 6749, 2.3.1).

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patrol_policy::Secret;
use zeroize::Zeroizing;

use super::Failure;

/// The parameters that are read; all others are ignored, `token_type_hint` among them: a token says itself what it is.
#[derive(Default)]
pub(super) struct Form {
    pub(super) token: Option<Secret>,
    id: Option<Secret>,
    secret: Option<Secret>,
}

/// Who a client says it is, and what shows it.
pub(super) struct Credentials {
    pub(super) id: Secret,
    pub(super) secret: Secret,
}

/// Whether a body says that it is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let kind = value.as_bytes().split(|byte| *byte == b';').next();
    kind.unwrap_or_default()
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it: one of these parameters is there twice (RFC 6749, 3.2), or is not form-encoded.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let mut form = Self::default();
        for pair in body.split(|byte| *byte == b'&') {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = parts.next().unwrap_or_default();
            // A name that needs decoding is none of ours as long as nobody encodes letters.
            let slot = match name {
                b"token" => &mut form.token,
                b"client_id" => &mut form.id,
                b"client_secret" => &mut form.secret,
                _ => continue,
            };
            let value = decode(parts.next().unwrap_or_default()).ok_or("the body is not form-encoded")?;
            // A parameter without a value counts as left out (RFC 6749, 3.2).
            if !value.expose().is_empty() && slot.replace(value).is_some() {
                return Err("a parameter is there more than once");
            }
        }
        Ok(form)
    }

    /// The client's credentials: `client_secret_basic` or `client_secret_post`, not both.
    pub(super) fn credentials(&mut self, headers: &HeaderMap) -> Result<Credentials, Failure> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => {
                let posted = self.id.take().zip(self.secret.take());
                let (id, secret) = posted.ok_or(Failure::Client)?;
                Ok(Credentials { id, secret })
            }
            (Some(_), Some(_)) => Err(Failure::Request("there is more than one Authorization header")),
            (Some(_), None) if self.secret.is_some() => {
                Err(Failure::Request("the client authenticates in more than one way"))
            }
            (Some(value), None) => {
                let credentials = basic(value).ok_or(Failure::Client)?;
                let same = |id: &Secret| id.expose() == credentials.id.expose();
                if self.id.as_ref().is_none_or(same) {
                    Ok(credentials)
                } else {
                    Err(Failure::Request("the client says that it is two"))
                }
            }
        }
    }
}

/// `Basic`, each half form-encoded before they are joined.
fn basic(value: &HeaderValue) -> Option<Credentials> {
    let mut words = value.as_bytes().trim_ascii().splitn(2, |byte| *byte == b' ');
    if !words.next()?.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let joined = Zeroizing::new(STANDARD.decode(words.next()?.trim_ascii()).ok()?);
    let mut halves = joined.splitn(2, |byte| *byte == b':');
    Some(Credentials {
        id: decode(halves.next()?)?,
        secret: decode(halves.next()?)?,
    })
}

/// Undoes `application/x-www-form-urlencoded`; nothing where it is not encoded so.
fn decode(text: &[u8]) -> Option<Secret> {
    // As large as it gets: a vector that grows leaves copies behind.
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            other => *other,
        });
    }
    Some(Secret::new(std::mem::take(&mut *decoded)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn text(secret: &Secret) -> String {
        String::from_utf8_lossy(secret.expose()).into_owned()
    }

    #[test]
    fn a_form_is_decoded_and_what_is_not_asked_for_ignored() {
        let form = Form::read(b"a=b&token=%70at+1%2B%C3%A9&token_type_hint=x&b&&client_id=me").unwrap();
        assert_eq!(text(&form.token.unwrap()), "pat 1+é");
        assert_eq!(text(&form.id.unwrap()), "me");
        assert!(form.secret.is_none());
    }

    #[test]
    fn a_parameter_without_a_value_is_left_out_and_one_that_is_there_twice_a_mistake() {
        let form = Form::read(b"token=&token=a&client_secret").unwrap();
        assert!(form.token.is_some() && form.secret.is_none());
        assert!(Form::read(b"token=a&token=a").is_err());
        assert!(Form::read(b"client_secret=a&client_secret=b").is_err());
    }

    #[test]
    fn what_is_not_encoded_is_no_form() {
        for wrong in ["token=%", "token=%2", "token=%zz", "token=%+1", "token=a%2"] {
            assert!(Form::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Form::read(b"").unwrap().token.is_none());
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    fn read(headers: &HeaderMap, body: &str) -> Result<(String, String), String> {
        let mut form = Form::read(body.as_bytes()).unwrap();
        match form.credentials(headers) {
            Ok(Credentials { id, secret }) => Ok((text(&id), text(&secret))),
            Err(Failure::Client) => Err("client".to_owned()),
            Err(Failure::Request(what)) => Err(what.to_owned()),
            Err(_) => Err("another".to_owned()),
        }
    }

    fn encoded(joined: &str) -> HeaderMap {
        headers(&format!("basic {}", STANDARD.encode(joined)))
    }

    #[test]
    fn both_halves_of_basic_are_form_decoded() {
        let pair = |id: &str, secret: &str| Ok((id.to_owned(), secret.to_owned()));
        assert_eq!(read(&encoded("a%3Ab:c%25+d:e"), ""), pair("a:b", "c% d:e"));
        assert_eq!(read(&encoded("a:b"), "client_id=a"), pair("a", "b"));
        assert_eq!(
            read(&HeaderMap::new(), "client_id=a&client_secret=b%3A"),
            pair("a", "b:")
        );
    }

    #[test]
    fn credentials_that_cannot_be_read_are_none() {
        for value in [
            "Basic",
            "Basic ",
            "Basic !",
            "Basic YQ==",
            "Bearer YTpi",
            "Basic YTolMg==",
        ] {
            assert_eq!(read(&headers(value), ""), Err("client".to_owned()), "{value}");
        }
        for body in ["", "client_id=a", "client_secret=b", "client_id=a&client_secret="] {
            assert_eq!(read(&HeaderMap::new(), body), Err("client".to_owned()), "{body}");
        }
    }

    #[test]
    fn one_way_to_authenticate_is_enough() {
        let mistake = |headers: &HeaderMap, body| read(headers, body).unwrap_err();
        assert!(mistake(&encoded("a:b"), "client_id=a&client_secret=b").contains("more than one way"));
        assert!(mistake(&encoded("a:b"), "client_id=c").contains("two"));
        let mut twice = encoded("a:b");
        twice.append(header::AUTHORIZATION, "Basic YTpi".parse().unwrap());
        assert!(mistake(&twice, "").contains("Authorization"));
    }
}
