//! What a policy can be asked: one type for each function of `wit/engine.wit` and `wit/about.wit`, with the arguments of
//! a call.
//!
//! A question says three things about itself: whose policy is to answer it, what the answer may write, and how it is
//! put. So there is one place where policies are chosen, called and believed, [`Patrol::put`](super::Patrol::put),
//! whatever is asked.

use patrol_policy::Host;
use patrol_policy::token::{self, Kind};
use patrol_policy::types::{
    Actor, Audience, ClosedSession, Description, Duration, Grant, Id, IssueRequest, Issued, ListedToken,
    MethodPreview, OpenedSession, Outlook, Scope, SessionGrant, Swept, TokenState,
};

use super::call::Operation;
use crate::policy::{Answer, Policy};

/// Whose policy is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The one for everybody.
    Everybody,
    /// A tenant's.
    Tenant(Id),
    /// That of a user's tenant.
    User(Id),
    /// That of the tenant of a token's owner.
    Token(Id),
    /// That of the tenant of the owner of the token that opened a session.
    Session(Id),
}

impl Whose {
    fn presented(kind: Kind, presented: &[u8]) -> Self {
        match (kind, token::parse(kind, presented)) {
            (Kind::Pat, Ok(text)) => Self::Token(text.id()),
            (Kind::Session, Ok(text)) => Self::Session(text.id()),
            // No token: any policy will do to say so. The other kinds are the host's own.
            _ => Self::Everybody,
        }
    }

    fn scope(scope: Scope) -> Self {
        match scope {
            Scope::Tenant(tenant) => Self::Tenant(tenant),
            Scope::Owner(user) => Self::User(user),
        }
    }
}

/// One question.
pub(super) trait Question {
    /// What a yes says.
    type Yes;
    /// Whether the answer is given within a transaction.
    const IN_TRANSACTION: bool;

    /// Whose policy is to answer it.
    fn whose(&self) -> Whose;
    /// What the answer may write.
    fn operation(&self) -> Operation;
    /// Puts it.
    fn put<H: Host + Send + 'static>(&self, policy: &Policy<H>, host: H) -> Answer<H, Self::Yes>;
}

/// Defines a question: its arguments, what a yes says, whether it runs in a transaction, whose policy answers, what it
/// may write, and how it is put.
macro_rules! question {
    ($(#[$about:meta])* $name:ident $(<$life:lifetime>)? { $($field:ident: $type:ty),* $(,)? } -> $yes:ty,
        $transaction:literal, $whose:expr, $operation:expr, $put:expr) => {
        $(#[$about])*
        pub(super) struct $name $(<$life>)? {
            $(pub(super) $field: $type),*
        }

        impl $(<$life>)? Question for $name $(<$life>)? {
            type Yes = $yes;
            const IN_TRANSACTION: bool = $transaction;

            fn whose(&self) -> Whose {
                let whose: fn(&Self) -> Whose = $whose;
                whose(self)
            }

            fn operation(&self) -> Operation {
                let operation: fn(&Self) -> Operation = $operation;
                operation(self)
            }

            fn put<H: Host + Send + 'static>(&self, policy: &Policy<H>, host: H) -> Answer<H, $yes> {
                let put: fn(&Self, &Policy<H>, H) -> Answer<H, $yes> = $put;
                put(self, policy, host)
            }
        }
    };
}

question!(
    /// Verifies a token.
    Authenticate<'a> { presented: &'a [u8], audience: Audience } -> Grant, false,
    |asked| Whose::presented(Kind::Pat, asked.presented),
    |_| Operation::Authenticate,
    |asked, policy, host| policy.authenticate(host, asked.presented, asked.audience)
);

question!(
    /// Opens a session.
    OpenSession<'a> { presented: &'a [u8], audience: Audience } -> OpenedSession, true,
    |asked| Whose::presented(Kind::Pat, asked.presented),
    |_| Operation::OpenSession,
    |asked, policy, host| policy.open_session(host, asked.presented, asked.audience)
);

