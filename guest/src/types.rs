//! The records of the contract, as plain Rust. They mirror `wit/types.wit`, where each is documented in full; the
//! [`contract!`](crate::contract) macro keeps the two from drifting apart.
//!
//! With the feature `serde` they can be written down, all but those that hold a digest or a secret: what is derived
//! from these types cannot hold what authenticates.

use alloc::string::String;
use core::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, UTC.
pub type Timestamp = u64;
/// Milliseconds. A day is 86,400,000 (R5).
pub type Duration = u64;
/// How often an authentication method changed (R9).
pub type Epoch = u64;
/// The host's number for an audience (R12).
pub type Audience = u32;

/// One day (R5).
pub const DAY: Duration = 86_400_000;
/// One minute.
pub const MINUTE: Duration = 60_000;
/// One hour.
pub const HOUR: Duration = 3_600_000;

/// A 128-bit identifier that never changes (R10). Displayed as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id {
    /// The upper 64 bits.
    pub hi: u64,
    /// The lower 64 bits.
    pub lo: u64,
}

impl Id {
    /// The identifier with these 128 bits.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self {
            hi: (bits >> 64) as u64,
            lo: (bits << 64 >> 64) as u64,
        }
    }

    /// Its 128 bits.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        (self.hi as u128) << 64 | self.lo as u128
    }

    /// Its 16 bytes, big-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.as_u128().to_be_bytes()
    }

    /// The identifier with these 16 bytes, big-endian.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_u128(u128::from_be_bytes(bytes))
    }

    /// As a UUID.
    #[must_use]
    pub const fn as_uuid(self) -> uuid::Uuid {
        uuid::Uuid::from_u64_pair(self.hi, self.lo)
    }

    /// A new identifier: a version 7 UUID, so that rows made together lie together.
    #[must_use]
    pub fn new_v7(now: Timestamp, random: &[u8; 10]) -> Self {
        let uuid = uuid::Builder::from_unix_timestamp_millis(now, random).into_uuid();
        Self::from_u128(uuid.as_u128())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_uuid().hyphenated().fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::str::FromStr for Id {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        uuid::Uuid::try_parse(text).map(|u| Self::from_u128(u.as_u128()))
    }
}

/// As a UUID where people read, as its 16 bytes where not.
#[cfg(feature = "serde")]
impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.to_bytes().serialize(serializer)
        }
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <String as serde::Deserialize>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 16]>::deserialize(deserializer).map(Self::from_bytes)
        }
    }
}

/// A 256-bit digest, big-endian: `a` holds the first eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// Bytes 0 to 7.
    pub a: u64,
    /// Bytes 8 to 15.
    pub b: u64,
    /// Bytes 16 to 23.
    pub c: u64,
    /// Bytes 24 to 31.
    pub d: u64,
}

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, eight) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_be_bytes(*eight);
        }
        let [a, b, c, d] = words;
        Self { a, b, c, d }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (eight, word) in bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip([self.a, self.b, self.c, self.d])
        {
            *eight = word.to_be_bytes();
        }
        bytes
    }
}

// A digest is no secret, but it has no business in a log either.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(rename_all = "kebab-case")
        )]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the contract, as stored and printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The value with this number in the contract. The bindings in the component call it, with what the
            /// host has lowered and so cannot be out of range.
            #[cfg(target_arch = "wasm32")]
            pub(crate) fn _lift(number: u8) -> Self {
                match number {
                    $(number if number == Self::$variant as u8 => Self::$variant,)*
                    _ => core::arch::wasm32::unreachable(),
                }
            }

            /// The value with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

