//! What is asked of every page: that axe finds nothing in it, that it fits the screen, that the browser has nothing to
//! complain about, and that nobody else was asked for anything. Pictures are kept.

use std::fmt::Write as _;
use std::sync::OnceLock;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Chromium, axe_source, screenshots};

/// How a page is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Whether the person prefers dark pages.
    pub dark: bool,
    /// Whether the screen is a phone's.
    pub phone: bool,
}

impl View {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::of(false, false),
        Self::of(true, false),
        Self::of(false, true),
        Self::of(true, true),
    ];

    const fn of(dark: bool, phone: bool) -> Self {
        Self { dark, phone }
    }

    fn name(self) -> String {
        let shade = if self.dark { "dark" } else { "light" };
        let width = if self.phone { "phone" } else { "wide" };
        format!("{shade}-{width}")
    }
}

impl Chromium {
    /// Looks at pages like this from now on.
    pub fn view(&self, view: View) {
        let scheme = if view.dark { "dark" } else { "light" };
        self.cdp(
            "Emulation.setEmulatedMedia",
            json!({"features": [
                {"name": "prefers-color-scheme", "value": scheme},
                // Nothing is half way when it is looked at.
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]}),
        );
        let (width, height) = if view.phone { (390, 844) } else { (1280, 900) };
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": view.phone}),
        );
    }

    /// Looks at the page in every view, keeps pictures of it as `NAME-SHADE-WIDTH.png`, and fails where one of them
    /// cannot be used by everybody, is wider than its screen, or does not go together with what the server allows.
    #[track_caller]
    pub fn check(&mut self, name: &str) {
        let mut wrong = String::new();
        for view in View::ALL {
            self.view(view);
            self.screenshot(&format!("{name}-{}", view.name()));
            for violation in self.axe() {
                let _ = writeln!(wrong, "{}: {violation}", view.name());
            }
            // As on a real screen, a few pixels of rounding aside.
            let body = "return document.documentElement.scrollWidth - innerWidth";
            let beyond = self.script(body, &[]).as_i64().unwrap_or_default();
            if beyond > 1 {
                let _ = writeln!(
                    wrong,
                    "{}: {beyond} px wider than the screen: {}",
                    view.name(),
                    self.script(WIDEST, &[])
                );
            }
        }
        self.view(View::default());
        for complaint in self.complaints() {
            let _ = writeln!(wrong, "the browser: {complaint}");
        }
        for address in self.elsewhere() {
            let _ = writeln!(wrong, "asked elsewhere: {address}");
        }
        assert!(wrong.is_empty(), "{name} at {}:\n{wrong}", self.path());
    }

    /// What axe-core has to say of the page as it is now: a line for each place.
    #[must_use]
    pub fn axe(&self) -> Vec<String> {
        static SOURCE: OnceLock<String> = OnceLock::new();
        let source =
            SOURCE.get_or_init(|| std::fs::read_to_string(axe_source()).expect("axe-core was asked for"));
        // What the driver executes is not bound by the policy of the page, and is the driver's own.
        self.script(source, &[]);
        let body = "const done = arguments[0];
            axe.run(document, {resultTypes: ['violations']})
                .then(results => done(results.violations), error => done('' + error));";
        let found = self.ask("axe", self.web().execute_async(body, Vec::new()));
        let found = found.json();
        let Some(violations) = found.as_array() else {
            panic!("axe did not run: {found}");
        };
        let places = |violation: &Value| violation["nodes"].as_array().cloned().unwrap_or_default();
        violations
            .iter()
            .flat_map(|violation| {
                places(violation).into_iter().map(|place| {
                    let text = |value: &Value| value.as_str().unwrap_or_default().replace('\n', " ");
                    format!(
                        "{} ({}): {} {}",
                        text(&violation["id"]),
                        text(&violation["impact"]),
                        text(&place["html"]),
                        text(&place["failureSummary"])
                    )
                })
            })
            .collect()
    }

    /// Keeps a picture of the page: all of it, or, where a dialog is open, what is on the screen.
    pub fn screenshot(&self, name: &str) {
        let dialog = self.script("return !!document.querySelector('dialog[open]')", &[]);
        let taken = self.cdp(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": dialog == false}),
        );
        let taken = taken["data"].as_str().expect("there is a picture");
        let taken = base64::prelude::BASE64_STANDARD.decode(taken);
        std::fs::create_dir_all(screenshots()).expect("a directory can be made");
        std::fs::write(
            screenshots().join(format!("{name}.png")),
            taken.expect("it is base64"),
        )
        .expect("it can be written");
    }

    /// What the browser complained about since the last time this was asked: errors of scripts, what the page's policy
    /// forbids, resources that are missing. Not pages that are refusals themselves.
    pub fn complaints(&mut self) -> Vec<String> {
        self.listen();
        let documents = &self.seen.documents;
        let refused = |complaint: &String| {
            // Of a page, or of a form that a script sent: what is shown says it.
            complaint.contains("the server responded with a status of")
                && (documents
                    .iter()
                    .any(|document| complaint.starts_with(&format!("{document} ")))
                    || ["409", "422"]
                        .iter()
                        .any(|status| complaint.contains(&format!("a status of {status} "))))
        };
        let complaints = self.seen.complaints.iter().filter(|one| !refused(one));
        let complaints = complaints.cloned().collect();
        self.seen.complaints.clear();
        complaints
    }

    /// All addresses that were asked for, from the start.
    pub fn requests(&mut self) -> &[String] {
        self.listen();
        &self.seen.requests
    }

    /// Those of them that are not of the origin.
    pub fn elsewhere(&mut self) -> Vec<String> {
        let own = format!("{}/", self.origin);
        let foreign = |address: &&String| {
            !address.starts_with(&own)
                && !["data:", "about:", "chrome"]
                    .iter()
                    .any(|own| address.starts_with(own))
        };
        self.requests().iter().filter(foreign).cloned().collect()
    }

    /// The kinds of questions that the browser itself asked, from the start: `beforeunload`, `alert`.
    pub fn prompts(&mut self) -> &[String] {
        self.listen();
        &self.seen.prompts
    }

    /// Takes in what was reported meanwhile.
    fn listen(&mut self) {
        let told = self.ask("the browser's log", self.web().get_log("browser"));
        let severe = told.into_iter().filter(|entry| entry.level == "SEVERE");
        let severe: Vec<_> = severe.map(|entry| entry.message).collect();
        let events = self.ask("the network's log", self.web().get_log("performance"));
        self.seen.complaints.extend(severe);
        for event in events {
            let event: Value = serde_json::from_str(&event.message).unwrap_or_default();
            let event = &event["message"];
            let parameters = &event["params"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            match event["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    let address = text(&parameters["request"]["url"]);
                    if parameters["type"] == "Document" {
                        self.seen.documents.insert(address.clone());
                    }
                    self.seen.requests.push(address);
                }
                Some("Page.javascriptDialogOpening") => self.seen.prompts.push(text(&parameters["type"])),
                _ => {}
            }
        }
    }

    /// Where a test has failed: what there was to be seen.
    pub(super) fn show_failure(&self) {
        let Some(web) = &self.web else { return };
        let address = self.try_ask(web.current_url());
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let picture = screenshots().join(format!("failed-{name}.png"));
        let _ = std::fs::create_dir_all(screenshots());
        let _ = self.try_ask(web.screenshot(&picture));
        eprintln!("--- Chromium was at {address:?}: {}", picture.display());
    }
}

/// What sticks out furthest to the right.
const WIDEST: &str = "
const all = [...document.body.querySelectorAll('*')];
const right = element => element.getBoundingClientRect().right;
const beyond = all.filter(element => right(element) > innerWidth + 1).sort((a, b) => right(b) - right(a));
return beyond.slice(0, 3).map(element => element.outerHTML.slice(0, 120));
";
