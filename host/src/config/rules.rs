//! What values may be, alone and together. Found in a configuration however it was made; where it was read from a
//! file, [`examine`](super::examine()) says at which line.

mod federation;
mod notices;
mod route;

use std::net::SocketAddr;

use http::HeaderName;

use super::{Config, Server, Size, Step};
use crate::journal;
use crate::policy::limits::{COMPONENT_CEILING, MEMORY_CEILING, TABLE_CEILING};
use crate::release::PublicKey;
use crate::time::{Millis, print_duration};

/// Something that cannot be, and where.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(super) at: Vec<Step>,
    pub(super) why: String,
}

/// The forms of a credential that have a name of their own; any other is the name of a header.
pub(crate) const FORMS: [&str; 5] = ["bearer", "basic", "token", "bare", "session"];

/// Headers that mean something else to gateway, Patrol or service.
const TAKEN: [&str; 13] = [
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
    "x-real-ip",
];
/// The same, by how they begin.
const TAKEN_BEGINNINGS: [&str; 4] = ["x-patrol-", "x-original-", "x-forwarded-", "x-tableau-"];

/// A signature that holds for longer is a token.
const LONGEST_SIGNATURE: u64 = 3_600_000;
/// A session on the pages that ends sooner would end between two looks, since uses are written once a minute; in ms.
const SHORTEST_WEB_SESSION: u64 = 120_000;
/// A journal of less is of no use, in ms.
const SHORTEST_AGE: u64 = 3_600_000;

impl Config {
    /// All that cannot be, except where it listens: what is on the command line counts there.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = Findings::default();
        self.check_policy(&mut found);
        self.check_http(&mut found);
        self.check_identity(&mut found);
        self.check_api(&mut found);
        self.check_web(&mut found);
        self.check_journal(&mut found);
        found.within([key("notices")], |found| notices::check(&self.notices, found));
        for (index, route) in self.routes.iter().enumerate() {
            found.within([key("route"), Step::Index(index)], |found| {
                route::check(route, found)
            });
        }
        route::check_order(&self.routes, &mut found);
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
            ("trial", policy.trial),
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
            (
                "watch_least",
                policy.watch_least,
                1,
                500,
                "it must be from 1 to 500: there is nothing to be seen of more",
            ),
        ];
        for (name, value, low, high, why) in counts {
            if value < low || value > high {
                found.add(&["policy", name], format!("it is {value}; {why}"));
            }
        }
        if !(1..=TABLE_CEILING).contains(&usize::try_from(policy.table_elements).unwrap_or(usize::MAX)) {
            found.add(
                &["policy", "table_elements"],
                format!(
                    "it is {}; it must be from 1 to {TABLE_CEILING}",
                    policy.table_elements
                ),
            );
        }
        let sizes = [
            ("max_component", policy.max_component, 1, COMPONENT_CEILING),
            ("memory", policy.memory, 1 << 16, MEMORY_CEILING),
        ];
        for (name, value, least, most) in sizes {
            let (least, most) = (Size::of(least), Size::of(most));
            if value < least || value > most {
                found.add(
                    &["policy", name],
                    format!("it is {value}; it must be from {least} to {most}"),
                );
            }
        }
        if !(0.001..=1.0).contains(&policy.watch_faults) {
            let why = format!(
                "it is {}; it must be a share from 0.001 to 1",
                policy.watch_faults
            );
            found.add(&["policy", "watch_faults"], why);
        }
        found.within([key("policy"), key("trusted_keys")], |found| {
            for (index, text) in policy.trusted_keys.iter().enumerate() {
                if let Err(why) = text.parse::<PublicKey>() {
                    found.push([Step::Index(index)], why.to_string());
                }
            }
        });
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

    fn check_api(&self, found: &mut Findings) {
        if let Some(url) = &self.api.public_url
            && let Err(why) = check_public_url(url)
        {
            found.add(&["api", "public_url"], why.to_owned());
        }
    }

    fn check_web(&self, found: &mut Findings) {
        let durations = [
            ("session_lifetime", self.web.session_lifetime),
            ("session_idle", self.web.session_idle),
        ];
        for (name, Millis(value)) in durations {
            if value < SHORTEST_WEB_SESSION {
                let why = format!("it is {}; it must be at least 2m", print_duration(value));
                found.add(&["web", name], why);
            }
        }
        federation::check(&self.web.oidc, self.web.gateway.as_ref(), found);
    }

    fn check_journal(&self, found: &mut Findings) {
        let size = self.journal.max_size;
        if size < Size::of(journal::SMALLEST) {
            let least = Size::of(journal::SMALLEST);
            let why = format!("it is {size}; a journal needs {least} at least");
            found.add(&["journal", "max_size"], why);
        }
        let Millis(age) = self.journal.max_age;
        if age < SHORTEST_AGE {
            let why = format!("it is {}; it must be at least 1h", print_duration(age));
            found.add(&["journal", "max_age"], why);
        }
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

/// Links are made by putting a path behind it.
fn check_public_url(url: &str) -> Result<(), &'static str> {
    let uri = url.parse::<http::Uri>();
    let fits = uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
    });
    if fits && !url.contains('#') {
        Ok(())
    } else {
        Err("it must be an address without query, such as https://api.example.com")
    }
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

    pub(super) fn mistakes(text: &str) -> Vec<String> {
        examine(text).mistakes.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    pub(super) fn mistake(text: &str, key: &str, holds: &str) {
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

    #[test]
    fn links_begin_with_an_address_and_nothing_else() {
        for url in [
            "api.example.com",
            "ftp://x",
            "https://",
            "https://x/?a=1",
            "https://x/#a",
            "https://a@x",
            "",
            "/x",
        ] {
            let text = format!("[api]\npublic_url = \"{url}\"");
            mistake(&text, "api.public_url", "https://api.example.com");
        }
        for url in [
            "http://127.0.0.1:8787",
            "https://x",
            "https://x/",
            "https://[::1]:1/patrol",
        ] {
            assert!(
                mistakes(&format!("[api]\npublic_url = \"{url}\"")).is_empty(),
                "{url}"
            );
        }
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
        for (setting, told) in [
            ("table_elements = 0", "from 1 to 16384"),
            ("table_elements = 16385", "from 1 to 16384"),
            ("memory = \"63KiB\"", "from 64KiB to 64MiB"),
            ("memory = \"65MiB\"", "from 64KiB to 64MiB"),
            ("max_component = \"0B\"", "from 1B to 32MiB"),
            ("max_component = \"33MiB\"", "from 1B to 32MiB"),
            ("trial = \"0s\"", "longer than nothing"),
        ] {
            let key = setting.split(' ').next().unwrap_or_default();
            mistake(&format!("[policy]\n{setting}"), &format!("policy.{key}"), told);
        }
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
        mistake(
            "[journal]\nmax_size = \"4095KiB\"",
            "journal.max_size",
            "4MiB at least",
        );
        mistake(
            "[journal]\nmax_size = \"lots\"",
            "journal.max_size",
            "a size such as",
        );
        mistake("[journal]\nmax_age = \"59m\"", "journal.max_age", "at least 1h");
        mistake(
            "[journal]\nenable = true",
            "journal.enable",
            "did you mean `enabled`",
        );
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
