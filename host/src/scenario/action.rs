//! What a step can do, and which keys go with it.

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    CreateTenant,
    CreateUser,
    SetMfa,
    SetRoles,
    SetEmail,
    SetPassword,
    Rename,
    Enable,
    Disable,
    Delete,
    Issue,
    Verify,
    OpenSession,
    CheckSession,
    CloseSession,
    SignIn,
    Rotate,
    Revoke,
    RevokeAll,
    PreviewMethod,
    SetMethod,
    List,
    Review,
    Sweep,
}

/// The keys of an action.
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// What it cannot do without.
    pub(super) needs: &'static [&'static str],
    /// What it may be told.
    pub(super) takes: &'static [&'static str],
    /// What may be expected of it beside the verdict.
    pub(super) tells: &'static [&'static str],
}

/// Keys that go with every action.
pub(super) const COMMON: &[&str] = &["do", "at", "after", "repeat", "expect"];

/// What is told of whoever was let in.
const IDENTITY: &[&str] = &["who", "email", "roles", "ends", "why"];

impl Action {
    pub(super) const ALL: &'static [Self] = &[
        Self::CreateTenant,
        Self::CreateUser,
        Self::SetMfa,
        Self::SetRoles,
        Self::SetEmail,
        Self::SetPassword,
        Self::Rename,
        Self::Enable,
        Self::Disable,
        Self::Delete,
        Self::Issue,
        Self::Verify,
        Self::OpenSession,
        Self::CheckSession,
        Self::CloseSession,
        Self::SignIn,
        Self::Rotate,
        Self::Revoke,
        Self::RevokeAll,
        Self::PreviewMethod,
        Self::SetMethod,
        Self::List,
        Self::Review,
        Self::Sweep,
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.shape().name == name)
    }

    pub(super) const fn shape(self) -> Shape {
        let (name, needs, takes, tells): (_, &[&str], &[&str], &[&str]) = match self {
            Self::CreateTenant => ("create-tenant", &["tenant"], &["method", "mfa"], &[]),
            Self::CreateUser => ("create-user", &["user"], &["tenant", "roles", "email"], &[]),
            Self::SetMfa => ("set-mfa", &["tenant", "mfa"], &[], &[]),
            Self::SetRoles => ("set-roles", &["user", "roles"], &[], &[]),
            Self::SetEmail => ("set-email", &["user", "email"], &[], &[]),
            Self::SetPassword => ("set-password", &["user"], &[], &[]),
            Self::Rename => ("rename", &["user", "name"], &[], &[]),
            Self::Enable => ("enable", &["user"], &[], &[]),
            Self::Disable => ("disable", &["user"], &[], &[]),
            Self::Delete => ("delete", &["user"], &[], &[]),
            Self::Issue => (
                "issue",
                &["user"],
                &["token", "name", "expires", "audience", "as"],
                &["ends", "why", "named"],
            ),
            Self::Verify => ("verify", &["token"], &["audience", "secret"], IDENTITY),
            Self::OpenSession => (
                "open-session",
                &["token"],
                &["session", "audience", "secret"],
                &[
                    "who",
                    "email",
                    "roles",
                    "ends",
                    "why",
                    "until",
                    "token_ends",
                    "token_why",
                ],
            ),
            Self::CheckSession => ("check-session", &["session"], &["audience", "secret"], IDENTITY),
            Self::CloseSession => ("close-session", &["session"], &["secret"], &[]),
            Self::SignIn => (
                "sign-in",
                &["user"],
                &["session", "audience", "secret"],
                &["who", "email", "roles", "ends", "why", "until"],
            ),
            Self::Rotate => (
                "rotate",
                &["token"],
                &["overlap", "as"],
                &["ends", "why", "named"],
            ),
            Self::Revoke => ("revoke", &["token"], &["as"], &[]),
            Self::RevokeAll => ("revoke-all", &["user"], &["as"], &["count"]),
            Self::PreviewMethod => (
                "preview-method",
                &["method"],
                &["user", "tenant", "as"],
                &["changes", "from", "tokens", "owners"],
            ),
            Self::SetMethod => (
                "set-method",
                &["method"],
                &["user", "tenant", "as"],
                &["changes", "from"],
            ),
            Self::List => ("list", &["user"], &["as"], &["live", "listed"]),
            Self::Review => (
                "review",
                &["token"],
                &[],
                &["state", "ends", "why", "last_used", "hash", "named"],
            ),
            Self::Sweep => ("sweep", &[], &[], &["ended", "secrets", "forgotten", "sessions"]),
        };
        Shape {
            name,
            needs,
            takes,
            tells,
        }
    }

    /// Every key that may stand in a step that does this.
    pub(super) fn keys(self) -> Vec<&'static str> {
        let shape = self.shape();
        [COMMON, shape.needs, shape.takes, shape.tells].concat()
    }
}

/// What steps do, take and tell, for people: a line for each action.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "Steps, with what they need, [what they may be told], and (what may be expected beside the verdict):\n",
    );
    for action in Action::ALL {
        let shape = action.shape();
        text.push_str(&format!("  {:<14}", shape.name));
        for needed in shape.needs {
            text.push_str(&format!(" {needed}"));
        }
        for (open, keys, close) in [("[", shape.takes, "]"), ("(", shape.tells, ")")] {
            if !keys.is_empty() {
                text.push_str(&format!(" {open}{}{close}", keys.join(" ")));
            }
        }
        text.push('\n');
    }
    text.push_str(
        "All take at or after, repeat, and expect: allowed, a refusal's reason such as expired or limit-reached, \
         fault, outage, exists, not-found, invalid or wrong-password.",
    );
    text
}