names! {
    /// Why a token or a session ended, or will end.
    Cause {
        /// The expiration date chosen at creation (R5).
        ExpirationDate = "expiration-date",
        /// No use for the idle period (R5).
        Idle = "idle",
        /// Revoked (R8).
        Revoked = "revoked",
        /// The authentication method changed (R9).
        AuthMethodChanged = "auth-method-changed",
        /// The owner was deleted (R4).
        OwnerDeleted = "owner-deleted",
        /// The secret was replaced and the overlap is over.
        Rotated = "rotated",
        /// The session reached its greatest length.
        SessionLifetime = "session-lifetime",
        /// The session was not used for its idle period.
        SessionIdle = "session-idle",
        /// The session was signed out.
        SessionClosed = "session-closed",
        /// A newer sign-in took the session's place.
        SessionReplaced = "session-replaced",
    }
}

names! {
    /// Why the answer is no. Precise for the audit trail, never told to whoever presented a token.
    RefusalReason {
        /// Not of a token's shape.
        Malformed = "malformed",
        /// Mistyped or cut.
        BadChecksum = "bad-checksum",
        /// No such token or session.
        Unknown = "unknown",
        /// The token exists and the secret is wrong.
        WrongSecret = "wrong-secret",
        /// At or past its expiration date (R5).
        Expired = "expired",
        /// Not used for the idle period (R5).
        Idle = "idle",
        /// Revoked (R8).
        Revoked = "revoked",
        /// The secret was replaced and the overlap is over.
        Rotated = "rotated",
        /// The authentication method changed since it was created (R9).
        AuthMethodChanged = "auth-method-changed",
        /// Meant for another audience (R12).
        WrongAudience = "wrong-audience",
        /// The owner is disabled (R4).
        OwnerDisabled = "owner-disabled",
        /// The owner was deleted (R4).
        OwnerDeleted = "owner-deleted",
        /// No such owner or tenant.
        NoSuchOwner = "no-such-owner",
        /// No such token to act on.
        NoSuchToken = "no-such-token",
        /// The session reached its greatest length.
        SessionExpired = "session-expired",
        /// The session was not used for its idle period.
        SessionIdle = "session-idle",
        /// The session was signed out.
        SessionClosed = "session-closed",
        /// A newer sign-in took the session's place.
        SessionReplaced = "session-replaced",
        /// As many live tokens as allowed (R7).
        LimitReached = "limit-reached",
        /// Another live token of the owner has this name (R13).
        NameTaken = "name-taken",
        /// Empty, too long, or with control characters (R13).
        NameInvalid = "name-invalid",
        /// The expiration date is not in the future (R1).
        ExpirationPast = "expiration-past",
        /// The expiration date is too far away.
        ExpirationTooFar = "expiration-too-far",
        /// The rotation's overlap is longer than allowed.
        OverlapTooLong = "overlap-too-long",
        /// The caller may not do this (R8, R12).
        NotPermitted = "not-permitted",
        /// Multi-factor authentication is on: sign in with a PAT (R11).
        PatRequired = "pat-required",
    }
}

names! {
    /// In what capacity somebody asks.
    ActorRole {
        /// May act on anyone's tokens (R8).
        Administrator = "administrator",
        /// May act on their own.
        User = "user",
        /// A PAT or a session opened with one: may only revoke itself (R12).
        Token = "token",
        /// The host's housekeeping.
        System = "system",
    }
}

names! {
    /// The store could not answer.
    Outage {
        /// The store failed or is not there.
        Unavailable = "unavailable",
        /// The store is locked for too long.
        Busy = "busy",
        /// What the store holds makes no sense.
        Corrupt = "corrupt",
    }
}

names! {
    /// How much a message to the host's log matters.
    Level {
        /// Something is wrong.
        Error = "error",
        /// Something is unusual.
        Warn = "warn",
        /// Worth knowing.
        Info = "info",
        /// For whoever writes the policy.
        Debug = "debug",
    }
}

/// When something ended or will end, and why. At the instant `at` it has ended (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct End {
    /// The first instant at which it is over.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
}

impl End {
    /// Whichever comes first; `self` where both are at the same instant (R5).
    #[must_use]
    pub const fn or_earlier(self, other: Self) -> Self {
        if other.at < self.at { other } else { self }
    }
}

