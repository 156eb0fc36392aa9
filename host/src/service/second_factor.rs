//! The second factor of those who sign in to the pages with a password: codes that an authenticator computes from a
//! shared secret and the time (TOTP, RFC 6238), and recovery codes for the day on which it is lost.
//!
//! * The secret is stored sealed, under a key in a file of the data directory: a copy of the database is worth nothing
//!   without it. Where the file is missing and somebody has a second factor, nobody gets in without it, and no new key is
//!   made.
//! * A code works once, and so does a recovery code, of which the digest is stored.
//! * A right password alone opens no session where there is a second factor, or where the tenant asks for one (R11). It
//!   opens a *half* sign-in, good for five minutes and five codes, and for nothing but the second step. A hundred wrong
//!   codes in a row, from wherever, and no code of the time is taken any more until a recovery code was.

use std::path::Path;

use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use patrol_policy::Secret;
use patrol_policy::token;
use patrol_policy::types::{Id, MINUTE, RefusalReason, Timestamp};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use super::accounts::{BY_PASSWORD, anybody, judge_hash, refused};
use super::directory::found;
use super::events::AuditEvent;
use super::web::{WebSignIn, compose, parse};
use super::{Caller, Error, Origin, Patrol};
use crate::key_text;
use crate::private_file;
use crate::store::{HalfSignIn, SecondFactorRow, StoreError, Transaction, UserRow};

/// The file with the key, in the data directory.
const FILE: &str = "web.key";
const PREFIX: &str = "patrol-web-key-1:";

/// For how long a half sign-in is good, in ms.
const HALF_FOR: u64 = 5 * MINUTE;
/// How many codes may be tried in one.
const TRIES: u32 = 5;
/// How many codes in a row may be wrong, however long it takes: more would be guessed at (NIST SP 800-63B, 3.2.2). Then
/// only a recovery code is taken.
const WRONG_CODES: u32 = 100;
/// The length of a step, in seconds, as authenticators have it.
const STEP: u64 = 30;
/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;
/// What recovery codes are made of: no letter that looks like another, so that each has five bits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How a sign-in with a password went so far.
#[derive(Debug)]
pub enum FirstStep {
    /// The password is all that is asked for.
    In(Box<WebSignIn>),
    /// The second factor is next. What the browser keeps meanwhile, and nobody else.
    Half(Secret),
}

/// What there is to know of somebody's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    /// Whether codes are asked for.
    pub enrolled: bool,
    /// How many recovery codes are left.
    pub recovery_left: u32,
}

/// A secret that is to be put into an authenticator.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret in base32, to be typed.
    pub text: Secret,
    /// The address that is shown as a QR code.
    pub uri: Secret,
}

impl Patrol {
    /// What there is to know of a user's second factor.
    ///
    /// # Errors
    /// An outage.
    pub fn second_factor(&self, user: Id) -> Result<SecondFactor, Error> {
        let row = self.store.read()?.second_factor(user)?;
        let row = row.filter(|row| row.confirmed.is_some());
        Ok(SecondFactor {
            enrolled: row.is_some(),
            recovery_left: row.map_or(0, |row| row.recovery_left),
        })
    }

    /// The secret that a user is to put into an authenticator: the same, until they confirm that they have it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is a confirmed one; an outage.
    pub fn begin_second_factor(&self, user: &UserRow) -> Result<Enrolment, Error> {
        let mut transaction = self.store.begin()?;
        let secret = match transaction.second_factor(user.id)? {
            Some(row) if row.confirmed.is_some() => {
                return Err(Error::Invalid("there is a second factor already".to_owned()));
            }
            Some(row) => unseal(&self.data, user.id, &row.sealed)?,
            None => {
                let mut secret = Zeroizing::new([0; 20]);
                getrandom::fill(&mut *secret).map_err(|error| StoreError::Unavailable(error.to_string()))?;
                let sealed = seal(&self.data, &mut *transaction, user.id, &secret)?;
                transaction.put_second_factor(user.id, &sealed)?;
                transaction.commit()?;
                secret
            }
        };
        // A colon would part the name from what issued it.
        let account = format!("{} ({})", user.name, user.tenant_name).replace(':', " ");
        let odd = |_| StoreError::Corrupt("a second factor has no address".to_owned());
        let totp = Builder::new()
            .with_secret(&secret[..])
            .with_account_name(account)
            .with_issuer(Some("Patrol"));
        let uri = totp.build().map_err(odd)?.to_url().map_err(odd)?;
        let text = totp_rs::Secret::from(&secret[..]).to_base32();
        Ok(Enrolment {
            text: Secret::new(text.into_bytes()),
            uri: Secret::new(uri.into_bytes()),
        })
    }

