//! *Create Token*: a name and an expiration date, and then the secret.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use patrol_policy::types::{DAY, Duration, Parameters, RefusalReason, Timestamp};
use serde::Deserialize;

use super::super::form::Form;
use super::super::person::Person;
use super::super::render::{Frame, Problem, page_with};
use super::super::strings::{text, text_with};
use super::super::{Web, guard};
use super::once::{Forms, Turn};
use super::{no_form, rules, secret_page, used_page};
use crate::service::Error;
use crate::time::{parse_instant, rfc3339};

/// Lifetimes to choose from, in days, as far as the rules allow them.
const PRESETS: [u64; 3] = [7, 30, 90];
/// The one that is chosen where nobody has.
const PRESET: &str = "30";
/// As long as the rules allow.
const MAXIMUM: &str = "max";
/// The end of a day that is named.
const DATE: &str = "date";

#[derive(Template)]
#[template(path = "tokens-new.html")]
struct NewPage {
    frame: Frame,
    once: String,
    filled: Filled,
    presets: Vec<Preset>,
    maximum: Timestamp,
    first_day: String,
    last_day: Option<String>,
    name_length: u32,
    used: usize,
    limit: u32,
    name_error: Option<String>,
    date_error: Option<String>,
    form_error: Option<String>,
}

/// A lifetime to choose.
struct Preset {
    days: String,
    /// The last day on which the token works.
    day: String,
    /// Its last moment.
    ends: Timestamp,
}

#[derive(Default, Deserialize)]
pub(super) struct Filled {
    #[serde(default)]
    once: String,
    #[serde(default)]
    name: String,
    /// One of the presets, or that a day is named, as if this were missing.
    #[serde(default)]
    lifetime: String,
    #[serde(default)]
    expires: String,
}

impl NewPage {
    fn is(&self, lifetime: &str) -> bool {
        self.filled.lifetime == lifetime
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.limit).is_ok_and(|limit| self.used >= limit)
    }
}

/// The day, in UTC, in which a moment lies, as fields for dates have it.
fn day(at: Timestamp) -> String {
    rfc3339(at).chars().take(10).collect()
}

/// The last moment of that day.
fn end_of_day(at: Timestamp) -> Timestamp {
    let since = at.checked_rem(DAY).unwrap_or_default();
    at.saturating_sub(since).saturating_add(DAY.saturating_sub(1))
}

/// The last day that ends within this time.
fn last_day(now: Timestamp, lifetime: Duration) -> Option<String> {
    let last = now.saturating_add(lifetime).checked_sub(DAY)?;
    (end_of_day(last) >= now).then(|| day(last))
}

fn presets(now: Timestamp, rules: &Parameters) -> Vec<Preset> {
    let fits = PRESETS.into_iter().filter_map(|days| {
        let ends = end_of_day(now.saturating_add(days.saturating_mul(DAY)));
        let fits = ends < now.saturating_add(rules.max_lifetime);
        fits.then(|| Preset {
            days: days.to_string(),
            day: day(ends),
            ends,
        })
    });
    fits.collect()
}

/// When a token that is asked for so is to end.
fn expires(filled: &Filled, now: Timestamp, rules: &Parameters) -> Option<Timestamp> {
    match filled.lifetime.as_str() {
        MAXIMUM => Some(now.saturating_add(rules.max_lifetime)),
        "" | DATE => {
            let date = filled.expires.trim();
            // A day and nothing else: it stands for its end in UTC, as everywhere.
            parse_instant(date).ok().filter(|_| date.len() == 10)
        }
        days => presets(now, rules)
            .into_iter()
            .find(|preset| preset.days == days)
            .map(|preset| preset.ends.saturating_add(1)),
    }
}

#[derive(Default)]
struct Errors {
    name: Option<String>,
    date: Option<String>,
    form: Option<String>,
}

async fn form(
    web: &Web,
    person: &Person,
    status: StatusCode,
    mut filled: Filled,
    errors: Errors,
) -> Response {
    let (caller, owner, tenant) = (person.caller(), person.id(), person.user().tenant);
    let asked = web
        .blocking(move |patrol| {
            let used = patrol.list_tokens(&caller, owner)?.len();
            Ok((used, rules(patrol, tenant)?))
        })
        .await;
    let (used, rules) = match asked {
        Ok(asked) => asked,
        Err(error) => return Problem::from(error).of(person).into_response(),
    };
    let now = person.zone.now();
    let presets = presets(now, &rules);
    if filled.lifetime.is_empty() && filled.expires.is_empty() {
        let usual = presets.iter().any(|preset| preset.days == PRESET);
        filled.lifetime = if usual { PRESET } else { MAXIMUM }.to_owned();
    } else if filled.lifetime.is_empty() {
        filled.lifetime = DATE.to_owned();
    }
    let once = std::mem::take(&mut filled.once);
    let template = NewPage {
        frame: person.frame("tokens-new-title", "tokens"),
        once: if once.is_empty() { guard::random() } else { once },
        filled,
        presets,
        maximum: now.saturating_add(rules.max_lifetime),
        first_day: day(now),
        last_day: last_day(now, rules.max_lifetime),
        name_length: rules.name_max_length,
        used,
        limit: rules.tokens_per_owner,
        name_error: errors.name,
        date_error: errors.date,
        form_error: errors.form,
    };
    page_with(status, &template)
}

