//! The users of the tenant: list, create, change, disable, delete.
//!
//! Nobody disables, deletes or demotes themselves: so there is always an administrator left.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use patrol_policy::types::Id;
use serde::Deserialize;

use super::super::Web;
use super::super::form::{Form, Query};
use super::super::person::Admin;
use super::super::render::{Frame, Problem, page_with, see_other_with};
use super::super::strings::text;
use super::ways_in::{account_path, user_path};
use super::{address, identifier, mistake};
use crate::service::{Error, ListedUser, NewAccount, Patrol, UserRef, UserRow, WaysIn, normalize};

const LIST: &str = "/ui/admin/users";
/// Users on a page.
const PAGE: u32 = 50;

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(LIST, get(list))
        .route("/ui/admin/users/new", get(new).post(create))
        .route("/ui/admin/users/{id}", get(show).post(change))
        .route("/ui/admin/users/{id}/delete", get(ask_delete).post(delete))
}

/// What a person sees of another's roles, and writes.
fn listed(roles: &[String]) -> String {
    roles.join(", ")
}

fn split(roles: &str) -> Vec<String> {
    roles
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|role| !role.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
}

#[derive(Template)]
#[template(path = "admin/users.html")]
struct UsersPage {
    frame: Frame,
    q: String,
    users: Vec<ListedUser>,
    tenant_method: String,
    first: Option<String>,
    next: Option<String>,
}

async fn list(
    State(web): State<Web>,
    admin: Admin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    let (q, after) = (query.q.clone(), query.after.clone());
    let (mut users, tenant_method) = web
        .blocking(move |patrol| {
            let users = patrol.find_users(tenant, &q, &after, PAGE.saturating_add(1))?;
            Ok((users, patrol.tenant(&tenant.to_string())?.auth_method))
        })
        .await?;
    let more = users.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    users.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let last = users.last().filter(|_| more);
    let next = last.map(|last| address(LIST, &[("q", &query.q), ("after", &last.row.name)]));
    let first = (!query.after.is_empty()).then(|| address(LIST, &[("q", &query.q)]));
    Ok(super::super::render::page(&UsersPage {
        frame: admin.0.frame("users-title", "users"),
        q: query.q,
        users,
        tenant_method,
        first,
        next,
    }))
}

#[derive(Default, Deserialize)]
struct NewUserForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    roles: String,
}

#[derive(Template)]
#[template(path = "admin/user-new.html")]
struct NewUserPage {
    frame: Frame,
    form: NewUserForm,
    error: Option<String>,
}

fn new_page(admin: &Admin, status: StatusCode, form: NewUserForm, error: Option<String>) -> Response {
    let frame = admin.0.frame("users-new-title", "users");
    page_with(status, &NewUserPage { frame, form, error })
}

async fn new(admin: Admin) -> Response {
    new_page(&admin, StatusCode::OK, NewUserForm::default(), None)
}

/// What a field holds, if anything.
fn filled(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

async fn create(
    State(web): State<Web>,
    admin: Admin,
    Form(form): Form<NewUserForm>,
) -> Result<Response, Problem> {
    let (caller, tenant) = (admin.caller(), admin.tenant());
    let account = NewAccount {
        name: form.name.clone(),
        email: filled(&form.email),
        roles: split(&form.roles),
    };
    let created = web
        .blocking(move |patrol| patrol.create_user(&caller, &tenant.to_string(), &account))
        .await;
    match created {
        Ok(user) => Ok(see_other_with(&user_path(user.id), "notice-user-created")),
        Err(error) => {
            let (status, message) = mistake(error)?;
            Ok(new_page(&admin, status, form, Some(message)))
        }
    }
}

/// What is to be done with a user.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Rename,
    Email,
    Roles,
    Disable,
    Enable,
}

impl Action {
    const fn notice(self) -> &'static str {
        match self {
            Self::Rename => "notice-user-renamed",
            Self::Email => "notice-user-email",
            Self::Roles => "notice-user-roles",
            Self::Disable => "notice-user-disabled",
            Self::Enable => "notice-user-enabled",
        }
    }
}

#[derive(Deserialize)]
struct ChangeForm {
    action: Action,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    roles: String,
}

#[derive(Template)]
#[template(path = "admin/user.html")]
struct UserPage {
    frame: Frame,
    user: UserRow,
    live: u32,
    tenant_method: String,
    ways: WaysIn,
    is_self: bool,
    /// What the fields hold: what was typed, where it was not accepted.
    name: String,
    email: String,
    roles: String,
    error: Option<String>,
}

impl UserPage {
    fn account(&self, provider: &str) -> String {
        account_path(self.user.id, provider)
    }
}

/// The user of this tenant.
async fn find(web: &Web, tenant: Id, user: Id) -> Result<ListedUser, Problem> {
    Ok(web.blocking(move |patrol| patrol.user_in(tenant, user)).await?)
}

async fn show(State(web): State<Web>, admin: Admin, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = identifier(&id).map_err(|problem| problem.of(&admin.0))?;
    user_page(&web, &admin, id, StatusCode::OK, None).await
}

