//! Running a trace: numbers to identifiers and back.

use patrol_policy::token::{self, Kind};
use patrol_policy::types::{
    Actor, ActorRole, Denial, Id, IssueRequest, Refusal, RefusalReason, Scope, TokenState,
};

use super::{
    Change, METHODS, Model, NAMES, Op, Rows, START, Secret, SessionRow, Subject, Target, TokenRow, Trace,
    USERS, Verdict, Who, tenant_id, user_id,
};

/// Runs a trace on a subject and on the model; on agreement, the verdicts.
///
/// # Errors
/// Where the two disagree: after which operation, and how.
pub fn run(trace: &Trace, subject: &mut impl Subject) -> Result<Vec<Verdict>, String> {
    let mut verdicts = Vec::new();
    let mut model = Model::new(START, trace.parameters());
    let mut player = Player {
        subject,
        now: START,
        tokens: Vec::new(),
        sessions: Vec::new(),
    };
    for (number, op) in trace.ops.iter().enumerate() {
        let now = time_after(op, &model);
        (model.now, player.now) = (now, now);
        player.subject.set_now(now);
        let (expected, verdict) = (model.apply(op), player.apply(op));
        if expected != verdict {
            return Err(format!(
                "operation {number}, {op:?} at {now}\n the rules: {expected:?}\nthe engine: {verdict:?}"
            ));
        }
        let (expected, actual) = (model.rows(), player.rows());
        if expected != actual {
            return Err(format!(
                "rows after operation {number}, {op:?} at {now}\n{}",
                difference(&expected, &actual)
            ));
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn difference(expected: &Rows, actual: &Rows) -> String {
    let lines = |rows: &Rows| -> Vec<String> {
        let tokens = rows.tokens.iter().map(|row| format!("{row:?}"));
        tokens
            .chain(rows.sessions.iter().map(|row| format!("{row:?}")))
            .collect()
    };
    let (expected, actual) = (lines(expected), lines(actual));
    let missing = expected
        .iter()
        .filter(|line| !actual.contains(line))
        .map(|line| format!(" the rules: {line}"));
    let surplus = actual
        .iter()
        .filter(|line| !expected.contains(line))
        .map(|line| format!("the engine: {line}"));
    missing.chain(surplus).collect::<Vec<_>>().join("\n")
}

fn time_after(op: &Op, model: &Model) -> u64 {
    let now = model.now;
    match *op {
        Op::Advance { by } => now + by,
        // Never before the start: the model does not saturate.
        Op::StepBack { by } => START.max(now - by.min(now)),
        Op::Approach { nth, offset } => {
            let moments = model.moments();
            let moment = moments.get(nth % moments.len().max(1)).copied();
            moment.map_or(now, |moment| moment.saturating_add_signed(offset))
        }
        // Two things made at once have no order, and the limits on them are about the oldest.
        Op::Issue { .. } | Op::SignIn { .. } => {
            let mut apart = model.clone();
            while apart.made_now() {
                apart.now += 1;
            }
            apart.now
        }
        _ => now,
    }
}

/// What was made of a token or session so far.
struct Made {
    id: Id,
    /// Every text handed out, the latest last.
    texts: Vec<Vec<u8>>,
}

struct Player<'a, S> {
    subject: &'a mut S,
    now: u64,
    tokens: Vec<Made>,
    sessions: Vec<Made>,
}

impl<S: Subject> Player<'_, S> {
    fn apply(&mut self, op: &Op) -> Verdict {
        self.try_apply(op).unwrap_or_else(|denial| match denial {
            Denial::Refused(Refusal { reason, token }) => Verdict::Refused {
                reason,
                token: token.map(|id| index(&self.tokens, id)),
            },
            Denial::Outage(outage) => panic!("the store failed: {outage}"),
        })
    }

    fn try_apply(&mut self, op: &Op) -> Result<Verdict, Denial> {
        Ok(match *op {
            Op::Issue {
                owner,
                name,
                lifetime,
                audience,
                who,
            } => {
                let expires = self.now.saturating_add_signed(lifetime);
                let name = NAMES[name].to_owned();
                let request = IssueRequest {
                    owner: user_id(owner),
                    name,
                    expires,
                    audience,
                };
                let issued = self.subject.issue(request, self.actor(who))?;
                let text = issued.secret.into_bytes();
                self.tokens.push(Made {
                    id: issued.token,
                    texts: vec![text],
                });
                Verdict::Issued {
                    token: self.tokens.len() - 1,
                    ends: issued.ends,
                }
            }
            Op::Present {
                token,
                secret,
                audience,
            } => {
                let grant = self
                    .subject
                    .authenticate(&text(Kind::Pat, &self.tokens, token, secret), audience)?;
                self.check_owner(grant.token, grant.owner, grant.tenant);
                Verdict::Granted {
                    token: index(&self.tokens, grant.token),
                    ends: grant.ends,
                }
            }
            Op::SignIn {
                token,
                secret,
                audience,
            } => {
                let opened = self
                    .subject
                    .open_session(&text(Kind::Pat, &self.tokens, token, secret), audience)?;
                let grant = opened.grant;
                self.check_owner(grant.token, grant.owner, grant.tenant);
                self.sessions.push(Made {
                    id: opened.session,
                    texts: vec![opened.secret.into_bytes()],
                });
                Verdict::Opened {
                    session: self.sessions.len() - 1,
                    token: index(&self.tokens, grant.token),
                    token_ends: grant.ends,
                    ends: opened.ends,
                    expires: opened.expires,
                }
            }
            Op::UseSession {
                session,
                secret,
                audience,
            } => {
                let presented = text(Kind::Session, &self.sessions, session, secret);
                let grant = self.subject.check_session(&presented, audience)?;
                self.check_owner(grant.token, grant.owner, grant.tenant);
                Verdict::Checked {
                    session: index(&self.sessions, grant.session),
                    token: index(&self.tokens, grant.token),
                    ends: grant.ends,
                }
            }
            Op::CloseSession { session, secret } => {
                let presented = text(Kind::Session, &self.sessions, session, secret);
                let closed = self.subject.close_session(&presented)?;
                self.check_owner(closed.token, closed.owner, closed.tenant);
                Verdict::Closed {
                    session: index(&self.sessions, closed.session),
                    token: index(&self.tokens, closed.token),
                }
            }
            Op::Revoke { token, who } => {
                self.subject.revoke(self.token(token), self.actor(who))?;
                Verdict::Revoked { token }
            }
            Op::RevokeAll { owner, who } => {
                let count = self.subject.revoke_all(user_id(owner), self.actor(who))?;
                Verdict::RevokedAll {
                    count: count as usize,
                }
            }
            Op::Rotate { token, overlap, who } => {
                let issued = self.subject.rotate(self.token(token), overlap, self.actor(who))?;
                self.tokens[token].texts.push(issued.secret.into_bytes());
                Verdict::Rotated {
                    token: index(&self.tokens, issued.token),
                    ends: issued.ends,
                }
            }
            Op::ChangeMethod { target, method, who } => {
                let method = METHODS[usize::from(method)];
                let changes = self
                    .subject
                    .change_auth_method(scope(target), method, self.actor(who))?;
                Verdict::MethodChanged { changes }
            }
            Op::PreviewMethod { target, method, who } => {
                let method = METHODS[usize::from(method)];
                let preview = self
                    .subject
                    .preview_auth_method(scope(target), method, self.actor(who))?;
                Verdict::MethodPreviewed {
                    changes: preview.changes,
                    tokens: preview.tokens as usize,
                    owners: preview.owners as usize,
                }
            }
            Op::Password { owner } => {
                self.subject.decide_password_sign_in(user_id(owner))?;
                Verdict::Done
            }
            Op::List { owner, who } => {
                let listed = self.subject.list_tokens(user_id(owner), self.actor(who))?;
                Verdict::Listed(
                    listed
                        .iter()
                        .map(|e| (index(&self.tokens, e.token), e.ends))
                        .collect(),
                )
            }
            Op::Foresee => {
                let states = self.states();
                let outlooks = self.subject.foresee(&states);
                assert_eq!(states.len(), outlooks.len());
                let numbers = states.iter().map(|state| index(&self.tokens, state.token.id));
                Verdict::Foreseen(
                    numbers
                        .zip(outlooks)
                        .map(|(n, outlook)| (n, outlook.live, outlook.ends))
                        .collect(),
                )
            }
            Op::Sweep => {
                let swept = self.subject.sweep(1_000)?;
                assert!(!swept.more);
                Verdict::Swept(
                    [swept.ended, swept.secrets, swept.forgotten, swept.sessions].map(|count| count as usize),
                )
            }
            Op::Enable { owner, on } => self.administer(
                owner,
                Change::Enable {
                    user: user_id(owner),
                    on,
                },
            ),
            Op::Delete { owner } => self.administer(owner, Change::Delete { user: user_id(owner) }),
            Op::Rename { owner } => self.administer(owner, Change::Rename { user: user_id(owner) }),
            Op::MultiFactor { tenant, on } => {
                self.subject.administer(Change::MultiFactor {
                    tenant: tenant_id(tenant),
                    on,
                });
                Verdict::Done
            }
            Op::Advance { .. } | Op::StepBack { .. } | Op::Approach { .. } => Verdict::Done,
        })
    }

    fn administer(&mut self, owner: usize, change: Change) -> Verdict {
        if owner < USERS.len() {
            self.subject.administer(change);
        }
        Verdict::Done
    }

    /// All tokens stored, in the order in which they were made.
    fn states(&mut self) -> Vec<TokenState> {
        let mut states: Vec<_> = self
            .subject
            .tokens()
            .into_iter()
            .map(|(state, _)| state)
            .collect();
        states.sort_by_key(|state| index(&self.tokens, state.token.id));
        states
    }

    fn rows(&mut self) -> Rows {
        let tokens = self
            .subject
            .tokens()
            .into_iter()
            .map(|(TokenState { token, .. }, name)| {
                let erased = token.scheme == 0;
                assert_eq!(
                    erased,
                    token.digest.to_bytes() == [0; 32],
                    "the digest goes with its scheme (R6)"
                );
                TokenRow {
                    index: index(&self.tokens, token.id),
                    owner: usize::try_from(token.owner.lo).expect("a small number"),
                    name,
                    audience: token.audience,
                    generation: token.generation,
                    erased,
                    previous: token.previous.map(|previous| previous.until),
                    created: token.created,
                    expires: token.expires,
                    last_used: token.last_used,
                    ended: token.ended,
                }
            });
        let mut tokens: Vec<_> = tokens.collect();
        tokens.sort_by_key(|row| row.index);
        let sessions = self.subject.sessions().into_iter().map(|session| SessionRow {
            index: index(&self.sessions, session.id),
            token: index(&self.tokens, session.token),
            generation: session.generation,
            opened: session.opened,
            last_used: session.last_used,
            ended: session.ended,
        });
        let mut sessions: Vec<_> = sessions.collect();
        sessions.sort_by_key(|row| row.index);
        Rows { tokens, sessions }
    }

    fn check_owner(&mut self, token: Id, owner: Id, tenant: Id) {
        let rows = self.subject.tokens();
        let (state, _) = rows
            .iter()
            .find(|(state, _)| state.token.id == token)
            .expect("a row");
        assert_eq!(
            (owner, tenant),
            (state.owner.id, state.owner.tenant),
            "a grant names the owner (R4)"
        );
    }

    fn token(&self, index: usize) -> Id {
        id(&self.tokens, index)
    }

    fn actor(&self, who: Who) -> Actor {
        match who {
            // An administrator is a user too, of no importance here.
            Who::Administrator => Actor {
                role: ActorRole::Administrator,
                id: user_id(99),
            },
            Who::System => Actor {
                role: ActorRole::System,
                id: Id::default(),
            },
            Who::User(user) => Actor {
                role: ActorRole::User,
                id: user_id(user),
            },
            Who::Token(token) => Actor {
                role: ActorRole::Token,
                id: self.token(token),
            },
        }
    }
}

fn scope(target: Target) -> Scope {
    match target {
        Target::Tenant(tenant) => Scope::Tenant(tenant_id(tenant)),
        Target::User(user) => Scope::Owner(user_id(user)),
    }
}

fn index(made: &[Made], id: Id) -> usize {
    made.iter()
        .position(|made| made.id == id)
        .expect("made by this trace")
}

/// The identifier of something made, or one of nothing.
fn id(made: &[Made], index: usize) -> Id {
    made.get(index).map_or(
        Id {
            hi: 9,
            lo: index as u64,
        },
        |made| made.id,
    )
}

fn text(kind: Kind, made: &[Made], index: usize, secret: Secret) -> Vec<u8> {
    let texts = made.get(index).map_or(&[][..], |made| &made.texts);
    let back = |by: usize| texts.len().checked_sub(by).and_then(|at| texts.get(at)).cloned();
    let wrong = || token::compose(kind, id(made, index), &[7; 32]).into_bytes();
    match secret {
        Secret::Right => back(1).unwrap_or_else(wrong),
        Secret::Previous => back(2).unwrap_or_else(wrong),
        Secret::Older => back(3).unwrap_or_else(wrong),
        Secret::Wrong => wrong(),
        Secret::Mistyped => {
            let mut text = back(1).unwrap_or_else(wrong);
            text[50] = if text[50] == b'0' { b'1' } else { b'0' };
            assert_eq!(token::parse(kind, &text).unwrap_err(), RefusalReason::BadChecksum);
            text
        }
        Secret::Malformed => b"patrol_pat_not_a_token".to_vec(),
    }
}