/// The secret that a rotation replaced, good until `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// How `digest` was made.
    pub scheme: u8,
    /// The digest of the replaced secret.
    pub digest: Digest,
    /// The first instant at which it is refused.
    pub until: Timestamp,
}

/// A personal access token as it is stored: never its secret (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its identifier.
    pub id: Id,
    /// Whose access it has (R4).
    pub owner: Id,
    /// The owner's tenant.
    pub tenant: Id,
    /// The one audience it is good for (R12).
    pub audience: Audience,
    /// 1: SHA-256 of the 32 secret bytes; 0: erased, nothing matches.
    pub scheme: u8,
    /// The digest of the secret (R2).
    pub digest: Digest,
    /// How many rotations it has been through.
    pub generation: u32,
    /// The secret of the generation before, while an overlap lasts.
    pub previous: Option<PreviousSecret>,
    /// When it was created.
    pub created: Timestamp,
    /// The expiration date (R1).
    pub expires: Timestamp,
    /// The last successful sign-in or verification (R5).
    pub last_used: Option<Timestamp>,
    /// The owner's epoch at birth (R9).
    pub owner_epoch: Epoch,
    /// The tenant's epoch at birth (R9).
    pub tenant_epoch: Epoch,
    /// Set once marked as ended; never unset (R8).
    pub ended: Option<End>,
}

/// What a policy needs to know of a token's owner, as it is now (R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Owner {
    /// The user's identifier (R10).
    pub id: Id,
    /// The user's tenant.
    pub tenant: Id,
    /// False while disabled.
    pub enabled: bool,
    /// When the user was deleted, if so.
    pub deleted: Option<Timestamp>,
    /// How often the user's own method changed.
    pub epoch: Epoch,
    /// When it last changed; 0 if never.
    pub epoch_since: Timestamp,
    /// How often the tenant's method changed.
    pub tenant_epoch: Epoch,
    /// When it last changed; 0 if never.
    pub tenant_epoch_since: Timestamp,
    /// Whether the tenant requires multi-factor authentication (R11).
    pub multi_factor: bool,
}

/// A token together with its owner, read at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// The stored token.
    pub token: Token,
    /// Its owner now.
    pub owner: Owner,
}

/// A session that a token opened, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its identifier.
    pub id: Id,
    /// The token that opened it.
    pub token: Id,
    /// The token's generation at that moment.
    pub generation: u32,
    /// SHA-256 of the session's secret.
    pub digest: Digest,
    /// When it was opened.
    pub opened: Timestamp,
    /// Its last successful check, or when it was opened.
    pub last_used: Timestamp,
    /// Set once closed or replaced.
    pub ended: Option<End>,
}

/// A session with its token and the token's owner, read at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionState {
    /// The stored session.
    pub session: Session,
    /// Its token, and that token's owner.
    pub token: TokenState,
}

/// Which tokens count as live at one instant; the contract says it in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LiveRule {
    /// The instant meant.
    pub now: Timestamp,
    /// A token last used at this instant or before has idled out (R5).
    pub idle_since: Timestamp,
}

/// Whose authentication method is meant (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scope {
    /// A whole tenant's.
    Tenant(Id),
    /// One user's.
    Owner(Id),
}

/// Who asks; the host vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Actor {
    /// In what capacity.
    pub role: ActorRole,
    /// The user's identifier, or the token's; zero for `System`.
    pub id: Id,
}

/// The policy understood and said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// The token it was about, where one was found.
    pub token: Option<Id>,
}

/// Anything but yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The policy said no.
    Refused(Refusal),
    /// The store failed.
    Outage(Outage),
}

impl Denial {
    /// A refusal about a token that was found.
    #[must_use]
    pub const fn about(token: Id, reason: RefusalReason) -> Self {
        Self::Refused(Refusal {
            reason,
            token: Some(token),
        })
    }
}

impl From<RefusalReason> for Denial {
    fn from(reason: RefusalReason) -> Self {
        Self::Refused(Refusal { reason, token: None })
    }
}

