//! The second step of signing in, and what people do with their second factor.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use patrol_policy::Secret;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::{Color, QrCode};
use serde::Deserialize;

use super::super::api::origin;
use super::form::{Form, Query, secret};
use super::person::{Person, SIGN_IN};
use super::render::{Frame, Problem, page, page_with, see_other, see_other_with};
use super::security::{SECURITY, refused, too_many};
use super::setup::anonymous;
use super::sign_in::enter;
use super::strings::text;
use super::{HOME, Web, guard};
use crate::service::{Enrolment, Error};

/// The cookie of somebody whose password was right, and who is yet to show their second factor.
const HALF: &str = "__Host-patrol-second";
const STEP: &str = "/ui/sign-in/second";
const ENROL: &str = "/ui/security/second-factor";

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(STEP, get(show_step).post(step))
        .route(ENROL, get(show_enrolment).post(enrol))
        .route("/ui/security/recovery-codes", post(renew))
        .route("/ui/security/second-factor/off", post(turn_off))
}

/// A QR code: black on white whatever the theme, since that is what cameras are used to.
struct Qr(String);

// Made of numbers and of texts that are written here.
impl HtmlSafe for Qr {}

impl std::fmt::Display for Qr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Qr {
    fn of(text: &Secret) -> Option<Self> {
        let code = QrCode::new(text.expose()).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            for (x, color) in row.iter().enumerate() {
                if *color == Color::Dark {
                    path += &format!("M{x} {y}h1v1h-1z");
                }
            }
        }
        let size = width.saturating_add(8);
        Some(Self(format!(
            "<svg class=\"qr\" viewBox=\"-4 -4 {size} {size}\" shape-rendering=\"crispEdges\" aria-hidden=\"true\">\
             <rect x=\"-4\" y=\"-4\" width=\"{size}\" height=\"{size}\" fill=\"#fff\"/>\
             <path d=\"{path}\" fill=\"#000\"/></svg>"
        )))
    }
}

/// What is shown to be put into an authenticator.
struct Shown {
    qr: Option<Qr>,
    text: Secret,
}

impl From<Enrolment> for Shown {
    fn from(enrolment: Enrolment) -> Self {
        Self {
            qr: Qr::of(&enrolment.uri),
            text: enrolment.text,
        }
    }
}

#[derive(Template)]
#[template(path = "second-step.html")]
struct StepPage {
    frame: Frame,
    action: &'static str,
    next: String,
    enrolment: Option<Shown>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "recovery-codes.html")]
