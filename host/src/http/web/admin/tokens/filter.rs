//! What the list is asked for, as it stands in the page's address.

use jiff::civil::Date;
use patrol_policy::types::{Cause, Id, Timestamp};
use serde::Deserialize;

use super::super::super::strings::text;
use super::super::super::zone::Zone;
use super::{LIST, cause_key};
use crate::http::listing::Listing;
use crate::service::{Error, Patrol, ReviewCursor, ReviewQuery, TokenSort, TokenStanding};

/// The causes by which ended tokens are filtered.
const CAUSES: [Cause; 5] = [
    Cause::ExpirationDate,
    Cause::Idle,
    Cause::Revoked,
    Cause::AuthMethodChanged,
    Cause::OwnerDeleted,
];

/// The columns that the list can be sorted by: what addresses call them, their titles, and the order.
const SORTS: [(&str, &str, TokenSort); 4] = [
    ("name", "tokens-name", TokenSort::Name),
    ("created", "tokens-created", TokenSort::Created),
    ("used", "tokens-last-used", TokenSort::Used),
    ("ends", "tokens-ends", TokenSort::Ends),
];

/// The fields of the form, and where the list begins. An empty one asks for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    pub(super) owner: String,
    pub(super) name: String,
    /// `all`, `ended`, or a cause; else live ones.
    pub(super) state: String,
    /// `never`.
    pub(super) used: String,
    /// Days in the viewer's zone.
    pub(super) unused: String,
    pub(super) since: String,
    pub(super) ends: String,
    pub(super) sort: String,
    pub(super) order: String,
    pub(super) after: String,
}

/// An entry of a field with a choice.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: String,
    pub(super) chosen: bool,
}

/// A column's head.
pub(super) struct Column {
    pub(super) label: String,
    pub(super) link: String,
    /// As `aria-sort` says it.
    pub(super) sorted: Option<&'static str>,
}

/// A condition in force, and the address without it.
pub(super) struct Active {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) without: String,
}