    /// Turns a user's second factor on, who shows by a code that they have it; the recovery codes, this once.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] for a wrong code; [`Error::NotFound`] where none was begun; an outage.
    pub fn confirm_second_factor(
        &self,
        caller: &Caller,
        user: &UserRow,
        code: &Secret,
    ) -> Result<Vec<Secret>, Error> {
        self.change(|transaction| {
            let codes = self.confirm(transaction, user, code)?;
            let event = AuditEvent::new("enable_second_factor", self.now(), caller).user(user);
            Ok((codes, event))
        })
    }

    fn confirm(
        &self,
        transaction: &mut dyn Transaction,
        user: &UserRow,
        code: &Secret,
    ) -> Result<Vec<Secret>, Error> {
        let row = found(transaction.second_factor(user.id)?, "second factor", &user.name)?;
        if row.confirmed.is_some() || !self.spend(transaction, user.id, &row, code)? {
            return Err(Error::WrongPassword);
        }
        transaction.confirm_second_factor(user.id, self.now())?;
        renew(transaction, user.id)
    }

    /// Makes new recovery codes in the place of those before, for a user who shows a code; the codes, this once.
    ///
    /// # Errors
    /// As [`Patrol::confirm_second_factor`].
    pub fn renew_recovery_codes(
        &self,
        caller: &Caller,
        user: &UserRow,
        code: &Secret,
    ) -> Result<Vec<Secret>, Error> {
        self.change_by_code(user, code, |transaction| {
            let codes = renew(transaction, user.id)?;
            let event = AuditEvent::new("renew_recovery_codes", self.now(), caller).user(user);
            Ok((codes, event))
        })
    }

    /// Turns a user's second factor off, who shows password and code.
    ///
    /// Slow on purpose: not to be called on a thread that answers others.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] for either; [`Error::Invalid`] where the tenant asks for a second factor; an outage.
    pub fn disable_second_factor(
        &self,
        caller: &Caller,
        user: &UserRow,
        password: &Secret,
        code: &Secret,
    ) -> Result<(), Error> {
        let stored = found(self.store.read()?.password(user.id)?, "user", &user.name)?;
        let hash = stored.hash.ok_or(Error::WrongPassword)?;
        judge_hash(&hash, password)?;
        self.change_by_code(user, code, |transaction| {
            let owner = found(transaction.owner(user.id)?, "user", &user.name)?;
            if owner.multi_factor {
                return Err(Error::Invalid(
                    "your organization asks for a second factor: it cannot be turned off".to_owned(),
                ));
            }
            transaction.delete_second_factor(user.id)?;
            let event = AuditEvent::new("disable_second_factor", self.now(), caller).user(user);
            Ok(((), event))
        })
    }

    /// A change for somebody who shows a code, with its audit event. A wrong code changes nothing, but is counted.
    fn change_by_code<T>(
        &self,
        user: &UserRow,
        code: &Secret,
        change: impl FnOnce(&mut dyn Transaction) -> Result<(T, AuditEvent), Error>,
    ) -> Result<T, Error> {
        let mut transaction = self.store.begin()?;
        if !self.shows_second_factor(&mut *transaction, user, code)? {
            transaction.commit()?;
            return Err(Error::WrongPassword);
        }
        let (value, event) = change(&mut *transaction)?;
        self.complete(transaction, event)?;
        Ok(value)
    }

    /// Whether a code is one of the user's. If not, that is noted, and to be committed.
    fn shows_second_factor(
        &self,
        transaction: &mut dyn Transaction,
        user: &UserRow,
        code: &Secret,
    ) -> Result<bool, Error> {
        let row = transaction.second_factor(user.id)?;
        let row = row
            .filter(|row| row.confirmed.is_some())
            .ok_or(Error::WrongPassword)?;
        let shown = self.spend(transaction, user.id, &row, code)?;
        if !shown {
            transaction.count_wrong_code(user.id)?;
        }
        Ok(shown)
    }

