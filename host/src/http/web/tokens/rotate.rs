//! *Rotate*: a new secret for a token, while the one before may go on for a time.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use patrol_policy::types::{DAY, Duration, HOUR, RefusalReason};
use serde::Deserialize;

use super::super::form::Form;
use super::super::person::Person;
use super::super::render::{Frame, Problem, page_with};
use super::super::strings::text;
use super::super::{Web, guard};
use super::once::{Forms, Turn};
use super::{Shown, ended_already, find, in_words, no_form, rules, secret_page, used_page};

#[derive(Template)]
#[template(path = "tokens-rotate.html")]
struct RotatePage {
    frame: Frame,
    token: Shown,
    once: String,
    generation: u32,
    overlaps: Vec<Overlap>,
    error: Option<String>,
}

/// For how long the secret before may go on.
struct Overlap {
    value: String,
    label: String,
    is_chosen: bool,
}

#[derive(Deserialize)]
pub(super) struct Filled {
    #[serde(default)]
    once: String,
    /// Which secret is to be replaced: a form that is sent again does not replace its own.
    #[serde(default)]
    generation: u32,
    #[serde(default)]
    overlap: String,
}

/// What there is to choose, none longer than the rules allow.
fn choices(longest: Duration) -> Vec<Duration> {
    let mut choices: Vec<_> = [0, HOUR, DAY]
        .into_iter()
        .filter(|choice| *choice <= longest)
        .collect();
    if !choices.contains(&longest) {
        choices.push(longest);
    }
    choices
}

fn label(overlap: Duration) -> String {
    match overlap {
        0 => text("tokens-overlap-none"),
        other => in_words(other),
    }
}

async fn form(
    web: &Web,
    person: &Person,
    id: &str,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, Problem> {
    let Some(token) = find(web, person, id).await? else {
        return Ok(ended_already());
    };
    let tenant = person.user().tenant;
    let rules = web.blocking(move |patrol| rules(patrol, tenant)).await;
    let rules = rules.map_err(|error| Problem::from(error).of(person))?;
    let overlaps = choices(rules.max_overlap).into_iter().enumerate();
    let overlaps = overlaps.map(|(place, overlap)| Overlap {
        value: overlap.to_string(),
        label: label(overlap),
        is_chosen: place == 0,
    });
    let template = RotatePage {
        frame: person.frame("tokens-rotate-title", "tokens"),
        once: guard::random(),
        generation: token.generation,
        token,
        overlaps: overlaps.collect(),
        error,
    };
    Ok(page_with(status, &template))
}

pub(super) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    form(&web, &person, &id, StatusCode::OK, None).await
}

pub(super) async fn rotate(
    State(web): State<Web>,
    Extension(forms): Extension<Arc<Forms>>,
    person: Person,
    Path(id): Path<String>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let Some(token) = find(&web, &person, &id).await? else {
        return Ok(ended_already());
    };
    let claim = match forms.turn(person.visitor.session, &filled.once) {
        Some(Turn::Now(claim)) => claim,
        Some(Turn::Over(made)) => return Ok(used_page(&person, made)),
        None => return Ok(no_form(&person)),
    };
    if filled.generation != token.generation {
        // In another tab, or by this form before the server started anew.
        return Ok(used_page(&person, Some((token.id, token.name))));
    }
    let Ok(overlap) = filled.overlap.parse::<Duration>() else {
        let error = Some(text("tokens-error-overlap"));
        return form(&web, &person, &id, StatusCode::UNPROCESSABLE_ENTITY, error).await;
    };
    let caller = person.caller();
    let made = web
        .blocking(move |patrol| {
            let made = patrol.rotate(&caller, token.id, overlap)?;
            claim.made(token.id, &made.row.name);
            Ok(made)
        })
        .await;
    let error = match made {
        Ok(made) => return Ok(secret_page(&person, "tokens-rotated-title", made)),
        Err(error) => error,
    };
    if error.refusal() == Some(RefusalReason::OverlapTooLong) {
        let error = Some(text("tokens-error-overlap"));
        return form(&web, &person, &id, StatusCode::UNPROCESSABLE_ENTITY, error).await;
    }
    if matches!(find(&web, &person, &id).await, Ok(None)) {
        return Ok(ended_already());
    }
    Ok(Problem::from(error).of(&person).into_response())
}