impl Filter {
    /// What the service is asked; or the text that says what is wrong with it.
    pub(super) fn query(
        &self,
        patrol: &Patrol,
        tenant: Id,
        zone: &Zone,
    ) -> Result<Result<ReviewQuery, &'static str>, Error> {
        let owner = match self.owner.trim() {
            "" => None,
            name => match patrol.user_of(tenant, name) {
                Ok(user) => Some(user.id),
                Err(Error::NotFound { .. }) => return Ok(Err("review-error-owner")),
                Err(error) => return Err(error),
            },
        };
        let (Ok(unused_since), Ok(used_since), Ok(ends_before)) = (
            day(&self.unused, zone),
            day(&self.since, zone),
            day(&self.ends, zone),
        ) else {
            return Ok(Err("review-error-date"));
        };
        let after = match self.after.as_str() {
            "" => None,
            token => {
                let place = self.listing(tenant).open(token);
                let Some(cursor) = place.and_then(|place| ReviewCursor::from_bytes(&place)) else {
                    return Ok(Err("review-error-place"));
                };
                Some(cursor)
            }
        };
        let name = self.name.trim();
        let (sort, descending) = self.order();
        Ok(Ok(ReviewQuery {
            tenant,
            owner,
            standing: self.standing(),
            unused_since,
            used_since,
            never_used: self.used == "never",
            ends_before,
            name: (!name.is_empty()).then(|| name.to_owned()),
            sort,
            descending,
            after,
            limit: 0,
        }))
    }

    fn standing(&self) -> TokenStanding {
        match (self.state.as_str(), Cause::from_name(&self.state)) {
            (_, Some(cause)) => TokenStanding::EndedBy(cause),
            ("all", _) => TokenStanding::Any,
            ("ended", _) => TokenStanding::Ended,
            _ => TokenStanding::Live,
        }
    }

    /// The newest first, unless something else is asked for.
    fn order(&self) -> (TokenSort, bool) {
        let known = SORTS.iter().find(|(name, ..)| *name == self.sort);
        match known {
            Some((_, _, sort)) => (*sort, self.order == "desc"),
            None => (TokenSort::Created, true),
        }
    }

    fn listing(&self, tenant: Id) -> Listing {
        Listing::new("review", &[tenant.as_u128()]).filtered(&self.pairs())
    }

    /// The query of its first page's address.
    pub(super) fn pairs(&self) -> String {
        let all = [
            ("owner", &self.owner),
            ("name", &self.name),
            ("state", &self.state),
            ("used", &self.used),
            ("unused", &self.unused),
            ("since", &self.since),
            ("ends", &self.ends),
            ("sort", &self.sort),
            ("order", &self.order),
        ];
        let asked: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        serde_html_form::to_string(asked).unwrap_or_default()
    }

    /// A page with this query, and these fields more.
    pub(super) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let more = serde_html_form::to_string(more).unwrap_or_default();
        let both = [self.pairs(), more];
        let both: Vec<_> = both
            .iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        if both.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", both.join("&"))
        }
    }

    /// Its first page.
    pub(super) fn link(&self) -> String {
        self.address(LIST, &[])
    }

    /// The page that begins here.
    pub(super) fn next(&self, tenant: Id, cursor: &ReviewCursor) -> String {
        let token = self.listing(tenant).seal(&cursor.to_bytes());
        self.address(LIST, &[("after", &token)])
    }

    pub(super) fn states(&self) -> Vec<Choice> {
        let mut all = vec![
            ("", text("review-state-live")),
            ("all", text("review-state-all")),
            ("ended", text("review-state-ended")),
        ];
        all.extend(CAUSES.map(|cause| (cause.as_str(), text(cause_key(cause)))));
        choices(all, &self.state)
    }

    pub(super) fn uses(&self) -> Vec<Choice> {
        let all = vec![
            ("", text("review-used-any")),
            ("never", text("review-used-never")),
        ];
        choices(all, &self.used)
    }

    /// The heads of the columns that can be sorted by. Another click turns the order round.
    pub(super) fn columns(&self) -> Vec<Column> {
        let (sort, descending) = self.order();
        let column = |(name, title, by): (&str, &'static str, TokenSort)| {
            let sorted = (by == sort).then_some(if descending { "descending" } else { "ascending" });
            let turned = Self {
                sort: name.to_owned(),
                order: if sorted == Some("ascending") {
                    "desc"
                } else {
                    "asc"
                }
                .to_owned(),
                ..self.clone()
            };
            Column {
                label: text(title),
                link: turned.link(),
                sorted,
            }
        };
        SORTS.map(column).into()
    }

    /// The conditions in force, so that nobody takes a part for the whole. The owner's name is known to the one who asks.
    pub(super) fn active(&self, owner: Option<&str>) -> Vec<Active> {
        let without = |change: fn(&mut Self)| {
            let mut filter = self.clone();
            change(&mut filter);
            filter.link()
        };
        let chosen = |choices: Vec<Choice>| {
            let chosen = choices.into_iter().find(|choice| choice.chosen);
            chosen.map_or_else(String::new, |choice| choice.label)
        };
        let mut all = vec![];
        let mut push = |field: &str, label, value: String, without| {
            if !field.is_empty() {
                all.push(Active {
                    label: text(label),
                    value,
                    without,
                });
            }
        };
        let owner = owner.unwrap_or(&self.owner).to_owned();
        push(&self.owner, "review-owner", owner, without(|it| it.owner.clear()));
        push(
            &self.name,
            "tokens-name",
            self.name.clone(),
            without(|it| it.name.clear()),
        );
        push(
            &self.state,
            "tokens-state",
            chosen(self.states()),
            without(|it| it.state.clear()),
        );
        push(
            &self.used,
            "review-used",
            chosen(self.uses()),
            without(|it| it.used.clear()),
        );
        push(
            &self.unused,
            "review-unused",
            self.unused.clone(),
            without(|it| it.unused.clear()),
        );
        push(
            &self.since,
            "review-since",
            self.since.clone(),
            without(|it| it.since.clear()),
        );
        push(
            &self.ends,
            "review-ends",
            self.ends.clone(),
            without(|it| it.ends.clear()),
        );
        all
    }
}

fn choices(all: Vec<(&'static str, String)>, value: &str) -> Vec<Choice> {
    all.into_iter()
        .map(|(known, label)| Choice {
            value: known,
            label,
            chosen: known == value,
        })
        .collect()
}

/// When a day begins, where the viewer is; none where no day is named.
fn day(text: &str, zone: &Zone) -> Result<Option<Timestamp>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: Date = text.parse().map_err(drop)?;
    let begins = zone.zone().to_timestamp(day.at(0, 0, 0, 0)).map_err(drop)?;
    Timestamp::try_from(begins.as_millisecond())
        .map(Some)
        .map_err(drop)
}
