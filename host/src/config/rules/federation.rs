//! What `[[web.oidc]]` and `[web.gateway]` may be.

use std::net::IpAddr;

use http::{HeaderName, Uri};

use super::{Findings, TAKEN, key};
use crate::config::Step;
use crate::config::federation::{GatewayConfig, JwtConfig, OidcConfig};

/// Beginnings of headers that are Patrol's own, or say something else of a request.
const OTHERS: [&str; 3] = ["x-patrol-", "x-original-", "x-tableau-"];
/// What proxies say of a request, and not of a user.
const OF_PROXIES: [&str; 8] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
];

pub(super) fn check(oidc: &[OidcConfig], gateway: Option<&GatewayConfig>, found: &mut Findings) {
    for (index, provider) in oidc.iter().enumerate() {
        found.within([key("web"), key("oidc"), Step::Index(index)], |found| {
            check_provider(provider, found);
            let before = oidc.iter().take(index);
            if before.into_iter().any(|other| other.name == provider.name) {
                found.push([key("name")], "another provider has this name already".to_owned());
            }
        });
    }
    if let Some(gateway) = gateway {
        found.within([key("web"), key("gateway")], |found| {
            check_gateway(gateway, found)
        });
    }
}

fn check_provider(provider: &OidcConfig, found: &mut Findings) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let name = &provider.name;
    if !(1..=32).contains(&name.len()) || !name.chars().all(fits) {
        found.push([key("name")], "it must have 1 to 32 of a-z 0-9 . _ -".to_owned());
    }
    if provider.label.chars().count() > 64 || provider.label.chars().any(char::is_control) {
        let why = "it must have at most 64 characters and no control characters";
        found.push([key("label")], why.to_owned());
    }
    found.check("issuer", check_issuer(&provider.issuer));
    if provider.client_id.is_empty() {
        let why = "it is missing: the provider gave one when Patrol was registered there";
        found.push([key("client_id")], why.to_owned());
    }
    if !provider.scopes.iter().any(|scope| scope == "openid") {
        let why = "without the scope `openid` a provider says nothing of who signed in";
        found.push([key("scopes")], why.to_owned());
    }
    check_file(
        provider.client_secret_file.as_deref(),
        "client_secret_file",
        found,
    );
}

fn check_file(path: Option<&std::path::Path>, name: &'static str, found: &mut Findings) {
    if path.is_some_and(|path| path.as_os_str().is_empty()) {
        found.push([key(name)], "it must be the path of a file".to_owned());
    }
}

/// Who can change what is said on the way can sign in as anybody.
fn check_issuer(issuer: &str) -> Result<(), &'static str> {
    const WHY: &str = "it must be an https address without query, such as https://login.example.com; http is for \
                       127.0.0.1, [::1] and localhost";
    let uri: Uri = issuer.parse().map_err(|_| WHY)?;
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let local = host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => local,
        _ => false,
    };
    let plain = uri
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@'));
    if scheme && plain && uri.query().is_none() && !issuer.contains('#') {
        Ok(())
    } else {
        Err(WHY)
    }
}

fn check_gateway(gateway: &GatewayConfig, found: &mut Findings) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._:-".contains(c);
    let method = &gateway.method;
    if !(1..=64).contains(&method.len()) || !method.chars().all(fits) {
        found.push(
            [key("method")],
            "it must have 1 to 64 of a-z 0-9 . _ : -".to_owned(),
        );
    } else if method == "password" || method.starts_with("oidc:") {
        let why = "it means something else already: use a name of its own, such as gateway";
        found.push([key("method")], why.to_owned());
    }
    found.check("header", check_header(&gateway.header));
    match &gateway.jwt {
        Some(jwt) => found.within([key("jwt")], |found| check_jwt(jwt, found)),
        None if gateway.from.is_empty() => {
            let why = "whoever can connect could say who they are: name the gateway's addresses, or have it sign \
                       the header (`[web.gateway.jwt]`)";
            found.push([key("from")], why.to_owned());
        }
        None => (),
    }
}

fn check_header(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err("it must be the name of a header, such as X-Remote-User".to_owned());
    }
    let others = OTHERS.iter().any(|begin| lower.starts_with(begin));
    if TAKEN.contains(&&*lower) || OF_PROXIES.contains(&&*lower) || others {
        return Err(format!(
            "`{name}` means something else already: use a header of its own, such as X-Remote-User"
        ));
    }
    Ok(())
}

