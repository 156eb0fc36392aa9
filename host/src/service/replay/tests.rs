//! What a candidate did is what it finds, one thing at a time. The candidate is the built-in policy; what is made up is
//! the live one, which did what the rules do not allow, or did not do what they do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use patrol_policy::types::{
    Actor, ActorRole, Cause, ClosedSession, DAY, End, Grant, IssueRequest, LiveRule, MINUTE, Owner, Refusal,
    RefusalReason, Scope, SessionGrant, Timestamp,
};

use super::super::exchange::{OpenSessionSeen, SessionSeen, TokenSeen, Yes};
use super::*;
use crate::policy::Options;
use crate::store::sqlite::{OpenOptions, SqliteStore};

const T0: Timestamp = 1_800_000_000_000;
const TENANT: Id = Id { hi: 1, lo: 1 };
const OWNER: Id = Id { hi: 2, lo: 1 };
const STRANGER: Id = Id { hi: 2, lo: 2 };
const TOKEN: Id = Id { hi: 3, lo: 1 };
const SESSION: Id = Id { hi: 4, lo: 1 };
const AUDIENCE: u32 = 1;

const BY_ADMINISTRATOR: Actor = Actor {
    role: ActorRole::Administrator,
    id: Id { hi: 9, lo: 9 },
};
/// May do nothing to tokens of others.
const BY_STRANGER: Actor = Actor {
    role: ActorRole::User,
    id: STRANGER,
};

const SOME_END: End = End {
    at: T0 + 15 * DAY,
    cause: Cause::Idle,
};

struct Stage {
    replay: Replay,
    parameters: Parameters,
    _directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(directory.path(), &OpenOptions::default()).unwrap());
        let candidate = Policy::load(Policy::<Call>::embedded(), &Options::default()).unwrap();
        Self {
            replay: Replay::new(candidate, &store, None).unwrap(),
            parameters: Parameters::default(),
            _directory: directory,
        }
    }

    /// What the candidate says.
    fn ask(&mut self, at: Timestamp, question: Asked, answers: Vec<Answer>, verdict: Verdict) -> Verdict {
        let exchange = Exchange {
            at,
            tenant: None,
            parameters: self.parameters,
            question,
            answers,
            overruled: None,
            verdict,
        };
        self.replay.play(&Arc::new(exchange)).unwrap().unwrap()
    }

    /// The token is presented; `live` is what the live policy said.
    fn present(&mut self, at: Timestamp, seen: TokenSeen, matches: Matches, live: Verdict) -> Verdict {
        let presented = Presented::Text { id: seen.id, matches };
        let question = Asked::Authenticate(presented, AUDIENCE);
        let answers = vec![Answer::Token(seen.id, Some(seen))];
        self.ask(at, question, answers, live)
    }

    fn sign_in(&mut self, at: Timestamp, seen: TokenSeen, live: Verdict) -> Verdict {
        let presented = Presented::Text {
            id: seen.id,
            matches: Matches::Current,
        };
        let question = Asked::OpenSession(presented, AUDIENCE);
        let answers = vec![
            Answer::Token(seen.id, Some(seen)),
            Answer::Sessions(seen.id, vec![]),
        ];
        self.ask(at, question, answers, live)
    }

    fn use_session(&mut self, at: Timestamp, seen: Option<SessionSeen>, live: Verdict) -> Verdict {
        let presented = Presented::Text {
            id: SESSION,
            matches: Matches::Current,
        };
        let question = Asked::CheckSession(presented, AUDIENCE);
        self.ask(at, question, vec![Answer::Session(SESSION, seen)], live)
    }

    fn revoke(&mut self, at: Timestamp, seen: TokenSeen, by: Actor, live: Verdict) -> Verdict {
        let answers = vec![Answer::Token(seen.id, Some(seen))];
        self.ask(at, Asked::Revoke(seen.id, by), answers, live)
    }

    fn rotate(&mut self, at: Timestamp, seen: TokenSeen, overlap: u64, by: Actor, live: Verdict) -> Verdict {
        let answers = vec![Answer::Token(seen.id, Some(seen))];
        self.ask(at, Asked::Rotate(seen.id, overlap, by), answers, live)
    }

    /// A creation, with how many tokens there were and whether one had the name.
    fn issue(&mut self, at: Timestamp, name: &str, known: (u32, bool), live: Verdict) -> Verdict {
        let request = IssueRequest {
            owner: OWNER,
            name: name.to_owned(),
            expires: at + 30 * DAY,
            audience: AUDIENCE,
        };
        let rule = self.rule(at);
        let answers = vec![
            Answer::Owner(OWNER, Some(owner())),
            Answer::Count(OWNER, rule, known.0),
            Answer::Name(OWNER, name.to_owned(), rule, known.1),
        ];
        self.ask(at, Asked::Issue(request, BY_ADMINISTRATOR), answers, live)
    }

    fn rule(&self, now: Timestamp) -> LiveRule {
        LiveRule {
            now,
            idle_since: now - self.parameters.idle_after,
        }
    }
}