struct CodesPage {
    frame: Frame,
    codes: Vec<Secret>,
    onward: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Way {
    next: String,
}

#[derive(Deserialize)]
struct Code {
    #[serde(deserialize_with = "secret")]
    code: Secret,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Off {
    #[serde(deserialize_with = "secret")]
    password: Secret,
    #[serde(deserialize_with = "secret")]
    code: Secret,
}

/// On to the second step, with what the browser keeps meanwhile.
pub(super) fn second(half: &Secret, next: &str) -> Response {
    let next = guard::next(next).unwrap_or_default();
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    let mut response = see_other(&format!("{STEP}?next={next}"));
    let value = String::from_utf8_lossy(half.expose());
    response
        .headers_mut()
        .append(SET_COOKIE, guard::cookie(HALF, &value));
    response
}

async fn show_step(State(web): State<Web>, headers: HeaderMap, Query(way): Query<Way>) -> Response {
    step_form(&web, &headers, StatusCode::OK, &way.next, None).await
}

/// The form of the second step; that of the first, where nobody has taken it.
async fn step_form(
    web: &Web,
    headers: &HeaderMap,
    status: StatusCode,
    next: &str,
    error: Option<String>,
) -> Response {
    let Some(half) = guard::sent(headers, HALF) else {
        return see_other(SIGN_IN);
    };
    let looked = web.blocking(move |patrol| {
        let (user, enrolled) = patrol.half_signed_in(&half)?;
        let begun = (!enrolled).then(|| patrol.begin_second_factor(&user));
        begun.transpose()
    });
    let enrolment = match looked.await {
        Ok(enrolment) => enrolment.map(Shown::from),
        Err(error) => return over(error),
    };
    let title = match enrolment {
        Some(_) => "second-enrol-title",
        None => "second-title",
    };
    anonymous(web, headers, status, title, |frame| StepPage {
        frame,
        action: STEP,
        next: guard::next(next).unwrap_or_default().to_owned(),
        enrolment,
        error,
    })
}

/// Back to the first step.
fn over(error: Error) -> Response {
    match error {
        Error::Refused(_) => {
            let mut response = see_other_with(SIGN_IN, "notice-second-over");
            response.headers_mut().append(SET_COOKIE, guard::no_cookie(HALF));
            response
        }
        other => Problem::from(other).into_response(),
    }
}

async fn step(
    State(web): State<Web>,
    uri: Uri,
    headers: HeaderMap,
    Form(Code { code, next }): Form<Code>,
) -> Response {
    let Some(half) = guard::sent(&headers, HALF) else {
        return see_other(SIGN_IN);
    };
    let origin = origin(&headers, &uri);
    let looked = web
        .blocking(move |patrol| Ok((patrol.half_signed_in(&half)?.0, half)))
        .await;
    let (user, half) = match looked {
        Ok(looked) => looked,
        Err(error) => return over(error),
    };
    if let Some(response) = too_many(&web, &origin, &user) {
        return response;
    }
    let done = web
        .blocking(move |patrol| patrol.second_step(&half, &code, &origin))
        .await;
    match done {
        Ok((signed_in, codes)) => {
            let entered = enter(&signed_in, &next);
            let mut response = if codes.is_empty() {
                entered
            } else {
                let onward = guard::next(&next).unwrap_or(HOME).to_owned();
                let mut shown = anonymous(&web, &headers, StatusCode::OK, "recovery-title", |frame| {
                    CodesPage { frame, codes, onward }
                });
                for cookie in entered.headers().get_all(SET_COOKIE) {
                    shown.headers_mut().append(SET_COOKIE, cookie.clone());
                }
                shown
            };
            response.headers_mut().append(SET_COOKIE, guard::no_cookie(HALF));
            response
        }
        Err(Error::WrongPassword) => {
            let error = Some(text("second-wrong"));
            step_form(&web, &headers, StatusCode::UNAUTHORIZED, &next, error).await
        }
        Err(Error::Invalid(message)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            step_form(&web, &headers, status, &next, Some(message)).await
        }
        Err(error) => over(error),
    }
}

async fn show_enrolment(State(web): State<Web>, person: Person) -> Response {
    enrolment_form(&web, &person, StatusCode::OK, None).await
}

async fn enrolment_form(web: &Web, person: &Person, status: StatusCode, error: Option<String>) -> Response {
    if person.visitor.via != "password" {
        return Problem::not_found().of(person).into_response();
    }
    let user = person.user().clone();
    match web
        .blocking(move |patrol| patrol.begin_second_factor(&user))
        .await
    {
        Ok(enrolment) => {
            let template = StepPage {
                frame: person.frame("second-enrol-title", "security"),
                action: ENROL,
                next: String::new(),
                enrolment: Some(enrolment.into()),
                error,
            };
            page_with(status, &template)
        }
        Err(Error::Invalid(_)) => see_other(SECURITY),
        Err(error) => Problem::from(error).of(person).into_response(),
    }
}

fn codes_page(person: &Person, codes: Vec<Secret>) -> Response {
    page(&CodesPage {
        frame: person.frame("recovery-title", "security"),
        codes,
        onward: SECURITY.to_owned(),
    })
}

async fn enrol(State(web): State<Web>, person: Person, Form(Code { code, .. }): Form<Code>) -> Response {
    if let Some(response) = too_many(&web, &person.origin, person.user()) {
        return response;
    }
    let (caller, user) = (person.caller(), person.user().clone());
    let confirmed = web
        .blocking(move |patrol| patrol.confirm_second_factor(&caller, &user, &code))
        .await;
    match confirmed {
        Ok(codes) => codes_page(&person, codes),
        Err(Error::WrongPassword) => {
            let error = Some(text("second-wrong"));
            enrolment_form(&web, &person, StatusCode::UNAUTHORIZED, error).await
        }
        Err(error) => refused(&web, &person, error).await,
    }
}

async fn renew(State(web): State<Web>, person: Person, Form(Code { code, .. }): Form<Code>) -> Response {
    if let Some(response) = too_many(&web, &person.origin, person.user()) {
        return response;
    }
    let (caller, user) = (person.caller(), person.user().clone());
    let renewed = web
        .blocking(move |patrol| patrol.renew_recovery_codes(&caller, &user, &code))
        .await;
    match renewed {
        Ok(codes) => codes_page(&person, codes),
        Err(error) => refused(&web, &person, error).await,
    }
}

async fn turn_off(
    State(web): State<Web>,
    person: Person,
    Form(Off { password, code }): Form<Off>,
) -> Response {
    if let Some(response) = too_many(&web, &person.origin, person.user()) {
        return response;
    }
    let Some(permit) = web.app.hashing().await else {
        return Problem::busy().of(&person).into_response();
    };
    let (caller, user) = (person.caller(), person.user().clone());
    let done = web
        .blocking(move |patrol| {
            let _permit = permit;
            patrol.disable_second_factor(&caller, &user, &password, &code)
        })
        .await;
    match done {
        Ok(()) => see_other_with(SECURITY, "notice-second-off"),
        Err(error) => refused(&web, &person, error).await,
    }
}
