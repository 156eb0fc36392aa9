//! What a person does on a page: goes there, reads, clicks, types.

use serde_json::{Value, json};
use thirtyfour::TypingData;
use thirtyfour::prelude::*;

use super::Chromium;

/// Finds what is to be clicked, by role or none and by name, in the uppermost dialog if one is open. With the second
/// argument `fields`, fields by what their labels say.
///
/// Returns the elements of that name, and the names of all that could have been meant.
const FIND: &str = r#"
const [kind, name, role] = arguments;
const dialogs = [...document.querySelectorAll('dialog[open]')];
const scope = dialogs.at(-1) ?? document;
const tidy = text => (text ?? '').replace(/[\s\u2066-\u2069]+/g, ' ').trim();
const labelled = element => tidy((element.getAttribute('aria-labelledby') ?? '').split(/\s+/)
    .map(id => document.getElementById(id)?.textContent).join(' '));
const labels = element => tidy([...(element.labels ?? [])].map(label => {
    const copy = label.cloneNode(true);
    copy.querySelectorAll('input, select, textarea').forEach(control => control.remove());
    return copy.textContent;
}).join(' '));
const named = element => tidy(element.getAttribute('aria-label')) || labelled(element) || (kind === 'fields'
    ? labels(element) || tidy(element.placeholder)
    : tidy(element.textContent) || tidy(element.value));
const what = kind === 'fields'
    ? 'input:not([type=hidden], [type=submit], [type=button]), select, textarea'
    : 'a[href], button, summary, [role=button], [role=link], input[type=submit], input[type=button]';
const roleOf = element => element.getAttribute('role') ?? (element.matches('a') ? 'link' : 'button');
const shown = element => element.checkVisibility({checkVisibilityCSS: true});
const all = [...scope.querySelectorAll(what)].filter(shown)
    .filter(element => !role || roleOf(element) === role);
const equal = all.filter(element => named(element) === name);
const found = equal.length ? equal : all.filter(element => named(element).startsWith(name));
return {found, names: all.map(named)};
"#;

impl Chromium {
    /// Goes to a path of the origin, or to an address.
    #[track_caller]
    pub fn goto(&self, place: &str) {
        let address = if place.starts_with('/') {
            format!("{}{place}", self.origin)
        } else {
            place.to_owned()
        };
        self.ask(&address, self.web().goto(address.as_str()));
    }

    /// The path of where it is, with its query.
    #[must_use]
    pub fn path(&self) -> String {
        let address = self.ask("the address", self.web().current_url());
        let address = address.as_str();
        address.strip_prefix(&self.origin).unwrap_or(address).to_owned()
    }

    /// Waits until it is at a path; the query does not count.
    #[track_caller]
    pub fn arrive(&self, path: &str) {
        self.wait_for(path, || {
            let now = self.path();
            (now.split(['?', '#']).next() == Some(path)).then_some(())
        });
        self.wait_until(
            "the page to be there",
            "return document.readyState === 'complete'",
        );
    }

    /// Goes back, as by the button of the browser.
    pub fn back(&self) {
        self.ask("back", self.web().back());
    }

    /// Goes forward.
    pub fn forward(&self) {
        self.ask("forward", self.web().forward());
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.ask("reload", self.web().refresh());
    }

    /// What a person reads on the page.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.script("return document.body.innerText", &[]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What a person reads in the first element that a selector means, once it is there.
    #[track_caller]
    #[must_use]
    pub fn text_of(&self, selector: &str) -> String {
        self.wait_for(selector, || {
            let body = "return document.querySelector(arguments[0])?.innerText";
            let text = self.try_script(body, &[json!(selector)]).unwrap_or_default();
            text.as_str().map(str::to_owned)
        })
    }

    /// Waits until the page says something.
    #[track_caller]
    pub fn see(&self, text: &str) {
        self.wait_for(text, || {
            let body = "return document.body.innerText.replace(/[\\u2066-\\u2069]/g, '')";
            let now = self.try_script(body, &[]).unwrap_or_default();
            now.as_str().filter(|now| now.contains(text)).map(|_| ())
        });
    }

    /// The elements of a name, once there are some. There must be only one, unless the first is meant.
    #[track_caller]
    fn found(&self, kind: &str, name: &str, role: &str) -> WebElement {
        let mut last = Value::Null;
        let sought = format!("{kind} {role} {name:?}");
        let started = std::time::Instant::now();
        loop {
            let arguments = vec![json!(kind), json!(name), json!(role)];
            if let Ok(found) = self.try_script(FIND, &arguments) {
                if let Some([only]) = found["found"].as_array().map(Vec::as_slice) {
                    let handle = self.web().handle().clone();
                    return WebElement::from_json(only.clone(), handle).expect("it is an element");
                }
                last = found;
            }
            assert!(
                started.elapsed() < super::PATIENCE,
                "not one {sought} at {} but {} among {}",
                self.path(),
                last["found"].as_array().map_or(0, Vec::len),
                last["names"]
            );
            std::thread::sleep(std::time::Duration::from_millis(40));
        }
    }

    /// Whether there is something to click of a name.
    #[must_use]
    pub fn offers(&self, name: &str) -> bool {
        let found = self.script(FIND, &[json!("controls"), json!(name), json!("")]);
        found["found"].as_array().is_some_and(|found| !found.is_empty())
    }