fn owner() -> Owner {
    Owner {
        id: OWNER,
        tenant: TENANT,
        enabled: true,
        deleted: None,
        epoch: 1,
        epoch_since: 0,
        tenant_epoch: 1,
        tenant_epoch_since: 0,
        multi_factor: false,
    }
}

fn token() -> TokenSeen {
    TokenSeen {
        id: TOKEN,
        audience: AUDIENCE,
        scheme: 1,
        generation: 0,
        previous: None,
        created: T0,
        expires: T0 + 300 * DAY,
        last_used: None,
        owner_epoch: 1,
        tenant_epoch: 1,
        ended: None,
        owner: owner(),
    }
}

fn used(at: Timestamp) -> TokenSeen {
    TokenSeen {
        last_used: Some(at),
        ..token()
    }
}

fn ended(at: Timestamp, cause: Cause) -> TokenSeen {
    TokenSeen {
        scheme: 0,
        ended: Some(End { at, cause }),
        ..token()
    }
}

fn session(token: TokenSeen, last_used: Timestamp) -> SessionSeen {
    SessionSeen {
        session: OpenSessionSeen {
            id: SESSION,
            generation: 0,
            opened: T0,
            last_used,
            ended: None,
        },
        token,
    }
}

fn granted() -> Verdict {
    Verdict::Yes(Yes::Granted(Grant {
        token: TOKEN,
        owner: OWNER,
        tenant: TENANT,
        ends: SOME_END,
    }))
}

fn opened() -> Verdict {
    Verdict::Yes(Yes::Opened {
        session: SESSION,
        grant: Grant {
            token: TOKEN,
            owner: OWNER,
            tenant: TENANT,
            ends: SOME_END,
        },
        ends: SOME_END,
        expires: T0 + DAY,
    })
}

fn checked() -> Verdict {
    Verdict::Yes(Yes::Checked(SessionGrant {
        session: SESSION,
        token: TOKEN,
        owner: OWNER,
        tenant: TENANT,
        ends: SOME_END,
    }))
}

fn minted(token: Id) -> Verdict {
    Verdict::Yes(Yes::Minted {
        token,
        ends: SOME_END,
    })
}

fn refused(reason: RefusalReason) -> Verdict {
    Verdict::Refused(Refusal { reason, token: None })
}

fn done() -> Verdict {
    Verdict::Yes(Yes::Done)
}

#[track_caller]
fn accepts(verdict: &Verdict) {
    assert!(matches!(verdict, Verdict::Yes(_)), "{verdict:?}");
}

#[track_caller]
fn refuses(verdict: &Verdict, reason: RefusalReason) {
    assert_eq!(verdict.reason(), Some(reason), "{verdict:?}");
}

#[test]
fn what_was_presented_is_presented_again_by_what_it_matched() {
    let mut stage = Stage::new();
    let with_previous = TokenSeen {
        generation: 1,
        previous: Some((1, T0 + 10)),
        ..token()
    };
    accepts(&stage.present(T0 + 1, token(), Matches::Current, granted()));
    accepts(&stage.present(T0 + 2, with_previous, Matches::Current, granted()));
    accepts(&stage.present(T0 + 3, with_previous, Matches::Previous, granted()));
    let late = stage.present(T0 + 10, with_previous, Matches::Previous, granted());
    refuses(&late, RefusalReason::Rotated);
    let wrong = stage.present(T0 + 11, with_previous, Matches::Nothing, granted());
    refuses(&wrong, RefusalReason::WrongSecret);
    for (presented, reason) in [
        (Presented::Malformed, RefusalReason::Malformed),
        (Presented::BadChecksum, RefusalReason::BadChecksum),
    ] {
        for question in [
            Asked::Authenticate(presented, AUDIENCE),
            Asked::OpenSession(presented, AUDIENCE),
            Asked::CheckSession(presented, AUDIENCE),
            Asked::CloseSession(presented),
        ] {
            refuses(&stage.ask(T0 + 12, question, vec![], granted()), reason);
        }
    }
}

