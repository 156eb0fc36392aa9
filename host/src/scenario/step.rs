//! A step, as it stands in the file and as it is run.

use std::collections::BTreeMap;

use patrol_policy::types::{Duration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::action::Action;

/// A step, ready to be run.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    /// The line in the file, from 1.
    pub(super) line: usize,
    pub(super) at: Timestamp,
    /// `allowed`, or why not.
    pub(super) expect: String,
    /// What else is expected, by key; instants in the words of [`super::report::moment`].
    pub(super) tells: BTreeMap<&'static str, Value>,
    pub(super) told: Told,
    pub(super) actor: Actor,
    pub(super) presented: Presented,
    /// When a token is to expire.
    pub(super) expires: Timestamp,
    /// How long the secret before is to work on.
    pub(super) overlap: Duration,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Actor {
    #[default]
    Administrator,
    System,
    User(String),
    Token(String),
}

/// What is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Presented {
    /// The latest text handed out.
    #[default]
    Latest,
    /// The one before the last rotation.
    Previous,
    /// The right identifier with another secret, and a checksum that fits.
    Wrong,
    /// The right text with one character changed.
    Mistyped,
    /// Something else.
    Malformed,
}

impl Presented {
    pub(super) const NAMES: [(&str, Self); 5] = [
        ("latest", Self::Latest),
        ("previous", Self::Previous),
        ("wrong", Self::Wrong),
        ("mistyped", Self::Mistyped),
        ("malformed", Self::Malformed),
    ];
}

/// All that a step can be told or expect, as written. Which keys go with which action, [`Action::shape`] says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Told {
    #[serde(rename = "do")]
    pub(super) action: String,
    pub(super) at: Option<String>,
    pub(super) after: Option<String>,
    pub(super) repeat: Option<u32>,
    pub(super) expect: Option<String>,
    // What it is about.
    pub(super) tenant: Option<String>,
    pub(super) user: Option<String>,
    pub(super) token: Option<String>,
    pub(super) session: Option<String>,
    #[serde(rename = "as")]
    pub(super) actor: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) name: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) overlap: Option<String>,
    pub(super) method: Option<String>,
    pub(super) mfa: Option<bool>,
    // Given to some actions, expected of others.
    pub(super) roles: Option<Vec<String>>,
    pub(super) email: Option<String>,
    // What is expected.
    who: Option<String>,
    named: Option<String>,
    pub(super) ends: Option<String>,
    why: Option<String>,
    pub(super) until: Option<String>,
    pub(super) token_ends: Option<String>,
    token_why: Option<String>,
    pub(super) last_used: Option<String>,
    state: Option<String>,
    hash: Option<String>,
    live: Option<u64>,
    listed: Option<Vec<String>>,
    count: Option<u64>,
    changes: Option<bool>,
    from: Option<String>,
    tokens: Option<u64>,
    owners: Option<u64>,
    ended: Option<u64>,
    secrets: Option<u64>,
    forgotten: Option<u64>,
    sessions: Option<u64>,
}

impl Told {
    /// This step the `number`th time, from 1: `{n}` in names becomes the number.
    pub(super) fn numbered(&self, number: u32) -> Self {
        let mut told = self.clone();
        let number = number.to_string();
        for text in [
            &mut told.tenant,
            &mut told.user,
            &mut told.token,
            &mut told.session,
            &mut told.actor,
            &mut told.name,
            &mut told.email,
            &mut told.named,
        ]
        .into_iter()
        .flatten()
        {
            *text = text.replace("{n}", &number);
        }
        told
    }

    /// What is expected of an action beside the verdict, where it is no instant.
    pub(super) fn expected(&self, action: Action) -> BTreeMap<&'static str, Value> {
        let sorted = |names: &Option<Vec<String>>| {
            names.clone().map(|mut names| {
                names.sort_unstable();
                Value::from(names)
            })
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let number = |number: Option<u64>| number.map(Value::from);
        let all = [
            ("who", text(&self.who)),
            ("email", text(&self.email)),
            ("roles", sorted(&self.roles)),
            ("named", text(&self.named)),
            ("why", text(&self.why)),
            ("token_why", text(&self.token_why)),
            ("state", text(&self.state)),
            ("hash", text(&self.hash)),
            ("live", number(self.live)),
            ("listed", sorted(&self.listed)),
            ("count", number(self.count)),
            ("changes", self.changes.map(Value::from)),
            ("from", text(&self.from)),
            ("tokens", number(self.tokens)),
            ("owners", number(self.owners)),
            ("ended", number(self.ended)),
            ("secrets", number(self.secrets)),
            ("forgotten", number(self.forgotten)),
            ("sessions", number(self.sessions)),
        ];
        let tells = action.shape().tells;
        all.into_iter()
            .filter(|(key, _)| tells.contains(key))
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    /// The instants that are expected, as written.
    pub(super) fn expected_instants(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("ends", self.ends.as_deref()),
            ("until", self.until.as_deref()),
            ("token_ends", self.token_ends.as_deref()),
            ("last_used", self.last_used.as_deref()),
        ]
    }

    /// What it is about, in a few words.
    pub(super) fn subject(&self) -> Option<&str> {
        let names = [&self.session, &self.token, &self.user, &self.tenant];
        names.into_iter().flatten().next().map(String::as_str)
    }
}
