//! What values may be, alone and together. Found in a configuration however it was made; where it was read from a
//! file, [`examine`](super::examine) says at which line.

use std::net::SocketAddr;

use http::HeaderName;

use super::pattern::Pattern;
use super::schema::nearest;
use super::{Challenge, Config, RouteConfig, Server, Step};
use crate::time::{Millis, print_duration};

/// Something that cannot be, and where.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(super) at: Vec<Step>,
    pub(super) why: String,
}

/// The forms of a credential that have a name of their own; any other is the name of a header.
pub(crate) const FORMS: [&str; 5] = ["bearer", "basic", "token", "bare", "session"];

/// Methods in use (RFC 9110, PATCH, WebDAV, CalDAV). Names are case-sensitive, so that a misspelt one would never fit.
const METHODS: [&str; 24] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "ACL",
    "MKCALENDAR",
    "BIND",
    "UNBIND",
    "REBIND",
];

/// Headers that mean something else to gateway, Patrol or service.
const TAKEN: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The same, by how they begin.
const TAKEN_BEGINNINGS: [&str; 4] = ["x-patrol-", "x-original-", "x-forwarded-", "x-tableau-"];

/// A signature that holds for longer is a token.
const LONGEST_SIGNATURE: u64 = 3_600_000;

impl Config {
    /// All that cannot be, except where it listens: what is on the command line counts there.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = Findings::default();
        self.check_policy(&mut found);
        self.check_http(&mut found);
        self.check_identity(&mut found);
        for (index, route) in self.routes.iter().enumerate() {
            found.within([key("route"), Step::Index(index)], |found| {
                check_route(route, found)
            });
        }
        self.check_order(&mut found);
        found.all
    }

    fn check_policy(&self, found: &mut Findings) {
        let policy = &self.policy;
        let durations = [
            ("idle_after", policy.idle_after),
            ("max_lifetime", policy.max_lifetime),
            ("session_lifetime", policy.session_lifetime),
            ("session_idle", policy.session_idle),
            ("deadline", policy.deadline),
        ];
        for (name, Millis(value)) in durations {
            if value == 0 {
                found.add(&["policy", name], "it must be longer than nothing");
            }
        }
        let counts = [
            (
                "tokens_per_owner",
                policy.tokens_per_owner,
                1,
                10_000,
                "it must be from 1 to 10000",
            ),
            (
                "name_max_length",
                policy.name_max_length,
                1,
                255,
                "it must be from 1 to 255 (R13)",
            ),
            (
                "warm_max_calls",
                policy.warm_max_calls,
                1,
                u32::MAX,
                "it must be at least 1",
            ),
        ];
        for (name, value, low, high, why) in counts {
            if value < low || value > high {
                found.add(&["policy", name], format!("it is {value}; {why}"));
            }
        }
    }

    fn check_http(&self, found: &mut Findings) {
        let http = &self.http;
        found.within([key("http")], |found| {
            found.check("audience", super::check_audience(&http.audience));
            found.check("realm", check_realm(&http.realm));
            for (index, name) in http.credential_headers.iter().enumerate() {
                if let Err(why) = check_header(name) {
                    found.push([key("credential_headers"), Step::Index(index)], why);
                }
            }
        });
    }

    fn check_identity(&self, found: &mut Findings) {
        let Millis(lifetime) = self.identity.lifetime;
        if !(1_000..=LONGEST_SIGNATURE).contains(&lifetime) {
            let why = format!("it is {}; it must be from 1s to 1h", print_duration(lifetime));
            found.add(&["identity", "lifetime"], why);
        }
        let issuer = &self.identity.issuer;
        if !(1..=255).contains(&issuer.len()) || issuer.chars().any(char::is_control) {
            found.add(
                &["identity", "issuer"],
                "it must have 1 to 255 bytes and no control characters",
            );
        }
    }

    /// Routes that can never apply, since those before them take all that they would.
    fn check_order(&self, found: &mut Findings) {
        let patterns: Vec<_> = self
            .routes
            .iter()
            .map(|route| Pattern::parse(&route.path).ok())
            .collect();
        for (index, (route, pattern)) in self.routes.iter().zip(&patterns).enumerate() {
            let Some(pattern) = pattern else { continue };
            let mut left: Vec<&str> = route.methods.iter().map(String::as_str).collect();
            let before = self.routes.iter().zip(&patterns).take(index).enumerate();
            for (earlier, (before, covering)) in before {
                if !covering.as_ref().is_some_and(|covering| covering.covers(pattern)) {
                    continue;
                }
                left.retain(|method| !takes(before, method));
                if before.methods.is_empty() || (left.is_empty() && !route.methods.is_empty()) {
                    let earlier = earlier.saturating_add(1);
                    let why = format!(
                        "it can never apply, since route {earlier} ({}) takes all of its requests: put it before that \
                         one, or remove it",
                        before.path
                    );
                    found.push([key("route"), Step::Index(index)], why);
                    break;
                }
            }
        }
    }
}