#[test]
fn a_use_that_it_refused_is_none() {
    let mut stage = Stage::new();
    refuses(
        &stage.present(T0 + 15 * DAY, token(), Matches::Current, granted()),
        RefusalReason::Idle,
    );
    // By the live records it was used a day ago.
    let live = used(T0 + 15 * DAY);
    refuses(
        &stage.present(T0 + 16 * DAY, live, Matches::Current, granted()),
        RefusalReason::Idle,
    );
}

#[test]
fn a_use_that_it_alone_allowed_is_one() {
    let mut stage = Stage::new();
    let no = || refused(RefusalReason::WrongAudience);
    accepts(&stage.present(T0 + 14 * DAY, token(), Matches::Current, no()));
    // By the live records it was never used, and has idled out; the sweep marks it in the end.
    let idle = || refused(RefusalReason::Idle);
    accepts(&stage.present(T0 + 20 * DAY, token(), Matches::Current, idle()));
    let swept = ended(T0 + 15 * DAY, Cause::Idle);
    accepts(&stage.present(T0 + 30 * DAY, swept, Matches::Nothing, idle()));
    refuses(
        &stage.present(T0 + 45 * DAY, swept, Matches::Nothing, idle()),
        RefusalReason::Idle,
    );
}

#[test]
fn a_token_that_it_ended_stays_ended() {
    let mut stage = Stage::new();
    let no = refused(RefusalReason::NotPermitted);
    accepts(&stage.revoke(T0 + 1, token(), BY_ADMINISTRATOR, no));
    refuses(
        &stage.present(T0 + 2, token(), Matches::Current, granted()),
        RefusalReason::Revoked,
    );
}

#[test]
fn a_token_that_it_would_not_have_ended_goes_on() {
    let mut stage = Stage::new();
    refuses(
        &stage.revoke(T0 + 1, token(), BY_STRANGER, done()),
        RefusalReason::NotPermitted,
    );
    let gone = ended(T0 + 1, Cause::Revoked);
    let live = || refused(RefusalReason::Revoked);
    accepts(&stage.present(T0 + 2, gone, Matches::Nothing, live()));
    // Then it does end it, and the live policy has nothing to do any more.
    accepts(&stage.revoke(T0 + 3, gone, BY_ADMINISTRATOR, done()));
    refuses(
        &stage.present(T0 + 4, gone, Matches::Nothing, live()),
        RefusalReason::Revoked,
    );
}

#[test]
fn what_both_ended_is_ended_and_nothing_is_remembered() {
    let mut stage = Stage::new();
    accepts(&stage.revoke(T0 + 1, token(), BY_ADMINISTRATOR, done()));
    assert!(stage.replay.desk.lock().world.token(TOKEN).is_none());
    let gone = ended(T0 + 1, Cause::Revoked);
    refuses(
        &stage.present(T0 + 2, gone, Matches::Nothing, refused(RefusalReason::Revoked)),
        RefusalReason::Revoked,
    );
}

#[test]
fn a_token_that_it_would_not_have_made_is_not_there_and_does_not_count() {
    let mut stage = Stage::new();
    stage.parameters.tokens_per_owner = 1;
    let made = Id { hi: 3, lo: 7 };
    refuses(
        &stage.issue(T0 + 1, "one", (1, false), minted(made)),
        RefusalReason::LimitReached,
    );
    let seen = TokenSeen {
        id: made,
        created: T0 + 1,
        ..token()
    };
    refuses(
        &stage.present(T0 + 2, seen, Matches::Current, granted()),
        RefusalReason::Unknown,
    );
    // Among the live records there are two by now, one of this name; for the candidate there is one.
    stage.parameters.tokens_per_owner = 2;
    let taken = refused(RefusalReason::NameTaken);
    accepts(&stage.issue(T0 + 3, "one", (2, true), taken));
}

