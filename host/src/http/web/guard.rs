//! What keeps other sites out: cookies, the tokens of forms, and the headers that every page has.

use std::time::Duration;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit as _, Mac as _};
use patrol_policy::Secret;
use sha2::Sha256;

/// The cookie with the session. Its prefix has browsers take it from this host alone, over a secure connection.
pub(super) const SESSION: &str = "__Host-patrol-session";
/// The cookie of a browser in which nobody is signed in: what the sign-in form's token is computed from.
pub(super) const VISIT: &str = "__Host-patrol-visit";

/// What pages may load and do: their own style sheet, script and pictures, and forms to this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The headers of every page.
pub(super) async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "clipboard-write=(self)",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A cookie that no script reads. It is gone with the browser; what it stands for ends earlier.
pub(super) fn cookie(name: &'static str, value: &str) -> HeaderValue {
    header(&ours(name, value))
}

/// The same, gone after a time.
pub(super) fn cookie_for(name: &'static str, value: &str, time: Duration) -> HeaderValue {
    let mut cookie = ours(name, value);
    cookie.set_max_age(cookie::time::Duration::try_from(time).ok());
    header(&cookie)
}

/// The same, forgotten.
pub(super) fn no_cookie(name: &'static str) -> HeaderValue {
    let mut cookie = ours(name, "");
    cookie.make_removal();
    header(&cookie)
}

fn ours<'a>(name: &'static str, value: &'a str) -> Cookie<'a> {
    Cookie::build((name, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .build()
}

fn header(cookie: &Cookie<'_>) -> HeaderValue {
    // Names are ours, values are letters, digits and a few signs: always a value.
    HeaderValue::try_from(cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// The value of a cookie that is there exactly once: two could be told apart by nobody.
pub(super) fn sent(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let mut found = values(headers, name);
    let value = found.next().filter(|value| !value.is_empty())?;
    found.next().is_none().then(|| Secret::new(value.to_vec()))
}

/// Whether a cookie is there at all.
pub(super) fn sends(headers: &HeaderMap, name: &str) -> bool {
    values(headers, name).next().is_some()
}

fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(axum::http::header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (known, value) = pair.split_at_checked(at)?;
        (known.trim_ascii() == name.as_bytes()).then(|| value.trim_ascii().strip_prefix(b"="))?
    })
}

/// Random text for a cookie.
pub(super) fn random() -> String {
    let mut bytes = [0; 32];
    // Without randomness the form that carries this is refused, since the cookie would be empty.
    if getrandom::fill(&mut bytes).is_err() {
        return String::new();
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The token that a form carries, computed from the cookie: whoever cannot read the one cannot know the other.
pub(super) fn form_token(cookie: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(mac(cookie).finalize().into_bytes())
}

/// Whether a form's token belongs to this cookie.
pub(super) fn is_form_token(cookie: &Secret, token: &str) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
        return false;
    };
    !cookie.expose().is_empty() && mac(cookie).verify_slice(&bytes).is_ok()
}

fn mac(cookie: &Secret) -> Hmac<Sha256> {
    // A key of any length is one.
    let mut mac = <Hmac<Sha256>>::new_from_slice(cookie.expose())
        .unwrap_or_else(|_| <Hmac<Sha256>>::new(&[0; 64].into()));
    mac.update(b"patrol form");
    mac
}

/// Whether the browser says that another site has sent this, by `Sec-Fetch-Site` or else by `Origin`.
pub(super) fn is_foreign(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(ORIGIN) else {
        // Neither is sent by programs that are no browsers, and by very old ones: the form's token is what counts.
        return false;
    };
    let Some(origin) = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok()) else {
        return true;
    };
    let authority = origin.authority().map(|authority| authority.as_str());
    let ours = headers.get(HOST).and_then(|host| host.to_str().ok());
    let public = public_url.and_then(|url| url.parse::<Uri>().ok());
    let public = public.as_ref().and_then(|url| url.authority());
    authority.is_none() || (authority != ours && authority != public.map(|authority| authority.as_str()))
}

/// A path of ours to go to next, from what a request says. Anything else is none: it could lead elsewhere.
pub(super) fn next(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._?=&%+:~".contains(c);
    let ours = text.starts_with("/ui/") && text.chars().all(plain);
    (ours && !text.contains("//") && !text.contains("..")).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_way_on_never_leads_away() {
        for fine in ["/ui/tokens", "/ui/admin/tokens?state=live&after=a%20b"] {
            assert_eq!(next(fine), Some(fine));
        }
        for bad in [
            "",
            "/",
            "//evil",
            "/\\evil",
            "https://evil",
            "/ui//evil",
            "/ui/../x",
            "/ui/\nx",
            "/ui/ü",
            "ui/",
            "/uix",
            "javascript:alert(1)",
        ] {
            assert_eq!(next(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_form_belongs_to_one_cookie() {
        let cookie = |text: &str| Secret::new(text.as_bytes().to_vec());
        let token = form_token(&cookie("a"));
        assert!(is_form_token(&cookie("a"), &token));
        assert!(!is_form_token(&cookie("b"), &token));
        assert!(!is_form_token(&cookie("a"), ""));
        assert!(!is_form_token(&cookie(""), &form_token(&cookie(""))));
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_none() {
        let sent = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", HeaderValue::from_static(text));
            super::sent(&headers, "a").map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
        };
        assert_eq!(sent("b=1; a=2").as_deref(), Some("2"));
        assert_eq!(sent("a=1; a=2"), None);
        assert_eq!(sent("a="), None);
        assert_eq!(sent("aa=1"), None);
        assert_eq!(sent("a=b=c").as_deref(), Some("b=c"));
    }

    #[test]
    fn what_another_site_sends_is_told_by_the_browser() {
        let foreign = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("patrol.example:8787"));
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_foreign(&headers, Some("https://api.example.com/"))
        };
        assert!(!foreign(&[]));
        assert!(!foreign(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(foreign(&[("sec-fetch-site", "same-site")]));
        assert!(!foreign(&[("origin", "http://patrol.example:8787")]));
        assert!(!foreign(&[("origin", "https://api.example.com")]));
        assert!(foreign(&[("origin", "http://evil.example")]));
        assert!(foreign(&[("origin", "null")]));
    }
}