impl Server {
    /// What cannot be about where it listens.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut found = Findings::default();
        let listeners = [
            ("listen", Some(self.listen)),
            ("grpc", self.grpc),
            ("spop", self.spop),
            ("fastcgi", self.fastcgi),
            ("metrics", self.metrics),
        ];
        let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
        for (name, address) in listeners {
            let Some(address) = address else { continue };
            if !address.ip().is_loopback() && !self.allow_non_loopback {
                let why = format!(
                    "{address} can be reached from other machines, and patrol speaks no TLS: listen on 127.0.0.1 \
                     behind a gateway, or allow it with `allow_non_loopback = true` (`patrol serve \
                     --allow-non-loopback`)"
                );
                found.add(&["server", name], why);
            }
            // Port 0 is any that is free.
            if address.port() != 0
                && let Some((other, _)) = taken.iter().find(|(_, other)| same(*other, address))
            {
                found.add(
                    &["server", name],
                    format!("{address} is where `{other}` listens already"),
                );
            }
            taken.push((name, address));
        }
        found.all
    }
}

/// Whether two cannot both be listened on.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    let anywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (anywhere || one.ip() == other.ip())
}

fn check_route(route: &RouteConfig, found: &mut Findings) {
    found.check("path", Pattern::parse(&route.path).map(drop));
    check_methods(&route.methods, found);
    if let Some(audience) = &route.audience {
        found.check("audience", super::check_audience(audience));
    }
    if let Some(realm) = &route.realm {
        found.check("realm", check_realm(realm));
    }
    for (name, roles) in [("any_role", &route.any_role), ("all_roles", &route.all_roles)] {
        for (index, role) in roles.iter().enumerate() {
            if role.is_empty()
                || role.contains(',')
                || role.trim() != role
                || role.chars().any(char::is_control)
            {
                let why = "this cannot be a role, so nobody has it";
                found.push([key(name), Step::Index(index)], why.to_owned());
            }
        }
        if route.anonymous && !roles.is_empty() {
            found.push(
                [key(name)],
                "who comes in without a credential has no roles: with `anonymous = true` there can be none to ask for"
                    .to_owned(),
            );
        }
    }
    if let Some(forms) = &route.credentials {
        check_forms(route, forms, found);
    }
}

fn check_methods(methods: &[String], found: &mut Findings) {
    for (index, method) in methods.iter().enumerate() {
        let at = [key("methods"), Step::Index(index)];
        if !METHODS.contains(&method.as_str()) {
            let why = match nearest(method, METHODS) {
                Some(near) => format!(
                    "there is no method `{method}`; did you mean `{near}`? Methods are case-sensitive"
                ),
                None => format!("there is no method `{method}`"),
            };
            found.push(at, why);
        } else if methods.iter().take(index).any(|other| other == method) {
            found.push(at, format!("`{method}` is there already"));
        }
    }
}

fn check_forms(route: &RouteConfig, forms: &[String], found: &mut Findings) {
    if forms.is_empty() && !route.anonymous {
        let why = "without any form nobody can present anything, so nobody is ever let in";
        found.push([key("credentials")], why.to_owned());
    }
    for (index, form) in forms.iter().enumerate() {
        let at = [key("credentials"), Step::Index(index)];
        if forms
            .iter()
            .take(index)
            .any(|other| other.eq_ignore_ascii_case(form))
        {
            found.push(at, format!("`{form}` is there already"));
        } else if FORMS.contains(&form.as_str()) {
        } else if let Some(near) = nearest(form, FORMS).filter(|_| !form.contains('-')) {
            let why = format!(
                "there is no such form; did you mean `{near}`? For a header of that name, use another"
            );
            found.push(at, why);
        } else if let Err(why) = check_header(form) {
            found.push(at, why);
        }
    }
    let asked_for = match route.challenge {
        Some(Challenge::Basic) => "basic",
        Some(Challenge::Bearer) => "bearer",
        Some(Challenge::None) | None => return,
    };
    if !forms.is_empty() && !forms.iter().any(|form| form == asked_for) {
        let why = format!(
            "it asks for a credential that the route does not read: add \"{asked_for}\" to `credentials`"
        );
        found.push([key("challenge")], why);
    }
}