#[test]
fn a_token_that_it_alone_made_counts_and_has_its_name() {
    let mut stage = Stage::new();
    stage.parameters.tokens_per_owner = 2;
    let no = || refused(RefusalReason::NotPermitted);
    let later = || minted(Id { hi: 3, lo: 8 });
    accepts(&stage.issue(T0 + 1, "one", (0, false), no()));
    refuses(
        &stage.issue(T0 + 2, "one", (0, false), later()),
        RefusalReason::NameTaken,
    );
    // Among the live records there is one by now.
    accepts(&stage.issue(T0 + 3, "two", (1, false), no()));
    refuses(
        &stage.issue(T0 + 4, "three", (1, false), later()),
        RefusalReason::LimitReached,
    );
    // Nobody uses them, so they idle out by the candidate's own rules.
    accepts(&stage.issue(T0 + 20 * DAY, "three", (0, false), later()));
    assert_eq!(stage.replay.unanswered(), BTreeMap::new());
}

#[test]
fn what_both_made_is_the_live_one() {
    let mut stage = Stage::new();
    accepts(&stage.issue(T0, "one", (0, false), minted(TOKEN)));
    accepts(&stage.present(T0 + 1, token(), Matches::Current, granted()));
    assert_eq!(
        stage.replay.desk.lock().world.owners().count(),
        1,
        "of an owner without any"
    );
    assert!(stage.replay.desk.lock().world.token(TOKEN).is_none());
}

#[test]
fn whoever_was_refused_a_new_secret_goes_on_with_the_old_one() {
    let mut stage = Stage::new();
    refuses(
        &stage.rotate(T0 + 1, token(), 0, BY_STRANGER, minted(TOKEN)),
        RefusalReason::NotPermitted,
    );
    let rotated = TokenSeen {
        generation: 1,
        ..token()
    };
    accepts(&stage.present(T0 + 2, rotated, Matches::Current, granted()));
    // Rotated by both then: the holder has the candidate's.
    accepts(&stage.rotate(T0 + 3, rotated, MINUTE, BY_ADMINISTRATOR, minted(TOKEN)));
    let again = TokenSeen {
        generation: 2,
        previous: Some((1, T0 + 3 + MINUTE)),
        ..token()
    };
    accepts(&stage.present(T0 + 4, again, Matches::Current, granted()));
    accepts(&stage.present(T0 + 5, again, Matches::Previous, granted()));
    refuses(
        &stage.present(T0 + 3 + MINUTE, again, Matches::Previous, granted()),
        RefusalReason::Rotated,
    );
}

#[test]
fn whoever_was_given_a_new_secret_by_it_alone_has_that() {
    let mut stage = Stage::new();
    let no = refused(RefusalReason::OverlapTooLong);
    accepts(&stage.rotate(T0 + 1, token(), 0, BY_ADMINISTRATOR, no));
    accepts(&stage.present(T0 + 2, token(), Matches::Current, granted()));
    refuses(
        &stage.present(T0 + 3, token(), Matches::Nothing, granted()),
        RefusalReason::WrongSecret,
    );
}

#[test]
fn a_session_that_it_would_not_have_opened_is_not_there() {
    let mut stage = Stage::new();
    let late = T0 + 15 * DAY;
    refuses(&stage.sign_in(late, token(), opened()), RefusalReason::Idle);
    let mut seen = session(used(late), late);
    seen.session.opened = late;
    refuses(
        &stage.use_session(late + 1, Some(seen), checked()),
        RefusalReason::Unknown,
    );
}

#[test]
fn a_session_of_a_token_with_its_own_secrets_is_its_own() {
    let mut stage = Stage::new();
    let no = refused(RefusalReason::OverlapTooLong);
    accepts(&stage.rotate(T0 + 1, token(), 0, BY_ADMINISTRATOR, no));
    accepts(&stage.sign_in(T0 + 2, token(), opened()));
    accepts(&stage.use_session(T0 + 3, Some(session(used(T0 + 2), T0 + 2)), checked()));
    // Forgotten by the live sweep.
    refuses(
        &stage.use_session(T0 + 4, None, refused(RefusalReason::Unknown)),
        RefusalReason::Unknown,
    );
}