    /// Clicks the one button or link of a name.
    #[track_caller]
    pub fn click(&self, name: &str) {
        let element = self.found("controls", name, "");
        self.ask(name, element.click());
    }

    /// Clicks the one button of a name, where a link is called the same.
    #[track_caller]
    pub fn press(&self, name: &str) {
        let element = self.found("controls", name, "button");
        self.ask(name, element.click());
    }

    /// Clicks the one link of a name, where a button is called the same.
    #[track_caller]
    pub fn follow(&self, name: &str) {
        let element = self.found("controls", name, "link");
        self.ask(name, element.click());
    }

    /// Clicks a button twice, as fast as a hand that does not know that once is enough.
    #[track_caller]
    pub fn double_click(&self, name: &str) {
        let element = self.found("controls", name, "");
        let chain = self
            .web()
            .action_chain_with_delay(Some(std::time::Duration::ZERO), Some(std::time::Duration::ZERO));
        self.ask(name, chain.double_click_element(&element).perform());
    }

    /// Clicks what a selector means.
    #[track_caller]
    pub fn click_at(&self, selector: &str) {
        let found = self.wait_for(selector, || self.try_ask(self.web().find(By::Css(selector))).ok());
        self.ask(selector, found.click());
    }

    /// Types a text into the field of a label, in place of what is there.
    #[track_caller]
    pub fn fill(&self, label: &str, text: &str) {
        let element = self.found("fields", label, "");
        self.ask(label, element.clear());
        self.ask(label, element.send_keys(text));
    }

    /// Gives a field a value without typing it: a date, an option, a box to tick (`true`).
    #[track_caller]
    pub fn set(&self, label: &str, value: &str) {
        let element = self.found("fields", label, "");
        let element = element.to_json().expect("it is JSON");
        let body = "const [field, value] = arguments;
            if (field.type === 'checkbox' || field.type === 'radio') field.checked = value === 'true';
            else field.value = value;
            field.dispatchEvent(new Event('input', {bubbles: true}));
            field.dispatchEvent(new Event('change', {bubbles: true}));";
        self.script(body, &[element, json!(value)]);
    }

    /// What is in the field of a label.
    #[track_caller]
    #[must_use]
    pub fn value(&self, label: &str) -> String {
        let element = self.found("fields", label, "");
        self.ask(label, element.prop("value")).unwrap_or_default()
    }

    /// Presses keys, wherever the focus is.
    pub fn keys(&self, keys: impl Into<TypingData>) {
        self.ask("keys", self.web().action_chain().send_keys(keys).perform());
    }

    /// What the element is called that has the focus: its label or its text.
    #[must_use]
    pub fn focused(&self) -> String {
        let body = "const element = document.activeElement;
            const text = element.getAttribute('aria-label') ?? [...(element.labels ?? [])].map(l => l.textContent).join(' ');
            return (text || element.textContent || '').replace(/\\s+/g, ' ').trim().slice(0, 200);";
        let text = self.script(body, &[]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Presses the Tab key until the focus is on what is called so.
    #[track_caller]
    pub fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..60 {
            let focused = self.focused();
            if focused.starts_with(name) {
                return;
            }
            passed.push(focused);
            self.keys(Key::Tab);
        }
        panic!("the Tab key does not lead to {name}, but to {passed:?}");
    }

    /// A cookie that the browser has, with its attributes.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<Value> {
        let cookies = self.cdp("Network.getCookies", json!({"urls": [self.origin]}));
        let cookies = cookies["cookies"].as_array().cloned().unwrap_or_default();
        cookies.into_iter().find(|cookie| cookie["name"] == name)
    }

    /// Sets a cookie with all attributes that the session's has.
    #[track_caller]
    pub fn plant_cookie(&self, name: &str, value: &str) {
        let set = self.cdp(
            "Network.setCookie",
            json!({"url": self.origin, "name": name, "value": value, "path": "/", "secure": true,
                "httpOnly": true, "sameSite": "Lax"}),
        );
        assert_eq!(set["success"], true, "{set}");
    }

    /// Forgets all cookies.
    pub fn forget_cookies(&self) {
        self.cdp("Network.clearBrowserCookies", json!({}));
    }

    /// Opens another tab of the same profile, and turns to it; says which one it is.
    #[must_use]
    pub fn new_tab(&self) -> WindowHandle {
        let tab = self.ask("a tab", self.web().new_tab());
        self.turn_to(&tab);
        tab
    }

    /// The tab that it is turned to.
    #[must_use]
    pub fn tab(&self) -> WindowHandle {
        self.ask("the tab", self.web().window())
    }

    /// Turns to a tab.
    pub fn turn_to(&self, tab: &WindowHandle) {
        self.ask("turning to a tab", self.web().switch_to_window(tab.clone()));
    }

    /// The question that the browser itself asks, if it does.
    #[must_use]
    pub fn prompt(&self) -> Option<String> {
        self.try_ask(self.web().get_alert_text()).ok()
    }

    /// Answers it.
    #[track_caller]
    pub fn answer_prompt(&self, yes: bool) {
        if yes {
            self.ask("yes", self.web().accept_alert());
        } else {
            self.ask("no", self.web().dismiss_alert());
        }
    }
}