fn check_jwt(jwt: &JwtConfig, found: &mut Findings) {
    check_file(Some(&jwt.key_file), "key_file", found);
    for (name, value) in [
        ("issuer", &jwt.issuer),
        ("audience", &jwt.audience),
        ("claim", &jwt.claim),
    ] {
        if value.is_empty() {
            let why = "it must not be empty: a signature that was made for others would do";
            found.push([key(name)], why.to_owned());
        }
    }
    let families = jwt.algorithms.iter().map(|algorithm| algorithm.family());
    let mut families: Vec<_> = families.collect();
    families.dedup();
    if families.len() != 1 {
        let why = "there must be at least one, and all must be for the same kind of key";
        found.push([key("algorithms")], why.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistake, mistakes};

    const PROVIDER: &str =
        "[[web.oidc]]\nname = \"corp\"\nissuer = \"https://login.example.com\"\nclient_id = \"patrol\"\n";
    const GATEWAY: &str =
        "[web.gateway]\nheader = \"X-Remote-User\"\nfrom = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";
    const SIGNED: &str = "[web.gateway]\nheader = \"X-Remote-User\"\n[web.gateway.jwt]\nkey_file = \"gateway.pem\"\n\
                          issuer = \"https://gateway\"\naudience = \"patrol\"\n";

    #[test]
    fn what_is_whole_is_taken() {
        for text in [PROVIDER, GATEWAY, SIGNED] {
            assert_eq!(mistakes(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn providers_are_reached_where_nobody_listens_in() {
        for issuer in [
            "http://login.example.com",
            "login.example.com",
            "https://a@login.example.com",
            "https://login.example.com/?a=1",
            "https://login.example.com/#a",
            "http://127.0.0.1.example.com",
            "",
        ] {
            let text = PROVIDER.replace("https://login.example.com", issuer);
            mistake(&text, "web.oidc[1].issuer", "https address");
        }
        for issuer in [
            "http://127.0.0.1:4000",
            "http://[::1]:4000",
            "http://localhost:4000/realm",
        ] {
            let text = PROVIDER.replace("https://login.example.com", issuer);
            assert_eq!(mistakes(&text), Vec::<String>::new(), "{issuer}");
        }
    }

    #[test]
    fn a_provider_has_a_name_of_its_own() {
        mistake(&format!("{PROVIDER}{PROVIDER}"), "web.oidc[2].name", "already");
        mistake(&PROVIDER.replace("corp", "Corp"), "web.oidc[1].name", "a-z");
        mistake(
            &PROVIDER.replace("\"patrol\"", "\"\""),
            "web.oidc[1].client_id",
            "missing",
        );
        mistake(
            &format!("{PROVIDER}scopes = [\"email\"]"),
            "web.oidc[1].scopes",
            "`openid`",
        );
        mistake(
            &format!("{PROVIDER}secret = \"x\""),
            "web.oidc[1].secret",
            "no such key",
        );
    }

    #[test]
    fn a_gateway_is_known_by_address_or_signature() {
        mistake(
            "[web.gateway]\nheader = \"X-Remote-User\"",
            "web.gateway.from",
            "whoever can connect",
        );
        mistake(
            &GATEWAY.replace("10.0.0.0/8", "gateway"),
            "web.gateway.from",
            "network",
        );
        mistake(
            &GATEWAY.replace("X-Remote-User", "Cookie"),
            "web.gateway.header",
            "something else",
        );
        mistake(
            &GATEWAY.replace("X-Remote-User", "X-Forwarded-For"),
            "web.gateway.header",
            "something else",
        );
        mistake(
            &GATEWAY.replace("X-Remote-User", "a b"),
            "web.gateway.header",
            "name of a header",
        );
        mistake(
            &format!("{GATEWAY}method = \"password\""),
            "web.gateway.method",
            "something else",
        );
        mistake(
            &format!("{GATEWAY}method = \"oidc:a\""),
            "web.gateway.method",
            "something else",
        );
        mistake(
            &SIGNED.replace("\"patrol\"", "\"\""),
            "web.gateway.jwt.audience",
            "empty",
        );
        mistake(
            &SIGNED.replace("gateway.pem", ""),
            "web.gateway.jwt.key_file",
            "path",
        );
        mistake(
            &format!("{SIGNED}algorithms = [\"ES256\", \"RS256\"]"),
            "web.gateway.jwt.algorithms",
            "same kind of key",
        );
        mistake(
            &format!("{SIGNED}algorithms = [\"HS256\"]"),
            "web.gateway.jwt.algorithms",
            "ES256",
        );
    }
}