#[test]
fn a_session_that_it_would_not_have_closed_goes_on_by_its_own_uses() {
    let mut stage = Stage::new();
    let closed = Verdict::Yes(Yes::Closed(ClosedSession {
        session: SESSION,
        token: TOKEN,
        owner: OWNER,
        tenant: TENANT,
    }));
    let wrong = Presented::Text {
        id: SESSION,
        matches: Matches::Nothing,
    };
    let answers = vec![Answer::Session(SESSION, Some(session(token(), T0)))];
    refuses(
        &stage.ask(T0 + 1, Asked::CloseSession(wrong), answers, closed),
        RefusalReason::WrongSecret,
    );
    let mut gone = session(token(), T0);
    gone.session.ended = Some(End {
        at: T0 + 1,
        cause: Cause::SessionClosed,
    });
    let live = || refused(RefusalReason::SessionClosed);
    accepts(&stage.use_session(T0 + 20 * MINUTE, Some(gone), live()));
    accepts(&stage.use_session(T0 + 40 * MINUTE, Some(gone), live()));
    refuses(
        &stage.use_session(T0 + 70 * MINUTE, Some(gone), live()),
        RefusalReason::SessionIdle,
    );
}

#[test]
fn a_change_of_method_that_it_alone_made_ends_tokens_and_one_that_it_would_not_have_made_does_not() {
    let change = |scope, by| Asked::ChangeMethod(scope, "saml".to_owned(), by);
    for scope in [Scope::Owner(OWNER), Scope::Tenant(TENANT)] {
        let answers = || vec![Answer::Method(scope, Some("password".to_owned()))];
        let mut stage = Stage::new();
        let no = refused(RefusalReason::NotPermitted);
        accepts(&stage.ask(T0 + 1, change(scope, BY_ADMINISTRATOR), answers(), no));
        refuses(
            &stage.present(T0 + 2, token(), Matches::Current, granted()),
            RefusalReason::AuthMethodChanged,
        );
        // A token that is made afterwards lives.
        let made = TokenSeen {
            id: Id { hi: 3, lo: 3 },
            created: T0 + 3,
            ..token()
        };
        accepts(&stage.present(T0 + 4, made, Matches::Current, granted()));

        let mut stage = Stage::new();
        let live = Verdict::Yes(Yes::Changed(true));
        let verdict = stage.ask(T0 + 1, change(scope, BY_STRANGER), answers(), live);
        refuses(&verdict, RefusalReason::NotPermitted);
        let mut raised = owner();
        match scope {
            Scope::Owner(_) => raised.epoch = 2,
            Scope::Tenant(_) => raised.tenant_epoch = 2,
        }
        let seen = TokenSeen {
            owner: raised,
            ..token()
        };
        let live = refused(RefusalReason::AuthMethodChanged);
        accepts(&stage.present(T0 + 2, seen, Matches::Current, live));
    }
}

#[test]
fn all_tokens_that_it_alone_ended_are_ended_and_those_that_it_would_not_have_ended_go_on() {
    let mut stage = Stage::new();
    let answers = |stage: &Stage| {
        let rule = stage.rule(T0 + 1);
        vec![Answer::Owner(OWNER, Some(owner())), Answer::Ended(OWNER, rule, 1)]
    };
    let known = answers(&stage);
    let no = refused(RefusalReason::NotPermitted);
    let question = Asked::RevokeAll(OWNER, BY_ADMINISTRATOR);
    let verdict = stage.ask(T0 + 1, question.clone(), known, no);
    assert_eq!(verdict, Verdict::Yes(Yes::Ended(1)));
    refuses(
        &stage.present(T0 + 2, token(), Matches::Current, granted()),
        RefusalReason::Revoked,
    );

    let mut stage = Stage::new();
    let known = answers(&stage);
    let live = Verdict::Yes(Yes::Ended(1));
    let verdict = stage.ask(T0 + 1, Asked::RevokeAll(OWNER, BY_STRANGER), known, live.clone());
    refuses(&verdict, RefusalReason::NotPermitted);
    let gone = ended(T0 + 1, Cause::Revoked);
    let no = || refused(RefusalReason::Revoked);
    accepts(&stage.present(T0 + 2, gone, Matches::Nothing, no()));

    let mut stage = Stage::new();
    let known = answers(&stage);
    assert_eq!(stage.ask(T0 + 1, question, known, live.clone()), live);
    refuses(
        &stage.present(T0 + 2, gone, Matches::Nothing, no()),
        RefusalReason::Revoked,
    );
}

