//! Debian's Chromium, driven as a person would: by what buttons, links and fields are called, with the keyboard, in light
//! and dark, on a wide screen and on a phone.
//!
//! A session has a driver, a profile and a port of its own, and ends with the test. It reaches nothing but this machine;
//! what the pages asked for is written down all the same, and so is all that the browser complained about.

use std::collections::BTreeSet;
use std::future::Future;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::command::FormatRequestData;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, RequestData, SessionId};
use tokio::runtime::Runtime;

use crate::gateway::{Running, find, have, is_root, listen};

mod check;
mod page;

pub use check::View;

/// How long a page may take to become what a test waits for, on a machine that does a lot besides.
const PATIENCE: Duration = Duration::from_secs(30);

/// No answer of the driver takes longer, that of starting a browser included.
const BOUND: Duration = Duration::from_secs(90);

/// A browser with one profile. Its methods panic where what they are told to do cannot be done, and say what is there
/// instead.
pub struct Chromium {
    /// Where paths without an origin lead.
    origin: String,
    web: Option<WebDriver>,
    /// The browser's own process; the driver is asked to end it, and it is killed where that does not happen.
    process: Option<u64>,
    seen: Seen,
    runtime: Runtime,
    driver: Running,
    /// After everything that writes to it.
    home: TempDir,
}

/// What the browser reported so far.
#[derive(Default)]
struct Seen {
    complaints: Vec<String>,
    requests: Vec<String>,
    /// Addresses of whole pages: that one of them is answered with 403, say, is nothing to complain about.
    documents: BTreeSet<String>,
    /// Kinds of dialogs that the browser itself opened: `alert`, `beforeunload`.
    prompts: Vec<String>,
}

/// Whether the browser and what checks its pages can be had here; what it means if not is said at [`have`].
#[must_use]
pub fn have_chromium() -> bool {
    let axe = axe_source();
    let axe = axe.to_str().expect("the path is text");
    have(&["chromium", "chromedriver", axe])
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

fn axe_source() -> PathBuf {
    target().join("npm/node_modules/axe-core/axe.min.js")
}

/// Where pictures are kept.
#[must_use]
pub fn screenshots() -> PathBuf {
    target().join("screenshots")
}

impl Chromium {
    /// A browser for the pages of an origin such as `http://127.0.0.1:8787`.
    #[must_use]
    pub fn open(origin: &str) -> Self {
        let home = TempDir::new().expect("a directory can be made");
        let ([port], driver) = listen("chromedriver", &home.path().join("log"), |[port]| {
            let mut command = Command::new(find("chromedriver").expect("chromedriver was asked for"));
            command.arg(format!("--port={port}"));
            // A group of its own, so that what it starts can be ended with it.
            command.process_group(0).current_dir(home.path());
            command.env("HOME", home.path()).env("TMPDIR", home.path());
            command
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let connected = runtime.block_on(async {
            let connect = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities(home.path()));
            tokio::time::timeout(BOUND, connect).await
        });
        let web = connected
            .unwrap_or_else(|_| panic!("Chromium does not start: {}", driver.log()))
            .unwrap_or_else(|error| panic!("Chromium does not start: {error}: {}", driver.log()));
        let process = web.capabilities().get("goog:processID").and_then(Value::as_u64);
        let chromium = Self {
            origin: origin.to_owned(),
            web: Some(web),
            process,
            seen: Seen::default(),
            runtime,
            driver,
            home,
        };
        chromium.cdp("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        chromium.view(View::default());
        chromium
    }

    /// The origin that its pages are of.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn web(&self) -> &WebDriver {
        self.web.as_ref().expect("it is there until it is dropped")
    }

    /// Waits for an answer of the driver.
    #[track_caller]
    fn ask<T>(&self, what: &str, asked: impl Future<Output = WebDriverResult<T>>) -> T {
        self.try_ask(asked)
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    fn try_ask<T>(&self, asked: impl Future<Output = WebDriverResult<T>>) -> Result<T, String> {
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(BOUND, asked).await });
        match answer {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer of the driver".to_owned()),
        }
    }

    /// A command of the protocol of Chromium's own tools.
    #[track_caller]
    pub fn cdp(&self, command: &str, parameters: Value) -> Value {
        let asked = Cdp {
            command: command.to_owned(),
            parameters,
        };
        let answer = async { self.web().handle().cmd(asked).await?.value::<Value>() };
        self.ask(command, answer)
    }

    /// What a function's body returns in the page.
    #[track_caller]
    pub fn script(&self, body: &str, arguments: &[Value]) -> Value {
        self.try_script(body, arguments)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_script(&self, body: &str, arguments: &[Value]) -> Result<Value, String> {
        let returned = self.try_ask(self.web().execute(body, arguments.to_vec()))?;
        Ok(returned.json().clone())
    }

    /// Asks again and again until there is an answer.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "waited in vain for {what} at {}: {}",
                self.try_ask(self.web().current_url())
                    .map_or_else(|error| error, |url| url.to_string()),
                self.try_script("return document.body.innerText", &[])
                    .unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    /// Waits until a function's body returns something true in the page.
    #[track_caller]
    pub fn wait_until(&self, what: &str, body: &str) {
        self.wait_for(what, || {
            // Between two pages there is none to ask.
            let answer = self.try_script(body, &[]).unwrap_or_default();
            (answer != Value::Null && answer != json!(false) && answer != json!("")).then_some(())
        });
    }

    /// Lets pages of the origin read and write the clipboard, as a person would who is asked.
    pub fn allow_clipboard(&self) {
        let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        self.cdp(
            "Browser.grantPermissions",
            json!({"origin": self.origin, "permissions": permissions}),
        );
    }

    /// What is in the clipboard.
    #[must_use]
    pub fn clipboard(&self) -> String {
        let body = "const done = arguments[0]; \
            navigator.clipboard.readText().then(done, error => done('error: ' + error));";
        let read = self.web().execute_async(body, Vec::new());
        let read = self.ask("the clipboard", read);
        read.json().as_str().unwrap_or_default().to_owned()
    }

    /// Switches the scripts of pages off, or on again, from the next page on.
    pub fn scripts(&self, on: bool) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({"value": !on}));
    }

    /// Says which zone the person is in, such as `Europe/Berlin`.
    pub fn zone(&self, zone: &str) {
        self.cdp("Emulation.setTimezoneOverride", json!({"timezoneId": zone}));
    }
}

