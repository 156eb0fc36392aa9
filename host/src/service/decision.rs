//! What the host does about each question besides putting it: it checks a yes against the records, and can say what
//! was asked and what the yes comes to in a form that may be kept.
//!
//! The check of a yes stands here, apart from what follows from one ([`Patrol::put`](super::Patrol::put)'s
//! `conclude`), since a replay checks as the live call did and nothing follows.

use patrol_policy::token::Kind;
use patrol_policy::types::{
    ClosedSession, Description, Grant, Issued, ListedToken, MethodPreview, OpenedSession, Outlook,
    SessionGrant, Swept,
};

use super::call::Call;
use super::exchange::{Asked, Yes};
use super::question::{
    Authenticate, ChangeMethod, CheckSession, CloseSession, Describe, Foresee, Issue, ListTokens,
    OpenSession, PasswordSignIn, PreviewMethod, Question, Revoke, RevokeAll, Rotate, Sweep,
};
use super::{Error, floor};
use crate::policy::{Fault, FloorRule, Violation};

/// A question that is a decision about somebody's access.
pub(super) trait Decision: Question {
    /// Checks a yes against what the host read, and what the policy wrote.
    ///
    /// # Errors
    /// A fault where the floor forbids it, or an outage where the records cannot be had.
    fn check(&self, call: &mut Call, yes: &Self::Yes) -> Result<(), Error>;

    /// What was asked; none where it is not recorded. [`exchange`](super::exchange) says why not.
    fn asked(&self, call: &mut Call) -> Option<Asked>;

    /// What a yes says.
    fn said(yes: &Self::Yes) -> Yes;
}

impl Decision for Authenticate<'_> {
    fn check(&self, call: &mut Call, grant: &Grant) -> Result<(), Error> {
        let now = call.now;
        let allowed = (grant.token, grant.owner, grant.tenant);
        let state = call.seen_token(grant.token)?.ok_or_else(invented)?.state;
        let mac = call.mac_of(self.presented, &state.token)?;
        floor::check_token(self.presented, mac, allowed, &state, self.audience, now)?;
        Ok(floor::check_moved(call.moved.as_ref(), grant.token)?)
    }

    fn asked(&self, call: &mut Call) -> Option<Asked> {
        Some(Asked::Authenticate(
            call.presented(Kind::Pat, self.presented),
            self.audience,
        ))
    }

    fn said(grant: &Grant) -> Yes {
        Yes::Granted(*grant)
    }
}

impl Decision for OpenSession<'_> {
    fn check(&self, call: &mut Call, opened: &OpenedSession) -> Result<(), Error> {
        let verified = Authenticate {
            presented: self.presented,
            audience: self.audience,
        };
        verified.check(call, &opened.grant)?;
        Ok(floor::check_opened(call.opened, &call.closed, opened)?)
    }

    fn asked(&self, call: &mut Call) -> Option<Asked> {
        Some(Asked::OpenSession(
            call.presented(Kind::Pat, self.presented),
            self.audience,
        ))
    }

    fn said(opened: &OpenedSession) -> Yes {
        Yes::Opened {
            session: opened.session,
            grant: opened.grant,
            ends: opened.ends,
            expires: opened.expires,
        }
    }
}

impl Decision for CheckSession<'_> {
    fn check(&self, call: &mut Call, grant: &SessionGrant) -> Result<(), Error> {
        let allowed = (grant.session, grant.token, grant.owner, grant.tenant);
        let seen = call.session.as_ref().ok_or_else(invented)?;
        let audience = Some(self.audience);
        Ok(floor::check_session(
            self.presented,
            allowed,
            &seen.state,
            audience,
            call.now,
        )?)
    }

    fn asked(&self, call: &mut Call) -> Option<Asked> {
        Some(Asked::CheckSession(
            call.presented(Kind::Session, self.presented),
            self.audience,
        ))
    }

    fn said(grant: &SessionGrant) -> Yes {
        Yes::Checked(*grant)
    }
}

impl Decision for CloseSession<'_> {
    fn check(&self, call: &mut Call, closed: &ClosedSession) -> Result<(), Error> {
        let allowed = (closed.session, closed.token, closed.owner, closed.tenant);
        let seen = call.session.as_ref().ok_or_else(invented)?;
        floor::check_session(self.presented, allowed, &seen.state, None, call.now)?;
        Ok(floor::check_closed(&call.closed, closed)?)
    }

    fn asked(&self, call: &mut Call) -> Option<Asked> {
        Some(Asked::CloseSession(call.presented(Kind::Session, self.presented)))
    }

    fn said(closed: &ClosedSession) -> Yes {
        Yes::Closed(*closed)
    }
}

impl Decision for Issue<'_> {
    fn check(&self, call: &mut Call, issued: &Issued) -> Result<(), Error> {
        check_minted(call, issued)
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::Issue(self.request.clone(), self.actor))
    }

    fn said(issued: &Issued) -> Yes {
        minted(issued)
    }
}