question!(
    /// Verifies a session.
    CheckSession<'a> { presented: &'a [u8], audience: Audience } -> SessionGrant, false,
    |asked| Whose::presented(Kind::Session, asked.presented),
    |_| Operation::CheckSession,
    |asked, policy, host| policy.check_session(host, asked.presented, asked.audience)
);

question!(
    /// Ends a session.
    CloseSession<'a> { presented: &'a [u8] } -> ClosedSession, true,
    |asked| Whose::presented(Kind::Session, asked.presented),
    |_| Operation::CloseSession,
    |asked, policy, host| policy.close_session(host, asked.presented)
);

question!(
    /// Creates a token.
    Issue<'a> { request: &'a IssueRequest, actor: Actor } -> Issued, true,
    |asked| Whose::User(asked.request.owner),
    |asked| Operation::Issue {
        owner: asked.request.owner,
        expires: asked.request.expires,
        audience: asked.request.audience,
    },
    |asked, policy, host| policy.issue(host, asked.request, asked.actor)
);

question!(
    /// Gives a token a new secret.
    Rotate { token: Id, overlap: Duration, actor: Actor } -> Issued, true,
    |asked| Whose::Token(asked.token),
    |asked| Operation::Rotate { token: asked.token, overlap: asked.overlap },
    |asked, policy, host| policy.rotate(host, asked.token, asked.overlap, asked.actor)
);

question!(
    /// Revokes a token.
    Revoke { token: Id, actor: Actor } -> (), true,
    |asked| Whose::Token(asked.token),
    |asked| Operation::Revoke(asked.token),
    |asked, policy, host| policy.revoke(host, asked.token, asked.actor)
);

question!(
    /// Revokes all tokens of a user.
    RevokeAll { owner: Id, actor: Actor } -> u32, true,
    |asked| Whose::User(asked.owner),
    |asked| Operation::RevokeAll(asked.owner),
    |asked, policy, host| policy.revoke_all(host, asked.owner, asked.actor)
);

question!(
    /// Lists the live tokens of a user.
    ListTokens { owner: Id, actor: Actor } -> Vec<ListedToken>, false,
    |asked| Whose::User(asked.owner),
    |_| Operation::Look,
    |asked, policy, host| policy.list_tokens(host, asked.owner, asked.actor)
);

question!(
    /// Changes the authentication method of a scope.
    ChangeMethod<'a> { scope: Scope, method: &'a str, actor: Actor } -> bool, true,
    |asked| Whose::scope(asked.scope),
    |asked| Operation::ChangeMethod(asked.scope, asked.method.to_owned()),
    |asked, policy, host| policy.change_auth_method(host, asked.scope, asked.method, asked.actor)
);

question!(
    /// Says what [`ChangeMethod`] would do.
    PreviewMethod<'a> { scope: Scope, method: &'a str, actor: Actor } -> MethodPreview, false,
    |asked| Whose::scope(asked.scope),
    |_| Operation::Look,
    |asked, policy, host| policy.preview_auth_method(host, asked.scope, asked.method, asked.actor)
);

question!(
    /// Whether a user may sign in with a password.
    PasswordSignIn { owner: Id } -> (), false,
    |asked| Whose::User(asked.owner),
    |_| Operation::Look,
    |asked, policy, host| policy.decide_password_sign_in(host, asked.owner)
);

question!(
    /// When tokens will end.
    Foresee<'a> { whose: Whose, states: &'a [TokenState] } -> Vec<Outlook>, false,
    |asked| asked.whose,
    |_| Operation::Look,
    |asked, policy, host| policy.foresee(host, asked.states)
);

question!(
    /// One round of housekeeping.
    Sweep { whose: Whose, limit: u32 } -> Swept, true,
    |asked| asked.whose,
    |_| Operation::Sweep,
    |asked, policy, host| policy.sweep(host, asked.limit)
);

question!(
    /// What a policy says of itself.
    Describe { whose: Whose } -> Description, false,
    |asked| asked.whose,
    |_| Operation::Look,
    |_, policy, host| policy.describe(host)
);
