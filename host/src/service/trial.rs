//! Trying out a policy before it is let near anybody's tokens: it is compiled, started, and asked questions whose answers
//! are known, on records of its own that are thrown away.
//!
//! All of it happens on a thread of its own, which is waited for no longer than `[policy] trial` says. A compiler cannot
//! be interrupted: a thread that takes longer is left behind, and its directory with it, until the process ends.
//!
//! [`KNOWN_ANSWERS`] are few: what no policy may get wrong. Longer stories about a policy belong into entries of their
//! own there.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use patrol_policy::types::{DAY, Id, Scope};

use super::{Caller, Error, NewAccount, NewToken, Origin, Patrol, Settings};
use crate::config::{Config, PolicyConfig};
use crate::release::{Step, Unfit};
use crate::time::{ManualClock, print_duration};

const AUDIENCE: &str = "api";

/// A question, with what it is about.
type KnownAnswer = (&'static str, fn(&Trial) -> Result<(), String>);

/// What every policy is asked, in this order, each on records of its own.
const KNOWN_ANSWERS: [KnownAnswer; 6] = [
    ("it says what it is", describes),
    ("a new token is let in, for its audience alone (R12)", lets_in),
    (
        "a secret that is not the token's is refused",
        refuses_a_wrong_secret,
    ),
    ("a revoked token is refused (R8)", refuses_a_revoked_token),
    (
        "a token past its expiration date is refused (R6)",
        refuses_an_expired_token,
    ),
    ("a change of method ends tokens (R9)", ends_tokens),
];

/// Tries out a component in a directory that is made for it, and removed; its compiled code stays in `compiled`.
pub(super) fn run(
    scratch: &Path,
    compiled: Option<&Path>,
    component: &[u8],
    config: &PolicyConfig,
) -> Result<(), Unfit> {
    let (told, verdict) = channel();
    let patience = config.trial;
    let (directory, component) = (scratch.to_owned(), Arc::<[u8]>::from(component));
    let compiled = compiled.map(Path::to_owned);
    let config = Config {
        policy: PolicyConfig {
            deadline: config.deadline,
            ..PolicyConfig::default().running_as(config)
        },
        ..Config::default()
    };
    let started = std::thread::Builder::new()
        .name("trial".to_owned())
        .spawn(move || {
            let verdict = try_out(&directory, compiled, component, config);
            // Best effort: nothing of this name is ever read.
            let _ = std::fs::remove_dir_all(&directory);
            // Nobody waits for it any more, where it took too long.
            let _ = told.send(verdict);
        });
    started.map_err(|error| Unfit::at(Step::Component, format!("it cannot be tried out: {error}")))?;
    match verdict.recv_timeout(Duration::from_millis(patience.0)) {
        Ok(verdict) => verdict,
        Err(RecvTimeoutError::Timeout) => Err(Unfit::at(
            Step::Component,
            format!(
                "to compile it and try it out took longer than the {} of `[policy] trial`",
                print_duration(patience.0)
            ),
        )),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Unfit::at(Step::Component, "the trial ended without a verdict"))
        }
    }
}

/// A policy on trial.
struct Trial {
    patrol: Patrol,
    clock: Arc<ManualClock>,
    tenant: Id,
    owner: Id,
}