async fn user_page(
    web: &Web,
    admin: &Admin,
    id: Id,
    status: StatusCode,
    refused: Option<(ChangeForm, String)>,
) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    let (user, ways, tenant_method) = web
        .blocking(move |patrol| {
            let user = patrol.user_in(tenant, id)?;
            let method = patrol.tenant(&tenant.to_string())?.auth_method;
            Ok((user, patrol.ways_in(id)?, method))
        })
        .await
        .map_err(|error| Problem::from(error).of(&admin.0))?;
    let ListedUser { row: user, live, .. } = user;
    let mut shown = UserPage {
        frame: admin.0.frame("user-title", "users"),
        live,
        tenant_method,
        ways,
        is_self: user.id == admin.0.id(),
        name: user.name.clone(),
        email: user.email.clone().unwrap_or_default(),
        roles: listed(&user.roles),
        user,
        error: None,
    };
    if let Some((form, message)) = refused {
        match form.action {
            Action::Rename => shown.name = form.name,
            Action::Email => shown.email = form.email,
            Action::Roles => shown.roles = form.roles,
            Action::Disable | Action::Enable => {}
        }
        shown.error = Some(message);
    }
    Ok(page_with(status, &shown))
}

/// Whether whoever does this to themselves would be no administrator any more.
fn locks_out(web: &Web, admin: &Admin, id: Id, form: &ChangeForm) -> bool {
    if id != admin.0.id() {
        return false;
    }
    match form.action {
        Action::Disable => true,
        Action::Roles => {
            let admin_roles = &web.app.config().api.admin_roles;
            !split(&form.roles).iter().any(|role| admin_roles.contains(role))
        }
        Action::Rename | Action::Email | Action::Enable => false,
    }
}

async fn change(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
    Form(form): Form<ChangeForm>,
) -> Result<Response, Problem> {
    let id = identifier(&id).map_err(|problem| problem.of(&admin.0))?;
    if locks_out(&web, &admin, id, &form) {
        let refused = Some((form, text("user-not-yourself")));
        return user_page(&web, &admin, id, StatusCode::CONFLICT, refused).await;
    }
    let (caller, tenant, action) = (admin.caller(), admin.tenant(), form.action);
    let (name, email, roles) = (form.name.clone(), filled(&form.email), split(&form.roles));
    let done = web
        .blocking(move |patrol| {
            let user = of_tenant(patrol, tenant, id)?;
            match action {
                Action::Rename => patrol.rename_user(&caller, &user, &name),
                Action::Email => patrol.set_email(&caller, &user, email.as_deref()),
                Action::Roles => patrol.set_roles(&caller, &user, &roles),
                Action::Disable => patrol.set_enabled(&caller, &user, false),
                Action::Enable => patrol.set_enabled(&caller, &user, true),
            }
        })
        .await;
    match done {
        Ok(_) => Ok(see_other_with(&user_path(id), action.notice())),
        Err(error) => {
            let (status, message) = mistake(error).map_err(|problem| problem.of(&admin.0))?;
            user_page(&web, &admin, id, status, Some((form, message))).await
        }
    }
}

/// Points at a user of this tenant. A user's tenant never changes, so it is the same when it is used.
fn of_tenant(patrol: &Patrol, tenant: Id, id: Id) -> Result<UserRef, Error> {
    Ok(UserRef::Id(patrol.user_in(tenant, id)?.row.id))
}

#[derive(Deserialize)]
struct DeleteForm {
    #[serde(default)]
    name: String,
}

#[derive(Template)]
#[template(path = "admin/user-delete.html")]
struct DeletePage {
    frame: Frame,
    user: UserRow,
    live: u32,
    error: Option<&'static str>,
}

fn delete_page(admin: &Admin, user: ListedUser, status: StatusCode, error: Option<&'static str>) -> Response {
    let page = DeletePage {
        frame: admin.0.frame("user-delete-title", "users"),
        user: user.row,
        live: user.live,
        error,
    };
    page_with(status, &page)
}

async fn ask_delete(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let of_admin = |problem: Problem| problem.of(&admin.0);
    let id = identifier(&id).map_err(of_admin)?;
    let user = find(&web, admin.tenant(), id).await.map_err(of_admin)?;
    Ok(delete_page(&admin, user, StatusCode::OK, None))
}

async fn delete(
    State(web): State<Web>,
    admin: Admin,
    Path(id): Path<String>,
    Form(form): Form<DeleteForm>,
) -> Result<Response, Problem> {
    let of_admin = |problem: Problem| problem.of(&admin.0);
    let id = identifier(&id).map_err(of_admin)?;
    let user = find(&web, admin.tenant(), id).await.map_err(of_admin)?;
    if id == admin.0.id() {
        return Ok(delete_page(
            &admin,
            user,
            StatusCode::CONFLICT,
            Some("user-not-yourself"),
        ));
    }
    if normalize(&form.name) != user.row.name {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(delete_page(&admin, user, status, Some("user-delete-other-name")));
    }
    let caller = admin.caller();
    let deleted = web
        .blocking(move |patrol| patrol.delete_user(&caller, &UserRef::Id(id)))
        .await;
    match deleted {
        Ok(_) => Ok(see_other_with(LIST, "notice-user-deleted")),
        Err(error) => Ok(Problem::from(error).of(&admin.0).into_response()),
    }
}
