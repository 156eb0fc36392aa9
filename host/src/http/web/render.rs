//! Making pages: what surrounds them, and what is shown where there is none.

use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Request, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use patrol_policy::Secret;
use patrol_policy::types::Timestamp;

use super::person::{Person, zone};
use super::strings::{text, text_with};
use super::zone::{Time, Zone};
use super::{Web, assets, guard};
use crate::service::{Error, explain};

/// What surrounds a page. Every template has one, named `frame`.
pub(super) struct Frame {
    pub(super) title: &'static str,
    pub(super) section: &'static str,
    pub(super) user: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) is_admin: bool,
    csrf: String,
    pub(super) zone: Zone,
    pub(super) notice: Option<&'static str>,
}

impl Frame {
    pub(super) fn of(person: &Person, title: &'static str, section: &'static str) -> Self {
        Self {
            title,
            section,
            user: Some(person.user().name.clone()),
            tenant: Some(person.user().tenant_name.clone()),
            is_admin: person.is_admin,
            csrf: guard::form_token(&person.cookie),
            zone: person.zone.clone(),
            notice: person.notice(),
        }
    }

    /// For a page that somebody sees who is not signed in; its forms carry this token.
    pub(super) const fn anonymous(title: &'static str, csrf: String, zone: Zone) -> Self {
        Self {
            title,
            section: "",
            user: None,
            tenant: None,
            is_admin: false,
            csrf,
            zone,
            notice: None,
        }
    }

    /// The same, with what is to be said of the page before.
    pub(super) fn noticing(mut self, headers: &HeaderMap) -> Self {
        self.notice = notice(headers);
        self
    }

    /// A text.
    pub(super) fn t(&self, key: &str) -> String {
        text(key)
    }

    /// A text with something in it.
    pub(super) fn with(&self, key: &str, values: &[(&str, &str)]) -> String {
        text_with(key, values)
    }

    /// A text with a number in it.
    pub(super) fn count(&self, key: &str, count: impl ToString) -> String {
        text_with(key, &[("count", &count.to_string())])
    }

    /// Day and minute.
    pub(super) fn when(&self, at: &Timestamp) -> Time {
        self.zone.when(*at)
    }

    /// The day.
    pub(super) fn date(&self, at: &Timestamp) -> Time {
        self.zone.date(*at)
    }

    /// How long ago, or how soon.
    pub(super) fn ago(&self, at: &Timestamp) -> Time {
        self.zone.ago(*at)
    }

    /// A secret in words, on the page that is there to show it.
    pub(super) fn reveal<'a>(&self, secret: &'a Secret) -> &'a str {
        // Those that were made or found good here are ASCII.
        std::str::from_utf8(secret.expose()).unwrap_or_default()
    }

    /// The hidden field that every form has.
    pub(super) fn csrf(&self) -> Hidden<'_> {
        Hidden(&self.csrf)
    }

    pub(super) fn is(&self, section: &str) -> bool {
        self.section == section
    }

    pub(super) fn zone_name(&self) -> String {
        self.zone.name()
    }

    pub(super) fn style(&self) -> &'static str {
        &assets::STYLE_PATH
    }

    pub(super) fn script(&self) -> &'static str {
        &assets::SCRIPT_PATH
    }

    pub(super) fn icon(&self) -> &'static str {
        &assets::ICON_PATH
    }
}

/// The field that carries a form's token.
pub(super) struct Hidden<'a>(&'a str);

// Base64: letters, digits, `-` and `_`.
impl HtmlSafe for Hidden<'_> {}

impl std::fmt::Display for Hidden<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<input type=\"hidden\" name=\"csrf\" value=\"{}\">", self.0)
    }
}

/// A page.
pub(super) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// A page with another status.
pub(super) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The cookie that says, once, what was done before the page that is shown next.
const NOTICE: &str = "__Host-patrol-notice";
/// A page that does not come within this time says nothing of the one before.
const NOTICE_FOR: Duration = Duration::from_secs(60);

/// What may be said so: texts of the catalogue.
const NOTICES: &[&str] = &[
    "notice-method-changed",
    "notice-method-same",
    "notice-multi-factor-off",
    "notice-multi-factor-on",
    "notice-password-changed",
    "notice-password-set",
    "notice-second-off",
    "notice-second-over",
    "notice-signed-out-elsewhere",
    "notice-signed-out",
    "notice-token-ended",
    "notice-token-revoked",
    "notice-user-created",
    "notice-user-deleted",
    "notice-user-disabled",
    "notice-user-email",
    "notice-user-enabled",
    "notice-user-renamed",
    "notice-user-roles",
    "notice-user-second-removed",
    "notice-user-unlinked",
];