#[test]
fn what_the_exchange_lacks_is_answered_from_the_store_and_counted() {
    let mut stage = Stage::new();
    let request = IssueRequest {
        owner: OWNER,
        name: "one".to_owned(),
        expires: T0 + DAY,
        audience: AUDIENCE,
    };
    let answers = vec![Answer::Owner(OWNER, Some(owner()))];
    let question = Asked::Issue(request, BY_ADMINISTRATOR);
    accepts(&stage.ask(T0 + 1, question, answers, minted(TOKEN)));
    let expected = BTreeMap::from([("count-live-tokens", 1), ("live-name-exists", 1)]);
    assert_eq!(stage.replay.unanswered(), expected);
}

#[test]
fn without_a_verdict_there_is_nothing_to_compare_with() {
    let mut stage = Stage::new();
    let exchange = Exchange {
        at: T0,
        tenant: None,
        parameters: Parameters::default(),
        question: Asked::PasswordSignIn(OWNER),
        answers: Vec::new(),
        overruled: None,
        verdict: Verdict::Outage,
    };
    assert_eq!(stage.replay.play(&Arc::new(exchange)).unwrap(), None);
}

/// Hears the latest decision.
#[derive(Default)]
struct Ear(std::sync::Mutex<Vec<Arc<Exchange>>>);

impl crate::service::Listener for Ear {
    fn hear(&self, exchange: &Arc<Exchange>) {
        self.0.lock().unwrap().push(Arc::clone(exchange));
    }
}

#[test]
fn a_stand_in_lets_nobody_in() {
    use crate::service::{Caller, NewAccount, Origin, Patrol, Settings};
    let directory = tempfile::tempdir().unwrap();
    let patrol = Patrol::open(Settings::new(directory.path())).unwrap();
    let admin = Caller::operator(None);
    patrol.create_tenant(&admin, "acme", "password", false).unwrap();
    let account = NewAccount {
        name: "ann".to_owned(),
        email: None,
        roles: Vec::new(),
    };
    let owner = patrol.create_user(&admin, "acme", &account).unwrap().id;
    let ear = Arc::new(Ear::default());
    patrol.listen(ear.clone());
    let expires = patrol.now() + 30 * DAY;
    let made = patrol.issue(&admin, owner, "one", expires, "api").unwrap();
    let origin = Origin::default();
    patrol.authenticate(made.secret.expose(), "api", &origin).unwrap();
    let opened = patrol.open_session(made.secret.expose(), "api", &origin).unwrap();
    let session = opened.secret;
    patrol.check_session(session.expose(), "api", &origin).unwrap();
    patrol.rotate(&admin, made.row.state.token.id, MINUTE).unwrap();
    patrol.authenticate(made.secret.expose(), "api", &origin).unwrap();
    let candidate = Policy::load(Policy::<Call>::embedded(), &Options::default()).unwrap();
    let mut replay = Replay::new(candidate, &patrol.store, None).unwrap();
    let mut texts = 0;
    let heard = ear.0.lock().unwrap().clone();
    for exchange in &heard {
        accepts(&replay.play(exchange).unwrap().unwrap());
        let (kind, presented) = match &exchange.question {
            Asked::Authenticate(presented, _) | Asked::OpenSession(presented, _) => (Kind::Pat, presented),
            Asked::CheckSession(presented, _) => (Kind::Session, presented),
            _ => continue,
        };
        // It was good enough for the candidate.
        let text = replay.text(kind, presented).unwrap();
        texts += 1;
        let live = match kind {
            Kind::Session => patrol.check_session(text.expose(), "api", &origin).err(),
            _ => patrol.authenticate(text.expose(), "api", &origin).err(),
        };
        assert_eq!(live.unwrap().refusal(), Some(RefusalReason::WrongSecret));
    }
    assert_eq!(texts, 4);
}
