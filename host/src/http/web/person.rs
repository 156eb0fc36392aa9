//! Whoever looks at a page.

use axum::extract::FromRequestParts;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use patrol_policy::Secret;
use patrol_policy::types::Id;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::api::origin;
use super::render::{Frame, Problem};
use super::zone::Zone;
use super::{Web, guard};
use crate::service::{Caller, Error, Origin, UserRow, WebVisitor};

/// Where to sign in.
pub(super) const SIGN_IN: &str = "/ui/sign-in";

/// Somebody who is signed in, as of now (R4). Others are sent to sign in, and then back.
pub(super) struct Person {
    pub(super) visitor: WebVisitor,
    pub(super) origin: Origin,
    pub(super) zone: Zone,
    pub(super) is_admin: bool,
    /// The cookie, which the tokens of forms are computed from.
    pub(super) cookie: Secret,
    notice: Option<&'static str>,
}

impl Person {
    pub(super) const fn user(&self) -> &UserRow {
        &self.visitor.user
    }

    pub(super) const fn id(&self) -> Id {
        self.visitor.user.id
    }

    /// As the service and the audit trail see them, acting for themselves.
    pub(super) fn caller(&self) -> Caller {
        self.visitor.caller(self.origin.clone())
    }

    /// What surrounds a page of theirs. `section` is the entry of the navigation that it belongs to.
    pub(super) fn frame(&self, title: &'static str, section: &'static str) -> Frame {
        Frame::of(self, title, section)
    }

    pub(super) const fn notice(&self) -> Option<&'static str> {
        self.notice
    }
}

impl FromRequestParts<Web> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        let Some(cookie) = guard::sent(&parts.headers, guard::SESSION) else {
            return Err(sign_in_first(parts));
        };
        // One read by the identifier, and once a minute a small write: not worth a thread of its own.
        let visitor = match tokio::task::block_in_place(|| web.patrol().web_session(&cookie)) {
            Ok(visitor) => visitor,
            Err(Error::Refused(_)) => return Err(sign_in_first(parts)),
            Err(error) => return Err(Problem::from(error).into_response()),
        };
        let config = web.app.config();
        let is_admin = visitor
            .user
            .roles
            .iter()
            .any(|role| config.api.admin_roles.contains(role));
        Ok(Self {
            visitor,
            origin: origin(&parts.headers, &parts.uri),
            zone: zone(web, &parts.headers),
            is_admin,
            cookie,
            notice: super::render::notice(&parts.headers),
        })
    }
}

/// Somebody whose roles are those of an administrator, now (R4).
pub(super) struct Admin(pub(super) Person);

impl Admin {
    /// As the service and the audit trail see them, acting for others.
    pub(super) fn caller(&self) -> Caller {
        self.0.visitor.administrator(self.0.origin.clone())
    }

    /// The tenant that they administer: their own.
    pub(super) const fn tenant(&self) -> Id {
        self.0.visitor.user.tenant
    }
}

impl FromRequestParts<Web> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        let person = Person::from_request_parts(parts, web).await?;
        if person.is_admin {
            Ok(Self(person))
        } else {
            Err(Problem::forbidden().of(&person).into_response())
        }
    }
}

pub(super) fn zone(web: &Web, headers: &HeaderMap) -> Zone {
    Zone::of(headers, web.patrol().now())
}

/// To the sign-in form, and then back to the page; not to what a form was sent to, which would have to be sent again.
fn sign_in_first(parts: &Parts) -> Response {
    let target = back(&parts.method, &parts.uri).unwrap_or_default();
    let next = utf8_percent_encode(&target, NON_ALPHANUMERIC);
    let query = if target.is_empty() {
        String::new()
    } else {
        format!("?next={next}")
    };
    let mut response = Redirect::to(&format!("{SIGN_IN}{query}")).into_response();
    forget_session(&parts.headers, &mut response);
    response
}

/// Has a browser forget a session that it sent and that is not good. One that it did not send stays: the browser holds it
/// back where another site has sent it here, and that site is not to sign anybody out.
pub(super) fn forget_session(sent: &HeaderMap, response: &mut Response) {
    if guard::sends(sent, guard::SESSION) {
        response
            .headers_mut()
            .append(SET_COOKIE, guard::no_cookie(guard::SESSION));
    }
}

fn back(method: &Method, uri: &Uri) -> Option<String> {
    let text = match *method {
        Method::GET => uri.path_and_query()?.as_str(),
        // The page that the form is on is, for all forms here, at the same path.
        _ => uri.path(),
    };
    guard::next(text).map(ToOwned::to_owned)
}