/// A command of the protocol of Chromium's own tools, by way of its driver.
#[derive(Debug)]
struct Cdp {
    command: String,
    parameters: Value,
}

impl FormatRequestData for Cdp {
    fn format_request(&self, session: &SessionId) -> RequestData {
        RequestData::new(http::Method::POST, format!("session/{session}/goog/cdp/execute"))
            .add_body(json!({"cmd": self.command, "params": self.parameters}))
    }
}

/// Headless, with a profile of its own, and with no way out of this machine.
fn capabilities(home: &Path) -> ChromeCapabilities {
    let profile = home.join("profile");
    let mut arguments = vec![
        "--headless=new".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--no-default-browser-check".to_owned(),
        "--no-first-run".to_owned(),
        "--no-proxy-server".to_owned(),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost".to_owned(),
        "--lang=en-GB".to_owned(),
        "--window-size=1280,900".to_owned(),
        format!("--user-data-dir={}", profile.display()),
    ];
    if is_root() {
        // Chromium's sandbox refuses to be root's.
        arguments.push("--no-sandbox".to_owned());
    }
    let mut capabilities = DesiredCapabilities::chrome();
    let options = json!({"args": arguments, "binary": find("chromium")});
    for (name, value) in [
        ("goog:chromeOptions", options),
        (
            "goog:loggingPrefs",
            json!({"browser": "ALL", "performance": "ALL"}),
        ),
        // Tests say themselves what is done with a question of the browser's.
        ("unhandledPromptBehavior", json!("ignore")),
    ] {
        capabilities.set(name, value).expect("it is JSON");
    }
    capabilities
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_failure();
        }
        if let Some(web) = self.web.take() {
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(10), web.quit()).await });
        }
        // By their ids, and only those that this session started: the browser if it is there yet, and the driver's group.
        let kill = |process: &str| {
            let _ = Command::new("kill")
                .args(["-KILL", "--", process])
                .stderr(std::process::Stdio::null())
                .status();
        };
        let started_here = |process: &u64| {
            std::fs::read_to_string(format!("/proc/{process}/cmdline"))
                .is_ok_and(|line| line.contains(&*self.home.path().to_string_lossy()))
        };
        if let Some(process) = self.process.filter(started_here) {
            kill(&process.to_string());
        }
        if self.driver.ended().is_none() {
            kill(&format!("-{}", self.driver.id()));
        }
    }
}