impl From<Outage> for Denial {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

/// How much would go with a change of authentication method (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Census {
    /// Live tokens in the scope.
    pub tokens: u64,
    /// Owners of at least one.
    pub owners: u64,
}

/// What the operator configured; `wit/settings.wit` documents each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Idle period of a token, ms (R5).
    pub idle_after: Duration,
    /// Most live tokens of one owner (R7).
    pub tokens_per_owner: u32,
    /// Farthest expiration date, ms from creation.
    pub max_lifetime: Duration,
    /// Longest overlap of a rotation, ms.
    pub max_overlap: Duration,
    /// Longest name, Unicode scalar values (R13).
    pub name_max_length: u32,
    /// Greatest length of a session, ms.
    pub session_lifetime: Duration,
    /// Idle period of a session, ms.
    pub session_idle: Duration,
    /// Open sessions of one token; 0: any number.
    pub sessions_per_token: u32,
    /// How long the record of an ended token stays, ms (R6).
    pub retention: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            idle_after: 15 * DAY,
            tokens_per_owner: 104,
            max_lifetime: 366 * DAY,
            max_overlap: 7 * DAY,
            name_max_length: 255,
            session_lifetime: 4 * HOUR,
            session_idle: 30 * MINUTE,
            sessions_per_token: 0,
            retention: 90 * DAY,
        }
    }
}

/// What to create (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IssueRequest {
    /// The owner-to-be.
    pub owner: Id,
    /// The name, NFC.
    pub name: String,
    /// The expiration date.
    pub expires: Timestamp,
    /// The one audience (R12).
    pub audience: Audience,
}

/// A new token, or an old one with a new secret.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: Id,
    /// The text to hand to the owner.
    pub secret: crate::Secret,
    /// When it will end if never used.
    pub ends: End,
}

/// A yes to a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Grant {
    /// The token.
    pub token: Id,
    /// Its owner.
    pub owner: Id,
    /// The owner's tenant.
    pub tenant: Id,
    /// When it will end if not used again.
    pub ends: End,
}

/// A new session.
#[derive(Debug)]
pub struct OpenedSession {
    /// The session.
    pub session: Id,
    /// The text to present from now on.
    pub secret: crate::Secret,
    /// The token it was opened with.
    pub grant: Grant,
    /// When the session will end if not used again.
    pub ends: End,
    /// When it ends however much it is used.
    pub expires: Timestamp,
}

/// A yes to a presented session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SessionGrant {
    /// The session.
    pub session: Id,
    /// The token that opened it.
    pub token: Id,
    /// The token's owner.
    pub owner: Id,
    /// The owner's tenant.
    pub tenant: Id,
    /// When the session will end if not used again.
    pub ends: End,
}

/// A session that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClosedSession {
    /// The session.
    pub session: Id,
    /// The token that opened it.
    pub token: Id,
    /// The token's owner.
    pub owner: Id,
    /// The owner's tenant.
    pub tenant: Id,
}

/// A token in its owner's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ListedToken {
    /// The token.
    pub token: Id,
    /// When it will end if not used again.
    pub ends: End,
}

/// What a change of authentication method would revoke (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MethodPreview {
    /// False where the method is set already.
    pub changes: bool,
    /// Live tokens that would go.
    pub tokens: u64,
    /// Owners of at least one.
    pub owners: u64,
}

/// Whether a token lives, and when it ended or will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Whether a presented secret would be accepted.
    pub live: bool,
    /// When and why.
    pub ends: End,
}

/// What one round of sweeping did (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Swept {
    /// Tokens marked as ended.
    pub ended: u32,
    /// Replaced secrets erased.
    pub secrets: u32,
    /// Records deleted after the retention period.
    pub forgotten: u32,
    /// Sessions deleted.
    pub sessions: u32,
    /// Whether there may be more to do.
    pub more: bool,
}

/// What a policy says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The policy's name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// The parameters that it works with.
    pub parameters: Parameters,
}
