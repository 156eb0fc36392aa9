//! A real OpenID Connect provider, npm's `oidc-provider`, and what a person does there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gateway::{Running, find, have, listen};
use crate::web::{Browser, Page};

/// The address at which the provider takes Patrol to be.
pub const PATROL: &str = "https://patrol.example.com";
/// The client secret.
pub const SECRET: &str = "the secret of the client";

/// A provider that runs.
pub struct Provider {
    /// Its port on this machine.
    pub port: u16,
    process: Running,
    log: PathBuf,
}

impl Provider {
    /// One for a client of this name at Patrol, with more for the script; none where a test that needs it is to be left
    /// out, as [`have`] says of those that need gateways.
    ///
    /// # Panics
    /// Where it must be there and is not, or does not start.
    #[must_use]
    pub fn start(name: &str, directory: &Path, options: &[&str]) -> Option<Self> {
        Self::start_for(PATROL, name, directory, options)
    }

    /// The same, for a Patrol at another address.
    #[must_use]
    pub fn start_for(patrol: &str, name: &str, directory: &Path, options: &[&str]) -> Option<Self> {
        // It must be asked first: `0` leaves out everything.
        if !have(&["node"]) {
            return None;
        }
        let module = module();
        if !module.is_file() {
            let wanted = std::env::var("PATROL_TESTS_GATEWAYS").ok();
            assert_ne!(wanted.as_deref(), Some("1"), "missing: {}", module.display());
            println!("skipped: {} is missing; tests/run installs it", module.display());
            return None;
        }
        let log = directory.join("provider.log");
        let redirect = format!("{patrol}/ui/oidc/{name}/return");
        let ([port], process) = listen("the provider", &log, |[port]| command(&redirect, port, options));
        Some(Self { port, process, log })
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it, and starts it again with other keys.
    pub fn restart(&mut self, name: &str, options: &[&str]) {
        self.end();
        let redirect = format!("{PATROL}/ui/oidc/{name}/return");
        self.process = Running::start(command(&redirect, self.port, options), &self.log);
        crate::gateway::wait_for("the provider", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.process.kill();
    }

    /// A browser at it.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(([127, 0, 0, 1], self.port).into())
    }

    /// Somebody signs in at an address that Patrol has sent them to. The path by which they are sent back.
    ///
    /// # Panics
    /// Where they are not.
    #[must_use]
    pub fn sign_in(&self, address: &str, login: &str) -> String {
        let mut browser = self.browser();
        let mut page = browser.get_only(local(address));
        for _ in 0..12 {
            if let Some(location) = page.answer.header("location").map(ToOwned::to_owned) {
                if let Some(back) = location.strip_prefix(PATROL) {
                    return back.to_owned();
                }
                page = browser.get_only(local(&location));
            } else {
                page = submit(&mut browser, &page, login);
            }
        }
        panic!("not sent back: {page:?}");
    }

    /// Somebody goes there, and does not sign in.
    ///
    /// # Panics
    /// Where they are not sent back.
    #[must_use]
    pub fn decline(&self, address: &str) -> String {
        let mut browser = self.browser();
        let page = browser.get_only(local(address));
        let interaction = page.answer.header("location").expect("an interaction").to_owned();
        let mut page = browser.get_only(&format!("{}/abort", local(&interaction)));
        for _ in 0..4 {
            let location = page.answer.header("location").expect("a way on").to_owned();
            if let Some(back) = location.strip_prefix(PATROL) {
                return back.to_owned();
            }
            page = browser.get_only(local(&location));
        }
        panic!("not sent back: {page:?}");
    }
}

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/npm/node_modules/oidc-provider/lib/index.js")
}

fn command(redirect: &str, port: u16, options: &[&str]) -> Command {
    let mut command = Command::new(find("node").expect("node"));
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oidc/provider.mjs"))
        .arg(module())
        .arg(port.to_string())
        .arg(redirect)
        .args(options);
    command
}

/// The forms of the provider, of which the second asks for consent.
fn submit(browser: &mut Browser, page: &Page, login: &str) -> Page {
    let actions = page.attributes("form[method=post]", "action");
    let action = actions
        .first()
        .unwrap_or_else(|| panic!("no form at the provider: {page:?}"));
    let mut fields = page.fields(action);
    fields.retain(|(name, _)| name != "login" && name != "password");
    let mut pairs: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    pairs.extend([("login", login), ("password", "any")]);
    browser.post(local(action), &pairs)
}

/// The path and query of an address.
fn local(address: &str) -> &str {
    let Some((_, rest)) = address.split_once("://") else {
        return address;
    };
    rest.find('/').map_or("/", |at| &rest[at..])
}