/// Whether a route takes requests of a method, as far as that goes.
fn takes(route: &RouteConfig, method: &str) -> bool {
    route.methods.is_empty()
        || route
            .methods
            .iter()
            .any(|ours| ours == method || (ours == "GET" && method == "HEAD"))
}

fn check_realm(realm: &str) -> Result<(), &'static str> {
    if realm
        .chars()
        .all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\')
    {
        Ok(())
    } else {
        Err("it must be printable ASCII without quotes or backslashes")
    }
}

fn check_header(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!(
            "`{}` cannot be the name of a header",
            name.escape_debug()
        ));
    }
    if TAKEN.contains(&&*lower) || TAKEN_BEGINNINGS.iter().any(|begin| lower.starts_with(begin)) {
        return Err(format!(
            "`{name}` means something else already: use a header of its own, such as X-Api-Key"
        ));
    }
    Ok(())
}

fn key(name: &'static str) -> Step {
    Step::Key(name.into())
}

/// What was found so far, and where it is being looked.
#[derive(Default)]
struct Findings {
    at: Vec<Step>,
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, at: &[&'static str], why: impl Into<String>) {
        self.push(at.iter().map(|name| key(name)), why.into());
    }

    fn push(&mut self, at: impl IntoIterator<Item = Step>, why: String) {
        let at = self.at.iter().cloned().chain(at).collect();
        self.all.push(Finding { at, why });
    }

    fn check(&mut self, name: &'static str, checked: Result<(), impl ToString>) {
        if let Err(why) = checked {
            self.push([key(name)], why.to_string());
        }
    }