/// What the page that is shown now has to say of the one before.
pub(super) fn notice(headers: &HeaderMap) -> Option<&'static str> {
    let sent = guard::sent(headers, NOTICE)?;
    NOTICES
        .iter()
        .find(|known| known.as_bytes() == sent.expose())
        .copied()
}

/// Takes back what a page has said of the one before, so that it is said once. The script follows where a form has led
/// before the browser does: what it reads nobody sees.
pub(super) async fn take_back_notice(request: Request, next: Next) -> Response {
    let destination = request.headers().get("sec-fetch-dest");
    let seen = destination.is_none_or(|destination| destination == "document");
    let said = seen && guard::sends(request.headers(), NOTICE);
    let mut response = next.run(request).await;
    if said && !response.status().is_redirection() {
        response
            .headers_mut()
            .append(SET_COOKIE, guard::no_cookie(NOTICE));
    }
    response
}

/// On to another page.
pub(super) fn see_other(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// On to another page, which says what was done.
pub(super) fn see_other_with(path: &str, notice: &'static str) -> Response {
    let mut response = see_other(path);
    response
        .headers_mut()
        .append(SET_COOKIE, guard::cookie_for(NOTICE, notice, NOTICE_FOR));
    response
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    status: u16,
    message: String,
}

/// Why a page is not there, or why something was not done.
pub(super) struct Problem {
    status: StatusCode,
    message: String,
    retry_after: Option<u64>,
    frame: Option<Box<Frame>>,
}

impl Problem {
    /// With a text of the catalogue.
    pub(super) fn new(status: StatusCode, key: &str) -> Self {
        Self {
            status,
            message: text(key),
            retry_after: None,
            frame: None,
        }
    }

    /// With a text that is made already.
    pub(super) const fn saying(status: StatusCode, message: String) -> Self {
        Self {
            status,
            message,
            retry_after: None,
            frame: None,
        }
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "problem-forbidden")
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "problem-not-found")
    }

    pub(super) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1);
        Self {
            message: text_with("problem-too-many", &[("count", &seconds.to_string())]),
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "problem-busy")
        }
    }

    pub(super) fn busy() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "problem-busy")
        }
    }

    /// As a page of this person's.
    pub(super) fn of(mut self, person: &Person) -> Self {
        self.frame = Some(Box::new(person.frame("problem-title", "")));
        self
    }

    /// As a page of whoever asks.
    fn for_anybody(mut self, web: &Web, headers: &HeaderMap) -> Self {
        let zone = zone(web, headers);
        self.frame = Some(Box::new(Frame::anonymous("problem-title", String::new(), zone)));
        self
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let say = |status, message: String| Self {
            status,
            message,
            retry_after: None,
            frame: None,
        };
        match error {
            Error::Refused(refusal) => say(StatusCode::CONFLICT, explain(refusal.reason).to_owned()),
            Error::NotFound { .. } => Self::not_found(),
            Error::Exists { .. } => say(StatusCode::CONFLICT, error.to_string()),
            Error::Invalid(message) => say(StatusCode::UNPROCESSABLE_ENTITY, message),
            Error::WrongPassword | Error::WrongClient { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, "sign-in-wrong")
            }
            Error::Fault(_) | Error::Outage(_) => {
                tracing::error!(%error, "a page could not be shown");
                Self::busy()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let frame = self.frame.map_or_else(
            || {
                let zone = Zone::of(&HeaderMap::new(), 0);
                Frame::anonymous("problem-title", String::new(), zone)
            },
            |frame| *frame,
        );
        let template = ProblemPage {
            frame,
            status: self.status.as_u16(),
            message: self.message,
        };
        let mut response = page_with(self.status, &template);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Any other path.
pub(super) async fn no_such_page(State(web): State<Web>, headers: HeaderMap) -> Problem {
    Problem::not_found().for_anybody(&web, &headers)
}

/// A path that is not asked for in this way.
pub(super) async fn no_such_method(State(web): State<Web>, headers: HeaderMap) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "problem-not-found").for_anybody(&web, &headers)
}