    /// Uses a code up: whether it is one, of the time or for recovery, that was not used before.
    fn spend(
        &self,
        transaction: &mut dyn Transaction,
        user: Id,
        row: &SecondFactorRow,
        code: &Secret,
    ) -> Result<bool, Error> {
        let mut plain = Zeroizing::new(Vec::with_capacity(code.expose().len()));
        let kept = code.expose().iter().filter(|byte| !b" -".contains(byte));
        plain.extend(kept.map(u8::to_ascii_lowercase));
        if plain.len() != 6 {
            return Ok(row.confirmed.is_some()
                && transaction.use_recovery_code(user, &Sha256::digest(&*plain).into())?);
        }
        if row.confirmed.is_some() && row.wrong >= WRONG_CODES {
            return Err(Error::Invalid(
                "too many codes were wrong: enter a recovery code, or ask an administrator to remove your second step"
                    .to_owned(),
            ));
        }
        let secret = unseal(&self.data, user, &row.sealed)?;
        let totp: Totp = Builder::new().with_secret(&secret[..]).build_noncompliant();
        let now = self.now().checked_div(1_000).unwrap_or_default();
        let step = now.checked_div(STEP).unwrap_or_default();
        for step in [step.saturating_sub(1), step, step.saturating_add(1)] {
            let right = Zeroizing::new(totp.generate(step.saturating_mul(STEP)).to_string());
            if bool::from(right.as_bytes().ct_eq(&plain)) {
                return Ok(transaction.use_step(user, step)?);
            }
        }
        Ok(false)
    }

    /// After a right password of this epoch: a session, or what is needed for the second step.
    pub(super) fn first_step(&self, user: &UserRow, epoch: u64, origin: &Origin) -> Result<FirstStep, Error> {
        let read = self.store.read()?;
        let owner = read.owner(user.id)?.ok_or(Error::WrongPassword)?;
        let factor = read.second_factor(user.id)?;
        drop(read);
        if !owner.multi_factor && factor.is_none_or(|factor| factor.confirmed.is_none()) {
            return self
                .open_web(user.id, BY_PASSWORD, Some(epoch), origin)
                .map(|opened| FirstStep::In(Box::new(opened)));
        }
        let id = self.new_id()?;
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let mut transaction = self.store.begin()?;
        let now = self.now();
        transaction.delete_half_sign_in(Id::default(), now)?;
        transaction.insert_half_sign_in(&HalfSignIn {
            id,
            owner: user.id,
            digest: token::digest(&bytes),
            password_epoch: epoch,
            expires: now.saturating_add(HALF_FOR),
            tries: 0,
        })?;
        transaction.commit()?;
        Ok(FirstStep::Half(compose(id, &bytes)))
    }

    /// Who is half signed in, and whether they have a second factor to show; else they have to get one first.
    ///
    /// # Errors
    /// [`Error::Refused`] where they are not, or not any more; an outage.
    pub fn half_signed_in(&self, presented: &Secret) -> Result<(UserRow, bool), Error> {
        let transaction = self.store.begin()?;
        let (_, user) = half(&*transaction, presented, self.now())?;
        let factor = transaction.second_factor(user.id)?;
        Ok((user, factor.is_some_and(|factor| factor.confirmed.is_some())))
    }

    /// The second step: a session for somebody who is half signed in and shows a code. Whoever had no second factor has
    /// one from now on, and is shown its recovery codes, this once.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] for a wrong code; [`Error::Refused`] where nobody is half signed in, or too many codes
    /// were wrong; an outage.
    pub fn second_step(
        &self,
        presented: &Secret,
        code: &Secret,
        origin: &Origin,
    ) -> Result<(WebSignIn, Vec<Secret>), Error> {
        let mut about = None;
        self.judge_second(presented, code, origin, &mut about)
            .and_then(|(half, codes)| {
                let epoch = Some(half.password_epoch);
                Ok((self.open_web(half.owner, BY_PASSWORD, epoch, origin)?, codes))
            })
            .inspect_err(|error| {
                let wrong = Error::Invalid("the code is wrong, or was used before".to_owned());
                let told = if matches!(error, Error::WrongPassword) {
                    &wrong
                } else {
                    error
                };
                self.note_web("web_second_step", about.as_ref(), told, origin);
            })
    }

    fn judge_second(
        &self,
        presented: &Secret,
        code: &Secret,
        origin: &Origin,
        about: &mut Option<UserRow>,
    ) -> Result<(HalfSignIn, Vec<Secret>), Error> {
        let mut transaction = self.store.begin()?;
        let now = self.now();
        let (half, user) = half(&*transaction, presented, now)?;
        *about = Some(user.clone());
        let factor = transaction.second_factor(user.id)?;
        let enrolled = factor.as_ref().is_some_and(|factor| factor.confirmed.is_some());
        let shown = if enrolled {
            match self.shows_second_factor(&mut *transaction, &user, code)? {
                true => Ok(Vec::new()),
                false => Err(Error::WrongPassword),
            }
        } else {
            self.confirm(&mut *transaction, &user, code)
        };
        match shown {
            Ok(codes) => {
                if !enrolled {
                    AuditEvent::new("enable_second_factor", now, &anybody(origin))
                        .by_user(&user)
                        .write(&mut *transaction)?;
                }
                transaction.delete_half_sign_in(half.id, now)?;
                transaction.commit()?;
                Ok((half, codes))
            }
            Err(Error::WrongPassword) => {
                transaction.count_try(half.id)?;
                transaction.commit()?;
                Err(Error::WrongPassword)
            }
            Err(error) => Err(error),
        }
    }
}