pub(super) async fn show(State(web): State<Web>, person: Person) -> Response {
    form(
        &web,
        &person,
        StatusCode::OK,
        Filled::default(),
        Errors::default(),
    )
    .await
}

pub(super) async fn create(
    State(web): State<Web>,
    Extension(forms): Extension<Arc<Forms>>,
    person: Person,
    Form(filled): Form<Filled>,
) -> Response {
    let claim = match forms.turn(person.visitor.session, &filled.once) {
        Some(Turn::Now(claim)) => claim,
        Some(Turn::Over(made)) => return used_page(&person, made),
        None => return no_form(&person),
    };
    let (caller, owner, tenant) = (person.caller(), person.id(), person.user().tenant);
    let (config, now) = (web.app.config(), person.zone.now());
    let done = web
        .blocking(move |patrol| {
            let rules = rules(patrol, tenant)?;
            let Some(expires) = expires(&filled, now, &rules) else {
                return Ok((None, filled, rules));
            };
            let made = patrol.issue(&caller, owner, &filled.name, expires, &config.http.audience);
            if let Ok(made) = &made {
                // Even where nobody waits for the answer any more.
                claim.made(made.row.state.token.id, &made.row.name);
            }
            Ok((Some(made), filled, rules))
        })
        .await;
    let (made, filled, rules) = match done {
        Ok(done) => done,
        Err(error) => return Problem::from(error).of(&person).into_response(),
    };
    let (status, errors) = match made {
        Some(Ok(made)) => return secret_page(&person, "tokens-created-title", made),
        Some(Err(error)) => match refusal(&error, &rules, now) {
            Some(said) => said,
            None => return Problem::from(error).of(&person).into_response(),
        },
        None => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Errors {
                date: Some(text("tokens-error-date")),
                ..Errors::default()
            },
        ),
    };
    form(&web, &person, status, filled, errors).await
}

/// A refusal, beside the field that it is about; none where the form cannot help.
fn refusal(error: &Error, rules: &Parameters, now: Timestamp) -> Option<(StatusCode, Errors)> {
    const WRONG: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    let mut errors = Errors::default();
    let status = match error.refusal()? {
        RefusalReason::NameTaken => {
            errors.name = Some(text("tokens-error-name-taken"));
            StatusCode::CONFLICT
        }
        RefusalReason::NameInvalid => {
            let most = rules.name_max_length.to_string();
            errors.name = Some(text_with("tokens-error-name", &[("count", &most)]));
            WRONG
        }
        RefusalReason::ExpirationPast => {
            errors.date = Some(text("tokens-error-past"));
            WRONG
        }
        RefusalReason::ExpirationTooFar => {
            let last = last_day(now, rules.max_lifetime);
            errors.date = Some(last.map_or_else(
                || text("tokens-error-too-far-for-days"),
                |last| text_with("tokens-error-too-far", &[("date", &last)]),
            ));
            WRONG
        }
        RefusalReason::LimitReached => {
            let most = rules.tokens_per_owner.to_string();
            errors.form = Some(text_with("tokens-error-limit", &[("count", &most)]));
            StatusCode::CONFLICT
        }
        _ => return None,
    };
    Some((status, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15 08:00 UTC.
    const NOW: Timestamp = 1_800_000_000_000;

    #[test]
    fn the_last_day_is_one_whose_end_is_not_too_far() {
        assert_eq!(last_day(NOW, 10 * DAY).as_deref(), Some("2027-01-24"));
        assert_eq!(last_day(NOW, DAY).as_deref(), Some("2027-01-15"));
        assert_eq!(last_day(NOW, DAY / 3), None);
        assert_eq!(day(NOW), "2027-01-15");
    }

    #[test]
    fn a_lifetime_ends_with_a_day() {
        let rules = Parameters::default();
        let ends = |lifetime: &str, expires: &str| {
            let filled = Filled {
                lifetime: lifetime.to_owned(),
                expires: expires.to_owned(),
                ..Filled::default()
            };
            super::expires(&filled, NOW, &rules).map(rfc3339)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(ends("7", "2027-06-01"), some("2027-01-23T00:00:00.000Z"));
        assert_eq!(ends("date", "2027-06-01"), some("2027-06-02T00:00:00.000Z"));
        assert_eq!(ends("", "2027-06-01"), some("2027-06-02T00:00:00.000Z"));
        assert_eq!(ends("max", ""), some("2028-01-16T08:00:00.000Z"));
        for (lifetime, expires) in [
            ("", ""),
            ("date", "soon"),
            ("8", ""),
            ("date", "2027-06-01T00:00:00Z"),
        ] {
            assert_eq!(ends(lifetime, expires), None, "{lifetime} {expires}");
        }
    }
}