    fn within(&mut self, at: impl IntoIterator<Item = Step>, look: impl FnOnce(&mut Self)) {
        let before = self.at.len();
        self.at.extend(at);
        look(self);
        self.at.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::examine;

    fn mistakes(text: &str) -> Vec<String> {
        examine(text).mistakes.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn mistake(text: &str, key: &str, holds: &str) {
        let told = mistakes(text);
        let [only] = told.as_slice() else {
            assert_eq!(told.len(), 1, "{text}: {told:#?}");
            return;
        };
        assert!(
            only.contains(&format!(": {key}: ")) && only.contains(holds),
            "{text}: {only}"
        );
    }

    fn route(more: &str) -> String {
        format!("[[route]]\npath = \"/a\"\n{more}\n")
    }

    #[test]
    fn values_out_of_range_are_refused() {
        mistake(
            "[policy]\nidle_after = \"0s\"",
            "policy.idle_after",
            "longer than nothing",
        );
        mistake(
            "[policy]\ntokens_per_owner = 0",
            "policy.tokens_per_owner",
            "from 1 to 10000",
        );
        mistake("[policy]\nname_max_length = 256", "policy.name_max_length", "R13");
        mistake("[http]\naudience = \"a b\"", "http.audience", "letters, digits");
        mistake("[http]\nrealm = '\"'", "http.realm", "without quotes");
        mistake(
            "[http]\ncredential_headers = [\"Authorization\"]",
            "http.credential_headers[1]",
            "something else",
        );
        mistake(
            "[http]\ncredential_headers = [\"X-Patrol-User\"]",
            "http.credential_headers[1]",
            "something else",
        );
        mistake(
            "[identity]\nlifetime = \"2h\"",
            "identity.lifetime",
            "from 1s to 1h",
        );
        mistake(
            "[identity]\nlifetime = \"999ms\"",
            "identity.lifetime",
            "from 1s to 1h",
        );
        mistake("[identity]\nissuer = \"\"", "identity.issuer", "1 to 255");
    }

    #[test]
    fn a_route_that_makes_no_sense_is_refused() {
        mistake("[[route]]\npath = \"a\"", "route[1].path", "begins with");
        mistake("[[route]]\npath = \"/a**\"", "route[1].path", "whole segments");
        mistake(
            &route("methods = [\"get\"]"),
            "route[1].methods[1]",
            "did you mean `GET`",
        );
        mistake(
            &route("methods = [\"GET\", \"FROB\"]"),
            "route[1].methods[2]",
            "no method `FROB`",
        );
        mistake(
            &route("methods = [\"GET\", \"GET\"]"),
            "route[1].methods[2]",
            "already",
        );
        mistake(&route("audience = \"\""), "route[1].audience", "letters");
        mistake(
            &route("any_role = [\"a,b\"]"),
            "route[1].any_role[1]",
            "nobody has it",
        );
        mistake(
            &route("anonymous = true\nall_roles = [\"a\"]"),
            "route[1].all_roles",
            "no roles",
        );
        mistake(
            &route("credentials = []"),
            "route[1].credentials",
            "nobody is ever let in",
        );
        mistake(
            &route("credentials = [\"beaer\"]"),
            "route[1].credentials[1]",
            "did you mean `bearer`",
        );
        mistake(
            &route("credentials = [\"Bearer\"]"),
            "route[1].credentials[1]",
            "did you mean `bearer`",
        );
        mistake(
            &route("credentials = [\"X Key\"]"),
            "route[1].credentials[1]",
            "cannot be the name",
        );
        mistake(
            &route("credentials = [\"X-Key\", \"x-key\"]"),
            "route[1].credentials[2]",
            "already",
        );
        mistake(
            &route("credentials = [\"bearer\"]\nchallenge = \"basic\""),
            "route[1].challenge",
            "does not read",
        );
        for fine in [
            "credentials = [\"bearer\", \"PRIVATE-TOKEN\", \"X-Vault-Token\"]",
            "credentials = []\nanonymous = true",
            "credentials = [\"basic\"]\nchallenge = \"basic\"\nrealm = \"git\"",
            "methods = [\"GET\", \"PROPFIND\"]\nany_role = [\"admin\", \"ops lead\"]",
        ] {
            assert_eq!(mistakes(&route(fine)), Vec::<String>::new(), "{fine}");
        }
    }

    fn order(routes: &[(&str, &str)]) -> Vec<String> {
        let text: String = routes
            .iter()
            .map(|(path, methods)| format!("[[route]]\npath = \"{path}\"\nmethods = [{methods}]\n"))
            .collect();
        mistakes(&text)
    }

    #[test]
    fn a_route_that_can_never_apply_is_refused_with_the_one_in_its_way() {
        let told = order(&[("/a/**", ""), ("/b", ""), ("/a/*.git", "\"GET\"")]);
        assert!(
            matches!(told.as_slice(), [only] if only.starts_with("line 7, column 1: route[3]: ") && only.contains("route 1 (/a/**)")),
            "{told:#?}"
        );
        // Taken together, two can be in the way of a third; HEAD goes where GET does.
        let told = order(&[
            ("/a", "\"GET\""),
            ("/a", "\"POST\""),
            ("/a", "\"HEAD\", \"POST\""),
        ]);
        assert!(
            matches!(told.as_slice(), [only] if only.contains("route[3]: ")),
            "{told:#?}"
        );
        for fine in [
            &[("/a", "\"GET\""), ("/a", "")][..],
            &[("/a", "\"HEAD\""), ("/a", "\"GET\"")],
            &[("/a/*.git", ""), ("/a/**", "")],
            &[("/a", "\"GET\""), ("/**", "\"GET\"")],
        ] {
            assert_eq!(order(fine), Vec::<String>::new(), "{fine:?}");
        }
    }

    #[test]
    fn listeners_stay_on_this_machine_and_apart() {
        mistake(
            "[server]\nlisten = \"0.0.0.0:80\"",
            "server.listen",
            "allow_non_loopback",
        );
        mistake("[server]\nspop = \"192.0.2.1:80\"", "server.spop", "no TLS");
        mistake(
            "[server]\nmetrics = \"127.0.0.1:8787\"",
            "server.metrics",
            "`listen` listens already",
        );
        let both = "[server]\nallow_non_loopback = true\ngrpc = \"127.0.0.1:9000\"\nspop = \"0.0.0.0:9000\"";
        mistake(both, "server.spop", "`grpc` listens already");
        let fine = "[server]\ngrpc = \"127.0.0.1:0\"\nspop = \"127.0.0.1:0\"\nfastcgi = \"[::1]:8787\"";
        assert_eq!(mistakes(fine), Vec::<String>::new());
    }
}