/// Who is half signed in.
fn half<T: Transaction + ?Sized>(
    transaction: &T,
    presented: &Secret,
    now: Timestamp,
) -> Result<(HalfSignIn, UserRow), Error> {
    let (id, digest) = parse(presented).ok_or(refused(RefusalReason::Malformed))?;
    let half = transaction.half_sign_in(id)?;
    let half = half.ok_or(refused(RefusalReason::Unknown))?;
    if !bool::from(half.digest.to_bytes().ct_eq(&digest.to_bytes())) {
        return Err(refused(RefusalReason::WrongSecret));
    }
    // At the very instant it is over.
    if now >= half.expires || half.tries >= TRIES {
        return Err(refused(RefusalReason::Expired));
    }
    let user = transaction.user(half.owner)?;
    let user = user.filter(|user| user.enabled && user.deleted.is_none());
    Ok((half, user.ok_or(refused(RefusalReason::OwnerDisabled))?))
}

fn renew(transaction: &mut dyn Transaction, user: Id) -> Result<Vec<Secret>, Error> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    let mut digests = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let mut random = Zeroizing::new([0_u8; 16]);
        getrandom::fill(&mut *random).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'0');
        let plain = Zeroizing::new(random.iter().map(letter).collect::<Vec<u8>>());
        digests.push(Sha256::digest(&*plain).into());
        // In groups of four, to be copied by hand.
        let grouped = plain.chunks(4).collect::<Vec<_>>().join(&b'-');
        codes.push(Secret::new(grouped));
    }
    transaction.put_recovery_codes(user, &digests)?;
    Ok(codes)
}

fn key_trouble(why: &str) -> StoreError {
    StoreError::Unavailable(format!("cannot use {FILE}, the key of second factors: {why}"))
}

fn read_key(data: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, StoreError> {
    private_file::if_there(private_file::read_key(&data.join(FILE), PREFIX))
        .map_err(|why| key_trouble(&format!("{why:?}")))
}

/// Seals a secret, for this user only. The store's lock sees to it that one process makes the key.
fn seal(
    data: &Path,
    transaction: &mut dyn Transaction,
    user: Id,
    secret: &[u8; 20],
) -> Result<Vec<u8>, StoreError> {
    let key = match read_key(data)? {
        Some(key) => key,
        None if transaction.any_second_factor()? => {
            return Err(key_trouble("it is missing: put it back from its backup"));
        }
        None => {
            let mut key = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *key).map_err(|error| key_trouble(&error.to_string()))?;
            // It is on disk, whole, before anything is sealed with it.
            let line = key_text::line(PREFIX, &key);
            private_file::replace(&data.join(FILE), line.as_bytes())
                .map_err(|error| key_trouble(&error.to_string()))?;
            key
        }
    };
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).map_err(|error| key_trouble(&error.to_string()))?;
    let mut sealed = *secret;
    let tag = ChaCha20Poly1305::new((&*key).into())
        .encrypt_inout_detached(
            &Nonce::from(nonce),
            &user.to_bytes(),
            sealed.as_mut_slice().into(),
        )
        .map_err(|_| key_trouble("it does not seal"))?;
    Ok([&nonce[..], &sealed, &tag].concat())
}

fn unseal(data: &Path, user: Id, sealed: &[u8]) -> Result<Zeroizing<[u8; 20]>, StoreError> {
    let key = read_key(data)?.ok_or_else(|| key_trouble("it is missing: put it back from its backup"))?;
    let parts = || {
        let (nonce, rest) = sealed.split_first_chunk::<12>()?;
        let (text, tag) = rest.split_first_chunk::<20>()?;
        Some((*nonce, Zeroizing::new(*text), <[u8; 16]>::try_from(tag).ok()?))
    };
    let (nonce, mut text, tag) =
        parts().ok_or_else(|| StoreError::Corrupt("a second factor is not as it was sealed".to_owned()))?;
    ChaCha20Poly1305::new((&*key).into())
        .decrypt_inout_detached(
            &Nonce::from(nonce),
            &user.to_bytes(),
            text.as_mut_slice().into(),
            &Tag::from(tag),
        )
        .map_err(|_| key_trouble("it is not the one that they were sealed with"))?;
    Ok(text)
}
