//! A browser without scripts: it keeps cookies, fills in forms, and goes where it is sent. What it must not do by itself,
//! such as leaving out a form's token, tests do by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use scraper::{Html, Selector};

use crate::wire::{Answer, send};

/// A browser at one server.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The server.
    pub server: SocketAddr,
    /// The cookies, by name.
    pub cookies: BTreeMap<String, String>,
    /// Headers that go with every request.
    pub headers: Vec<(String, String)>,
}

/// A page that came, where it was asked for.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path and query.
    pub path: String,
    /// The answer.
    pub answer: Answer,
}

impl Browser {
    /// With no cookies.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            cookies: BTreeMap::new(),
            headers: vec![("X-Real-IP".to_owned(), "192.0.2.44".to_owned())],
        }
    }

    /// Asks for a page, and for those that it is sent on to.
    ///
    /// # Panics
    /// Here and in all other methods: where there is no answer.
    pub fn get(&mut self, path: &str) -> Page {
        let page = self.ask("GET", path, "");
        self.follow(page)
    }

    /// Asks for a page, and stays there.
    pub fn get_only(&mut self, path: &str) -> Page {
        self.ask("GET", path, "")
    }

    /// Sends the form of a page whose action is `action`, with its hidden fields and these, and goes where it is sent.
    pub fn submit(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let sent = self.submit_only(page, action, fields);
        self.follow(sent)
    }

    /// The same, and stays there.
    ///
    /// # Panics
    /// Where the page has no such form.
    pub fn submit_only(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let mut all = page.fields(action);
        for (name, _) in fields {
            all.retain(|(known, _)| known != name);
        }
        all.extend(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let pairs: Vec<_> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.post(action, &pairs)
    }

    /// Sends these fields and no others.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        self.ask("POST", path, &body.join("&"))
    }

    /// Signs in with user name and password.
    pub fn sign_in(&mut self, user: &str, password: &str) -> Page {
        let page = self.get("/ui/sign-in");
        self.submit(&page, "/ui/sign-in", &[("user", user), ("password", password)])
    }

    fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..10 {
            let Some(path) = page.answer.header("location").map(ToOwned::to_owned) else {
                return page;
            };
            assert!(path.starts_with('/'), "sent away: {path}");
            page = self.ask("GET", &path, "");
        }
        panic!("sent in a circle: {page:?}");
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        if method == "POST" {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let answer = send(
            self.server,
            &format!("{method} {path}"),
            &headers,
            body.as_bytes(),
        )
        .expect("an answer");
        for (name, value) in &answer.headers {
            if name == "set-cookie" {
                let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
                let (name, value) = pair.split_once('=').expect("a cookie");
                if value.is_empty() || attributes.contains("Max-Age=0") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Page {
            path: path.to_owned(),
            answer,
        }
    }
}

impl Page {
    /// The page as a tree.
    #[must_use]
    pub fn html(&self) -> Html {
        Html::parse_document(&self.answer.body)
    }

    /// The texts of the elements that a CSS selector finds, with white space as it is shown.
    ///
    /// # Panics
    /// Where the selector is none.
    #[must_use]
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let selector = Selector::parse(selector).expect("a selector");
        let html = self.html();
        let found = html.select(&selector);
        found
            .map(|element| {
                let text: String = element.text().collect();
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    /// The text of the one element that a CSS selector finds.
    ///
    /// # Panics
    /// Where there is none, or are several.
    #[must_use]
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let mut texts = self.texts(selector);
        assert_eq!(texts.len(), 1, "{selector}: {texts:?}\n{}", self.answer.body);
        texts.remove(0)
    }

    /// The values of an attribute of the elements that a CSS selector finds.
    ///
    /// # Panics
    /// Where the selector is none.
    #[must_use]
    pub fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let selector = Selector::parse(selector).expect("a selector");
        let html = self.html();
        html.select(&selector)
            .filter_map(|element| element.value().attr(name).map(ToOwned::to_owned))
            .collect()
    }

    /// The fields of the form with this action, as they are filled in.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    #[track_caller]
    pub fn fields(&self, action: &str) -> Vec<(String, String)> {
        let form = Selector::parse(&format!("form[method=post][action=\"{action}\"]")).expect("a selector");
        let input = Selector::parse("input[name]").expect("a selector");
        let html = self.html();
        let Some(form) = html.select(&form).next() else {
            panic!("no form to {action}: {} {}", self.answer.status, self.answer.body);
        };
        form.select(&input)
            .filter(|field| {
                let kind = field.value().attr("type").unwrap_or("text");
                !matches!(kind, "checkbox" | "radio") || field.value().attr("checked").is_some()
            })
            .map(|field| {
                let of = |name| field.value().attr(name).unwrap_or_default().to_owned();
                (of("name"), of("value"))
            })
            .collect()
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
