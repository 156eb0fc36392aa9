//! The rules, written a second time: naive, over plain vectors, without any of the engine's code. What a trace finds
//! the two to disagree on is a mistake in one of them.
//!
//! A secret is known here by its generation only, a token and a session by when they were made.

use patrol_policy::types::{Cause, End, Parameters, RefusalReason, Timestamp};

use crate::trace::{Op, Rows, Secret, SessionRow, Target, TokenRow, USERS, Verdict, Who};

#[derive(Clone, Debug)]
struct Scoped {
    method: Option<u8>,
    changes: u64,
    changed: Timestamp,
}

const UNTOUCHED: Scoped = Scoped {
    method: None,
    changes: 0,
    changed: 0,
};

#[derive(Clone, Debug)]
struct User {
    tenant: usize,
    auth: Scoped,
    enabled: bool,
    deleted: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Token {
    row: TokenRow,
    born: (u64, u64),
    forgotten: bool,
}

#[derive(Clone, Debug)]
struct Session {
    row: SessionRow,
    forgotten: bool,
}

/// What should be stored, and what should be answered.
#[derive(Clone, Debug)]
pub struct Model {
    /// The time.
    pub now: Timestamp,
    p: Parameters,
    tenants: Vec<Scoped>,
    multi_factor: Vec<bool>,
    users: Vec<User>,
    tokens: Vec<Token>,
    sessions: Vec<Session>,
}

type Faults = Vec<(bool, RefusalReason)>;

fn no<T>(reason: RefusalReason) -> Result<T, Verdict> {
    Err(Verdict::Refused { reason, token: None })
}

/// The first reason that holds.
fn judge(token: Option<usize>, faults: &[(bool, RefusalReason)]) -> Result<(), Verdict> {
    match faults.iter().find(|(holds, _)| *holds) {
        Some((_, reason)) => Err(Verdict::Refused {
            reason: *reason,
            token,
        }),
        None => Ok(()),
    }
}

fn earliest(ends: &[(Timestamp, Cause)]) -> End {
    let (at, cause) = *ends.iter().min_by_key(|(at, _)| *at).expect("at least one");
    End { at, cause }
}

fn reason(cause: Cause) -> RefusalReason {
    let name = match cause {
        Cause::ExpirationDate => "expired",
        Cause::SessionLifetime => "session-expired",
        same => same.as_str(),
    };
    RefusalReason::from_name(name).expect("a reason of the same name")
}

impl Model {
    /// The world of [`USERS`], at this time.
    #[must_use]
    pub fn new(now: Timestamp, p: Parameters) -> Self {
        let user = |tenant: &usize| User {
            tenant: *tenant,
            auth: UNTOUCHED,
            enabled: true,
            deleted: None,
        };
        Self {
            now,
            p,
            tenants: vec![
                Scoped {
                    method: Some(0),
                    ..UNTOUCHED
                };
                2
            ],
            multi_factor: vec![false; 2],
            users: USERS.iter().map(user).collect(),
            tokens: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// Every instant ahead at which something ends.
    #[must_use]
    pub fn moments(&self) -> Vec<Timestamp> {
        let mut moments = Vec::new();
        for t in self.tokens.iter().filter(|t| !t.forgotten) {
            moments.extend([
                t.row.expires,
                t.row.last_used.unwrap_or(t.row.created) + self.p.idle_after,
            ]);
            moments.extend(t.row.previous);
            moments.extend(t.row.ended.map(|end| end.at + self.p.retention));
        }
        for s in self.sessions.iter().filter(|s| !s.forgotten) {
            moments.extend([
                s.row.opened + self.p.session_lifetime,
                s.row.last_used + self.p.session_idle,
            ]);
        }
        moments.retain(|moment| *moment > self.now);
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// Whether something was made at this very time. The order of two things made at once is nobody's promise.
    #[must_use]
    pub fn made_now(&self) -> bool {
        self.tokens.iter().any(|t| t.row.created == self.now)
            || self.sessions.iter().any(|s| s.row.opened == self.now)
    }

    /// What should be stored.
    #[must_use]
    pub fn rows(&self) -> Rows {
        Rows {
            tokens: self
                .tokens
                .iter()
                .filter(|t| !t.forgotten)
                .map(|t| t.row.clone())
                .collect(),
            sessions: self
                .sessions
                .iter()
                .filter(|s| !s.forgotten)
                .map(|s| s.row.clone())
                .collect(),
        }
    }

    /// What should be answered; changes what should be stored.
    pub fn apply(&mut self, op: &Op) -> Verdict {
        self.try_apply(op).unwrap_or_else(|refused| refused)
    }

    fn try_apply(&mut self, op: &Op) -> Result<Verdict, Verdict> {
        use RefusalReason as R;
        let now = self.now;
        Ok(match *op {
            Op::Issue {
                owner,
                name,
                lifetime,
                audience,
                who,
            } => {
                let allowed = matches!(who, Who::Administrator) || who == Who::User(owner);
                judge(None, &[(!allowed, R::NotPermitted)])?;
                self.present_owner(owner)?;
                let name = crate::trace::NAMES[name].trim().to_owned();
                let longest = self.p.name_max_length as usize;
                let bad =
                    name.is_empty() || name.chars().count() > longest || name.contains(char::is_control);
                let expires = now.saturating_add_signed(lifetime);
                let live: Vec<_> = self
                    .tokens
                    .iter()
                    .filter(|t| t.row.owner == owner && self.live(t))
                    .collect();
                let faults = [
                    (bad, R::NameInvalid),
                    (expires <= now, R::ExpirationPast),
                    (
                        expires - now.min(expires) > self.p.max_lifetime,
                        R::ExpirationTooFar,
                    ),
                    (live.len() >= self.p.tokens_per_owner as usize, R::LimitReached),
                    (live.iter().any(|t| t.row.name == name), R::NameTaken),
                ];
                judge(None, &faults)?;
                let user = &self.users[owner];
                let token = Token {
                    row: TokenRow {
                        index: self.tokens.len(),
                        owner,
                        name,
                        audience,
                        generation: 0,
                        erased: false,
                        previous: None,
                        created: now,
                        expires,
                        last_used: None,
                        ended: None,
                    },
                    born: (user.auth.changes, self.tenants[user.tenant].changes),
                    forgotten: false,
                };
                let ends = self.end(&token);
                self.tokens.push(token);
                Verdict::Issued {
                    token: self.tokens.len() - 1,
                    ends,
                }
            }
            Op::Present {
                token,
                secret,
                audience,
            } => {
                let (_, ends) = self.present(token, secret, audience)?;
                Verdict::Granted { token, ends }
            }
            Op::SignIn {
                token,
                secret,
                audience,
            } => {
                let (generation, token_ends) = self.present(token, secret, audience)?;
                if self.p.sessions_per_token > 0 {
                    let of_token = |s: &&Session| s.row.token == token && self.session_faults(s).is_ok();
                    let mut open: Vec<_> = self
                        .sessions
                        .iter()
                        .filter(of_token)
                        .map(|s| s.row.clone())
                        .collect();
                    open.sort_by_key(|row| row.opened);
                    while open.len() >= self.p.sessions_per_token as usize {
                        let oldest = open.remove(0).index;
                        self.sessions[oldest].row.ended = Some(End {
                            at: now,
                            cause: Cause::SessionReplaced,
                        });
                    }
                }
                let index = self.sessions.len();
                let row = SessionRow {
                    index,
                    token,
                    generation,
                    opened: now,
                    last_used: now,
                    ended: None,
                };
                self.sessions.push(Session {
                    row,
                    forgotten: false,
                });
                let until = self.overlap_end(token, generation);
                Verdict::Opened {
                    session: index,
                    token,
                    token_ends,
                    ends: self.session_end(index, token_ends),
                    expires: (now + self.p.session_lifetime)
                        .min(self.tokens[token].row.expires)
                        .min(until),
                }
            }
            Op::UseSession {
                session,
                secret,
                audience,
            } => {
                let (token, bound) = self.check(session, secret)?;
                judge(
                    Some(token),
                    &[(self.tokens[token].row.audience != audience, R::WrongAudience)],
                )?;
                let row = &mut self.sessions[session].row;
                let before = row.last_used;
                row.last_used = now;
                let ends = self.session_end(session, bound);
                self.sessions[session].row.last_used = before.max(now);
                Verdict::Checked { session, token, ends }
            }
            Op::CloseSession { session, secret } => {
                let (token, _) = self.check(session, secret)?;
                self.sessions[session].row.ended = Some(End {
                    at: now,
                    cause: Cause::SessionClosed,
                });
                Verdict::Closed { session, token }
            }
            Op::Revoke { token, who } => {
                let t = self.token(token).ok_or(no::<()>(R::NoSuchToken).unwrap_err())?;
                let allowed = match who {
                    Who::Administrator | Who::System => true,
                    Who::User(user) => user == t.row.owner,
                    Who::Token(by) => by == token,
                };
                let mut faults = vec![(!allowed, R::NotPermitted)];
                faults.extend(
                    self.token_faults(t)
                        .into_iter()
                        .filter(|(_, r)| *r != R::OwnerDisabled),
                );
                judge(Some(token), &faults)?;
                self.mark(
                    token,
                    End {
                        at: now,
                        cause: Cause::Revoked,
                    },
                );
                Verdict::Revoked { token }
            }
            Op::RevokeAll { owner, who } => {
                let allowed = matches!(who, Who::Administrator | Who::System) || who == Who::User(owner);
                judge(
                    None,
                    &[
                        (!allowed, R::NotPermitted),
                        (owner >= self.users.len(), R::NoSuchOwner),
                    ],
                )?;
                let of_owner = |t: &&Token| t.row.owner == owner && self.live(t);
                let live: Vec<_> = self.tokens.iter().filter(of_owner).map(|t| t.row.index).collect();
                for token in &live {
                    self.mark(
                        *token,
                        End {
                            at: now,
                            cause: Cause::Revoked,
                        },
                    );
                }
                Verdict::RevokedAll { count: live.len() }
            }
            Op::Rotate { token, overlap, who } => {
                judge(
                    None,
                    &[(matches!(who, Who::Token(_) | Who::System), R::NotPermitted)],
                )?;
                let t = self.token(token).ok_or(no::<()>(R::NoSuchToken).unwrap_err())?;
                let mut faults = vec![
                    (
                        who != Who::Administrator && who != Who::User(t.row.owner),
                        R::NotPermitted,
                    ),
                    (overlap > self.p.max_overlap, R::OverlapTooLong),
                ];
                faults.extend(self.token_faults(t));
                judge(Some(token), &faults)?;
                let ends = self.end(t);
                let row = &mut self.tokens[token].row;
                row.generation += 1;
                row.previous = (overlap > 0).then_some(now + overlap);
                Verdict::Rotated { token, ends }
            }
            Op::ChangeMethod { target, method, who } => {
                let changes = self.method_changes(target, method, who)?;
                if changes {
                    let scoped = match target {
                        Target::Tenant(tenant) => &mut self.tenants[tenant],
                        Target::User(user) => &mut self.users[user].auth,
                    };
                    *scoped = Scoped {
                        method: Some(method),
                        changes: scoped.changes + 1,
                        changed: now,
                    };
                }
                Verdict::MethodChanged { changes }
            }
            Op::PreviewMethod { target, method, who } => {
                let changes = self.method_changes(target, method, who)?;
                let within = |t: &&Token| match target {
                    Target::Tenant(tenant) => self.users[t.row.owner].tenant == tenant,
                    Target::User(user) => t.row.owner == user,
                };
                let gone = self
                    .tokens
                    .iter()
                    .filter(|t| changes && self.live(t))
                    .filter(within);
                let mut owners: Vec<_> = gone.map(|t| t.row.owner).collect();
                let tokens = owners.len();
                owners.sort_unstable();
                owners.dedup();
                Verdict::MethodPreviewed {
                    changes,
                    tokens,
                    owners: owners.len(),
                }
            }
            Op::Password { owner } => {
                self.present_owner(owner)?;
                judge(
                    None,
                    &[(self.multi_factor[self.users[owner].tenant], R::PatRequired)],
                )?;
                Verdict::Done
            }
            Op::List { owner, who } => {
                let allowed = who == Who::Administrator || who == Who::User(owner);
                judge(
                    None,
                    &[
                        (!allowed, R::NotPermitted),
                        (owner >= self.users.len(), R::NoSuchOwner),
                    ],
                )?;
                let mut live: Vec<_> = self
                    .tokens
                    .iter()
                    .filter(|t| t.row.owner == owner && self.live(t))
                    .collect();
                live.sort_by_key(|t| t.row.created);
                Verdict::Listed(live.into_iter().map(|t| (t.row.index, self.end(t))).collect())
            }
            Op::Foresee => {
                let known = self.tokens.iter().filter(|t| !t.forgotten);
                let works = |t: &Token| self.token_faults(t).iter().all(|(holds, _)| !holds);
                Verdict::Foreseen(known.map(|t| (t.row.index, works(t), self.foreseen(t))).collect())
            }
            Op::Sweep => {
                let lapsed = |t: &&Token| !t.forgotten && t.row.ended.is_none() && !self.live(t);
                let ends: Vec<_> = self
                    .tokens
                    .iter()
                    .filter(lapsed)
                    .map(|t| (t.row.index, self.foreseen(t)))
                    .collect();
                for (token, end) in &ends {
                    self.mark(*token, *end);
                }
                let mut swept = [ends.len(), 0, 0, 0];
                for t in self.tokens.iter_mut().filter(|t| !t.forgotten) {
                    if t.row.previous.is_some_and(|until| until <= now) {
                        t.row.previous = None;
                        swept[1] += 1;
                    }
                    if t.row.ended.is_some_and(|end| end.at + self.p.retention <= now) {
                        t.forgotten = true;
                        swept[2] += 1;
                    }
                }
                for s in self.sessions.iter_mut().filter(|s| !s.forgotten) {
                    s.forgotten = self.tokens[s.row.token].forgotten;
                    let over = s.row.opened + self.p.session_lifetime <= now
                        || s.row.last_used + self.p.session_idle <= now;
                    if !s.forgotten && (s.row.ended.is_some() || over) {
                        s.forgotten = true;
                        swept[3] += 1;
                    }
                }
                Verdict::Swept(swept)
            }
            Op::Enable { owner, on } => self.administer(owner, |user| user.enabled = on),
            Op::Delete { owner } => self.administer(owner, |user| user.deleted = user.deleted.or(Some(now))),
            Op::MultiFactor { tenant, on } => {
                self.multi_factor[tenant] = on;
                Verdict::Done
            }
            Op::Rename { .. } | Op::Advance { .. } | Op::StepBack { .. } | Op::Approach { .. } => {
                Verdict::Done
            }
        })
    }

    fn administer(&mut self, owner: usize, change: impl FnOnce(&mut User)) -> Verdict {
        self.users.get_mut(owner).map(change);
        Verdict::Done
    }

    fn token(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index).filter(|t| !t.forgotten)
    }

    fn mark(&mut self, token: usize, end: End) {
        let row = &mut self.tokens[token].row;
        (row.ended, row.erased, row.previous) = (Some(end), true, None);
    }

    fn present_owner(&self, owner: usize) -> Result<(), Verdict> {
        let Some(user) = self.users.get(owner) else {
            return no(RefusalReason::NoSuchOwner);
        };
        let deleted = (user.deleted.is_some(), RefusalReason::OwnerDeleted);
        judge(None, &[deleted, (!user.enabled, RefusalReason::OwnerDisabled)])
    }

    fn method_changes(&self, target: Target, method: u8, who: Who) -> Result<bool, Verdict> {
        let allowed = matches!(who, Who::Administrator | Who::System);
        judge(None, &[(!allowed, RefusalReason::NotPermitted)])?;
        let tenants = |tenant: usize| self.tenants.get(tenant).and_then(|scoped| scoped.method);
        let set = match target {
            Target::Tenant(tenant) => tenants(tenant),
            Target::User(user) => self
                .users
                .get(user)
                .and_then(|u| u.auth.method.or(tenants(u.tenant))),
        };
        set.map_or(no(RefusalReason::NoSuchOwner), |set| Ok(set != method))
    }

    /// Everything that can be wrong with a token, whoever presents what.
    fn token_faults(&self, t: &Token) -> Faults {
        let user = &self.users[t.row.owner];
        let end = self.end(t);
        let mut faults: Faults = t.row.ended.iter().map(|end| (true, reason(end.cause))).collect();
        faults.extend([
            (user.deleted.is_some(), RefusalReason::OwnerDeleted),
            (!user.enabled, RefusalReason::OwnerDisabled),
            (
                t.born != (user.auth.changes, self.tenants[user.tenant].changes),
                RefusalReason::AuthMethodChanged,
            ),
            (self.now >= end.at, reason(end.cause)),
        ]);
        faults
    }

    fn live(&self, t: &Token) -> bool {
        let faults = self.token_faults(t);
        !t.forgotten
            && faults
                .iter()
                .all(|(holds, r)| !holds || *r == RefusalReason::OwnerDisabled)
    }

    fn end_if_used(&self, t: &Token, used: Timestamp) -> End {
        earliest(&[
            (t.row.expires, Cause::ExpirationDate),
            (used + self.p.idle_after, Cause::Idle),
        ])
    }

    fn end(&self, t: &Token) -> End {
        self.end_if_used(t, t.row.last_used.unwrap_or(t.row.created))
    }

    fn foreseen(&self, t: &Token) -> End {
        let user = &self.users[t.row.owner];
        let tenant = &self.tenants[user.tenant];
        let mut ends: Vec<_> = user.deleted.iter().map(|at| (*at, Cause::OwnerDeleted)).collect();
        for (born, scoped) in [(t.born.0, &user.auth), (t.born.1, tenant)] {
            if born != scoped.changes {
                ends.push((scoped.changed, Cause::AuthMethodChanged));
            }
        }
        let end = self.end(t);
        ends.push((end.at, end.cause));
        t.row.ended.unwrap_or_else(|| earliest(&ends))
    }

    /// Until when a generation's secret works as far as rotation is concerned; the end of time for the current.
    fn overlap_end(&self, token: usize, generation: u32) -> Timestamp {
        let row = &self.tokens[token].row;
        match row.generation - generation {
            0 => Timestamp::MAX,
            1 => row.previous.unwrap_or(0),
            _ => 0,
        }
    }

    fn present(&mut self, token: usize, secret: Secret, audience: u32) -> Result<(u32, End), Verdict> {
        text(secret)?;
        let Some(t) = self.token(token) else {
            return no(RefusalReason::Unknown);
        };
        let back = match secret {
            Secret::Right => Some(0),
            Secret::Previous => Some(1),
            Secret::Older => Some(2),
            _ => None,
        };
        let generation = back.and_then(|back| t.row.generation.checked_sub(back));
        let matches = generation
            .is_some_and(|g| g == t.row.generation || g + 1 == t.row.generation && t.row.previous.is_some());
        let until = generation.map_or(0, |generation| self.overlap_end(token, generation));
        let mut faults: Faults = t.row.ended.iter().map(|end| (true, reason(end.cause))).collect();
        faults.extend([
            (!matches, RefusalReason::WrongSecret),
            (self.now >= until, RefusalReason::Rotated),
        ]);
        faults.extend(self.token_faults(t));
        faults.push((t.row.audience != audience, RefusalReason::WrongAudience));
        judge(Some(token), &faults)?;

        let end = self.end_if_used(t, self.now);
        self.tokens[token].row.last_used = t.row.last_used.max(Some(self.now));
        Ok((
            generation.expect("a match"),
            earliest(&[(end.at, end.cause), (until, Cause::Rotated)]),
        ))
    }

    /// What is wrong with a session, whoever presents it; else when it ends with its token.
    fn session_faults(&self, s: &Session) -> Result<End, Verdict> {
        let t = &self.tokens[s.row.token];
        let until = self.overlap_end(s.row.token, s.row.generation);
        let own = self.own_end(&s.row);
        let mut faults: Faults = s.row.ended.iter().map(|end| (true, reason(end.cause))).collect();
        faults.extend(self.token_faults(t));
        faults.extend([
            (self.now >= until, RefusalReason::Rotated),
            (self.now >= own.at, reason(own.cause)),
        ]);
        faults.push((s.forgotten, RefusalReason::Unknown));
        judge(Some(s.row.token), &faults)?;
        let end = self.end(t);
        Ok(earliest(&[(end.at, end.cause), (until, Cause::Rotated)]))
    }

    fn own_end(&self, row: &SessionRow) -> End {
        earliest(&[
            (row.opened + self.p.session_lifetime, Cause::SessionLifetime),
            (row.last_used + self.p.session_idle, Cause::SessionIdle),
        ])
    }

    fn session_end(&self, session: usize, token: End) -> End {
        let own = self.own_end(&self.sessions[session].row);
        earliest(&[(own.at, own.cause), (token.at, token.cause)])
    }

    fn check(&self, session: usize, secret: Secret) -> Result<(usize, End), Verdict> {
        text(secret)?;
        let Some(s) = self.sessions.get(session).filter(|s| !s.forgotten) else {
            return no(RefusalReason::Unknown);
        };
        judge(
            Some(s.row.token),
            &[(secret != Secret::Right, RefusalReason::WrongSecret)],
        )?;
        Ok((s.row.token, self.session_faults(s)?))
    }
}

/// What is wrong with the text itself.
fn text(secret: Secret) -> Result<(), Verdict> {
    match secret {
        Secret::Malformed => no(RefusalReason::Malformed),
        Secret::Mistyped => no(RefusalReason::BadChecksum),
        _ => Ok(()),
    }
}