impl Decision for Rotate {
    fn check(&self, call: &mut Call, issued: &Issued) -> Result<(), Error> {
        check_minted(call, issued)
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::Rotate(self.token, self.overlap, self.actor))
    }

    fn said(issued: &Issued) -> Yes {
        minted(issued)
    }
}

impl Decision for Revoke {
    fn check(&self, call: &mut Call, (): &()) -> Result<(), Error> {
        call.token = None;
        let seen = call.seen_token(self.token)?;
        match seen.filter(|seen| seen.state.token.ended.is_some()) {
            Some(_) => Ok(()),
            None => Err(lied("it said that it revoked a token that lives")),
        }
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::Revoke(self.token, self.actor))
    }

    fn said((): &()) -> Yes {
        Yes::Done
    }
}

impl Decision for RevokeAll {
    fn check(&self, _: &mut Call, _: &u32) -> Result<(), Error> {
        // Whether tokens are left alive is for the policy to say once more: `Patrol::revoke_all` asks it.
        Ok(())
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::RevokeAll(self.owner, self.actor))
    }

    fn said(count: &u32) -> Yes {
        Yes::Ended(*count)
    }
}

impl Decision for ListTokens {
    fn check(&self, call: &mut Call, listed: &Vec<ListedToken>) -> Result<(), Error> {
        let records = call.records()?;
        for one in listed {
            // A policy may leave tokens out, but not add any of somebody else's.
            let state = records.token_state(one.token)?;
            if state.is_none_or(|state| state.token.owner != self.owner) {
                return Err(lied("it listed a token that is not the owner's"));
            }
        }
        Ok(())
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::ListTokens(self.owner, self.actor))
    }

    fn said(listed: &Vec<ListedToken>) -> Yes {
        Yes::Listed(listed.clone())
    }
}

impl Decision for ChangeMethod<'_> {
    fn check(&self, call: &mut Call, changes: &bool) -> Result<(), Error> {
        let replaced = call.replaced.is_some();
        let set = call.records()?.auth_method(self.scope)?;
        if set.as_deref() != Some(self.method) || *changes != replaced {
            return Err(lied("it said that it set a method that is not set"));
        }
        Ok(())
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::ChangeMethod(
            self.scope,
            self.method.to_owned(),
            self.actor,
        ))
    }

    fn said(changes: &bool) -> Yes {
        Yes::Changed(*changes)
    }
}

impl Decision for PreviewMethod<'_> {
    fn check(&self, call: &mut Call, preview: &MethodPreview) -> Result<(), Error> {
        let set = call.records()?.auth_method(self.scope)?;
        match set.filter(|set| preview.changes == (set != self.method)) {
            Some(_) => Ok(()),
            None => Err(lied("it foresaw a change of a method that is set")),
        }
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::PreviewMethod(
            self.scope,
            self.method.to_owned(),
            self.actor,
        ))
    }

    fn said(preview: &MethodPreview) -> Yes {
        Yes::Previewed(*preview)
    }
}

impl Decision for PasswordSignIn {
    fn check(&self, call: &mut Call, (): &()) -> Result<(), Error> {
        let owner = call.records()?.owner(self.owner)?.ok_or_else(invented)?;
        Ok(floor::check_password_owner(&owner)?)
    }

    fn asked(&self, _: &mut Call) -> Option<Asked> {
        Some(Asked::PasswordSignIn(self.owner))
    }

    fn said((): &()) -> Yes {
        Yes::Done
    }
}

/// For questions that decide about nobody's access.
macro_rules! decides_nothing {
    ($($question:ty => $yes:ty),*) => {
        $(impl Decision for $question {
            fn check(&self, _: &mut Call, _: &$yes) -> Result<(), Error> {
                Ok(())
            }

            fn asked(&self, _: &mut Call) -> Option<Asked> {
                None
            }

            fn said(_: &$yes) -> Yes {
                Yes::Done
            }
        })*
    };
}

decides_nothing!(Foresee<'_> => Vec<Outlook>, Sweep => Swept, Describe => Description);

/// The answer names the token whose secret was stored, and what was stored is read back: the policy's word is taken for
/// nothing else.
fn check_minted(call: &mut Call, issued: &Issued) -> Result<(), Error> {
    call.token = None;
    let seen = match call.minted {
        Some(minted) if minted == issued.token => call.seen_token(minted)?,
        _ => None,
    };
    let seen = seen.ok_or_else(|| lied("it answered with a token that it did not store"))?;
    let state = seen.state;
    let mac = call.mac_of(issued.secret.expose(), &state.token)?;
    Ok(floor::check_minted(&issued.secret, &state, mac)?)
}

fn minted(issued: &Issued) -> Yes {
    Yes::Minted {
        token: issued.token,
        ends: issued.ends,
    }
}

pub(super) fn invented() -> Error {
    let what = "something that it did not look up or that is not there";
    let rule = FloorRule::Identity;
    Fault::Floor(Violation { rule, what }).into()
}

fn lied(how: &str) -> Error {
    Fault::Contract(how.to_owned()).into()
}