fn try_out(
    directory: &Path,
    compiled: Option<PathBuf>,
    component: Arc<[u8]>,
    config: Config,
) -> Result<(), Unfit> {
    let unable = |error: &dyn std::fmt::Display| {
        Unfit::at(Step::Component, format!("it cannot be tried out: {error}"))
    };
    // Left over from a process that had this number before and was killed.
    let _ = std::fs::remove_dir_all(directory);
    let made = DirBuilder::new().mode(0o700).create(directory);
    made.map_err(|error| unable(&error))?;
    let clock = Arc::new(ManualClock::at(20_000 * DAY));
    let patrol = Patrol::open(Settings {
        config,
        component: Some(component),
        // What is activated later need not be compiled again.
        compiled,
        clock: Arc::<ManualClock>::clone(&clock),
        ..Settings::new(directory)
    });
    let patrol = patrol.map_err(|error| Unfit::at(Step::Component, error.to_string()))?;
    let operator = Caller::operator(None);
    let tenant = patrol
        .create_tenant(&operator, "trial", "password", false)
        .map_err(|error| unable(&error))?
        .id;
    let mut trial = Trial {
        patrol,
        clock,
        tenant,
        owner: Id::default(),
    };
    for (number, (about, ask)) in KNOWN_ANSWERS.into_iter().enumerate() {
        let account = NewAccount {
            name: format!("owner {number}"),
            ..NewAccount::default()
        };
        let owner = trial.patrol.create_user(&operator, "trial", &account);
        trial.owner = owner.map_err(|error| unable(&error))?.id;
        ask(&trial).map_err(|why| {
            let why = format!("it gave a wrong answer where {about}: {why}");
            Unfit::at(Step::Answers, why)
        })?;
    }
    Ok(())
}

impl Trial {
    fn issue(&self) -> Result<NewToken, String> {
        let caller = Caller::user(self.owner, Origin::default());
        let expires = self.patrol.now().saturating_add(DAY);
        let issued = self.patrol.issue(&caller, self.owner, "trial", expires, AUDIENCE);
        issued.map_err(|error| format!("no token was issued: {error}"))
    }

    fn lets_in(&self, secret: &[u8], audience: &str) -> Result<(), String> {
        let verdict = self.patrol.authenticate(secret, audience, &Origin::default());
        verdict
            .map(drop)
            .map_err(|error| format!("the token was not let in: {error}"))
    }

    fn refuses(&self, secret: &[u8], audience: &str) -> Result<(), String> {
        match self.patrol.authenticate(secret, audience, &Origin::default()) {
            Err(Error::Refused(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("it was let in".to_owned()),
        }
    }
}

fn describes(trial: &Trial) -> Result<(), String> {
    trial
        .patrol
        .policy_info()
        .map(drop)
        .map_err(|error| error.to_string())
}

fn lets_in(trial: &Trial) -> Result<(), String> {
    let token = trial.issue()?;
    trial.lets_in(token.secret.expose(), AUDIENCE)?;
    trial.refuses(token.secret.expose(), "elsewhere")
}

fn refuses_a_wrong_secret(trial: &Trial) -> Result<(), String> {
    let token = trial.issue()?;
    trial.refuses(b"", AUDIENCE)?;
    trial.refuses(b"patrol_pat_", AUDIENCE)?;
    let mut other = token.secret.expose().to_vec();
    if let Some(last) = other.last_mut() {
        *last = if *last == b'0' { b'1' } else { b'0' };
    }
    trial.refuses(&other, AUDIENCE)
}

fn refuses_a_revoked_token(trial: &Trial) -> Result<(), String> {
    let token = trial.issue()?;
    let caller = Caller::user(trial.owner, Origin::default());
    let revoked = trial.patrol.revoke(&caller, token.row.state.token.id);
    revoked.map_err(|error| format!("it was not revoked: {error}"))?;
    trial.refuses(token.secret.expose(), AUDIENCE)
}

fn refuses_an_expired_token(trial: &Trial) -> Result<(), String> {
    let token = trial.issue()?;
    trial.clock.advance(DAY);
    trial.refuses(token.secret.expose(), AUDIENCE)
}

fn ends_tokens(trial: &Trial) -> Result<(), String> {
    let token = trial.issue()?;
    let scope = Scope::Tenant(trial.tenant);
    let changed = trial
        .patrol
        .change_auth_method(&Caller::operator(None), scope, "another");
    changed.map_err(|error| format!("the method was not changed: {error}"))?;
    trial.refuses(token.secret.expose(), AUDIENCE)
}
