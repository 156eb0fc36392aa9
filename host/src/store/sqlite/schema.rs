//! The tables, and how a data file of an older version is brought up to date.
//!
//! Choices that are costly to change later:
//!
//! * `token` and `session` are keyed by their 16-byte identifier and have no row number: one search finds a row.
//!   Identifiers are version 7 UUIDs, so new rows are appended and pages stay full.
//! * Tenants and users have a small number beside their identifier, which tokens refer to. It saves some 26 bytes a
//!   token and makes the join of the hot path a search by row number.
//! * `token_owner` covers ended tokens too: a live one costs nothing more (a null has no bytes), and an owner's whole
//!   history can be listed by it. Its third part is the *sum* of both epochs. Epochs only grow and a token cannot be
//!   born ahead of them, so a smaller sum means an outdated epoch, and one range finds those tokens.
//! * `token_due` finds, tenant by tenant, both tokens past their expiration date and idle ones: it holds when a token
//!   lapses if it is not used again, by the default idle period. Under another period the query looks as much farther as
//!   that is shorter, and tests what it finds; only its speed rests on the default. The last part of `token_owner` is the
//!   same for one owner: it finds the tokens of tenants with another period than everybody's.
//! * Times are milliseconds. Causes are stored by name, roles as a JSON array.
//! * A row that makes no sense is refused by the constraints, whoever writes it.

use rusqlite::{Connection, TransactionBehavior};

use super::open::OpenError;
use super::sites::event_tenant;

/// Marks the file as ours: "PATR".
const APPLICATION_ID: i64 = 0x5041_5452;

/// Each entry brings the schema from its index to the next version. Entries are never edited once released.
const MIGRATIONS: &[&str] = &[
    VERSION_1,
    VERSION_2,
    SITES_AND_ACCOUNTS,
    RELEASES,
    TENANT_RELEASES,
    PROVEN_RELEASES,
    DUE_BY_OWNER,
    PEPPER,
    WEB_SESSIONS,
    FEDERATION,
    ONE_TIME_LINKS,
    TOKEN_PAGES,
    SECOND_FACTORS,
    NOTICES,
    WRONG_CODES,
];

const VERSION_1: &str = "
CREATE TABLE meta (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    audit_seq INTEGER NOT NULL,
    audit_hash BLOB NOT NULL CHECK (length(audit_hash) = 32),
    clock_mark INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 0, zeroblob(32), 0);

CREATE TABLE tenant (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    auth_method TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    epoch_since INTEGER NOT NULL DEFAULT 0,
    multi_factor INTEGER NOT NULL CHECK (multi_factor IN (0, 1)),
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE user (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    tenant INTEGER NOT NULL REFERENCES tenant (key),
    name TEXT NOT NULL,
    email TEXT,
    roles TEXT NOT NULL,
    password_hash TEXT,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    deleted_at INTEGER,
    auth_method TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    epoch_since INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX user_name ON user (tenant, name) WHERE deleted_at IS NULL;
CREATE INDEX user_deleted ON user (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE audience (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE token (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    owner INTEGER NOT NULL REFERENCES user (key),
    audience INTEGER NOT NULL REFERENCES audience (id),
    name TEXT NOT NULL,
    scheme INTEGER NOT NULL,
    digest BLOB CHECK (length(digest) = 32),
    generation INTEGER NOT NULL,
    previous_scheme INTEGER,
    previous_digest BLOB CHECK (length(previous_digest) = 32),
    previous_until INTEGER,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    last_used INTEGER,
    last_used_from TEXT,
    owner_epoch INTEGER NOT NULL,
    tenant_epoch INTEGER NOT NULL,
    ended_at INTEGER,
    ended_cause TEXT,
    CHECK ((scheme = 0) = (digest IS NULL)),
    CHECK ((previous_until IS NULL) = (previous_scheme IS NULL)),
    CHECK ((previous_until IS NULL) = (previous_digest IS NULL)),
    CHECK ((ended_at IS NULL) = (ended_cause IS NULL)),
    CHECK (ended_at IS NULL OR (scheme = 0 AND previous_until IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX token_owner ON token (owner, ended_at, owner_epoch + tenant_epoch);
CREATE INDEX token_due ON token (min(expires, coalesce(last_used, created) + 1296000000)) WHERE ended_at IS NULL;
CREATE INDEX token_previous ON token (previous_until) WHERE previous_until IS NOT NULL;
CREATE INDEX token_ended ON token (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE session (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    token BLOB NOT NULL REFERENCES token (id),
    generation INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    opened INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    ended_at INTEGER,
    ended_cause TEXT,
    CHECK ((ended_at IS NULL) = (ended_cause IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX session_token ON session (token, ended_at);
CREATE INDEX session_opened ON session (opened);
CREATE INDEX session_used ON session (last_used);
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    user BLOB CHECK (length(user) = 16),
    body TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_user ON audit (user) WHERE user IS NOT NULL;
";

/// Sites, each tenant with one; sessions that passwords opened; and what lists a tenant's users and events page by page.
///
/// * `audit_hour` looks at the body, so that what it says of an entry is sealed like the entry itself.
/// * A user's `password_epoch` counts how often the password was set.
const SITES_AND_ACCOUNTS: &str = concat!(
    "
CREATE TABLE site (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    tenant INTEGER NOT NULL REFERENCES tenant (key),
    name TEXT NOT NULL,
    content_url TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX site_page ON site (tenant, id);
CREATE UNIQUE INDEX site_name ON site (tenant, name);
CREATE UNIQUE INDEX site_content_url ON site (tenant, content_url);
INSERT INTO site (id, tenant, name, content_url, created)
SELECT unhex(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || '8' || substr(hex(randomblob(8)), 2)),
    key, 'Default', '', created FROM tenant;

ALTER TABLE user ADD COLUMN password_epoch INTEGER NOT NULL DEFAULT 0;
CREATE INDEX user_page ON user (tenant, id) WHERE deleted_at IS NULL;

CREATE TABLE account_session (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    owner INTEGER NOT NULL REFERENCES user (key),
    audience INTEGER NOT NULL REFERENCES audience (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    opened INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    owner_epoch INTEGER NOT NULL,
    tenant_epoch INTEGER NOT NULL,
    password_epoch INTEGER NOT NULL,
    ended_at INTEGER,
    ended_cause TEXT,
    CHECK ((ended_at IS NULL) = (ended_cause IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX account_session_opened ON account_session (opened);
CREATE INDEX account_session_used ON account_session (last_used);
CREATE INDEX account_session_ended ON account_session (ended_at) WHERE ended_at IS NOT NULL;

CREATE INDEX audit_hour ON audit (",
    event_tenant!(),
    ", at / 3600000);
"
);
/// Clients of the OAuth endpoints. A revoked one stays, without its digest, for those who read the audit trail; its
/// name becomes free.
const VERSION_2: &str = "
CREATE TABLE client (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL,
    tenant INTEGER REFERENCES tenant (key),
    audiences TEXT NOT NULL,
    scheme INTEGER NOT NULL,
    digest BLOB CHECK (length(digest) = 32),
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked_at INTEGER,
    CHECK ((scheme = 0) = (digest IS NULL)),
    CHECK ((scheme = 0) = (revoked_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX client_name ON client (name) WHERE revoked_at IS NULL;
";

/// Releases of policies that were staged, and the stack of those that were activated: the one with the highest place is
/// active. Their files lie beside the database, under the same digests.
const RELEASES: &str = "
CREATE TABLE release (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    staged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE activation (
    place INTEGER PRIMARY KEY,
    release BLOB NOT NULL REFERENCES release (digest),
    at INTEGER NOT NULL
) STRICT;
";

/// A tenant may have a stack of its own; where the column is null, the activation is everybody's.
const TENANT_RELEASES: &str = "
ALTER TABLE activation ADD COLUMN tenant INTEGER REFERENCES tenant (key);
CREATE INDEX activation_of ON activation (tenant, place);
";

/// A release that was activated is watched until it has proven itself; what was active before releases were watched,
/// has.
const PROVEN_RELEASES: &str = "
ALTER TABLE activation ADD COLUMN proven INTEGER;
UPDATE activation SET proven = at;
";

/// An owner's tokens, those of the present epochs in the order in which they lapse: a tenant whose idle period is its
/// own has its lapsed tokens found without a look at anybody else's.
const DUE_BY_OWNER: &str = "
DROP INDEX token_owner;
CREATE INDEX token_owner ON token (owner, ended_at, owner_epoch + tenant_epoch,
    min(expires, coalesce(last_used, created) + 1296000000));
";

/// How to tell the pepper, which is not here, from another.
const PEPPER: &str = "ALTER TABLE meta ADD COLUMN pepper_check BLOB CHECK (length(pepper_check) = 32);";

/// Sessions of people on the pages: few, and read by their identifier.
const WEB_SESSIONS: &str = "
CREATE TABLE web_session (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    owner INTEGER NOT NULL REFERENCES user (key),
    via TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    opened INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    owner_epoch INTEGER NOT NULL,
    tenant_epoch INTEGER NOT NULL,
    password_epoch INTEGER NOT NULL,
    ended_at INTEGER,
    ended_cause TEXT,
    CHECK ((ended_at IS NULL) = (ended_cause IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX web_session_owner ON web_session (owner);
";

/// Who a user is at identity providers. An address belongs to one user of a tenant, or to nobody that way.
const FEDERATION: &str = "
CREATE TABLE federated_identity (
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    owner INTEGER NOT NULL REFERENCES user (key),
    linked INTEGER NOT NULL,
    PRIMARY KEY (provider, issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX federated_identity_owner ON federated_identity (owner, provider, issuer);
CREATE INDEX user_email ON user (tenant, lower(email)) WHERE deleted_at IS NULL AND email IS NOT NULL;
";

/// Links that are good once. Without a user, it is one to set things up.
const ONE_TIME_LINKS: &str = "
CREATE TABLE one_time_link (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    user INTEGER REFERENCES user (key),
    password_epoch INTEGER,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    used_at INTEGER,
    CHECK ((user IS NULL) = (password_epoch IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_link_user ON one_time_link (user);
";

/// An organisation's tokens in each order in which they are reviewed, so that a page is found by an index however many
/// there are.
///
/// * A token's tenant is its owner's, who never moves to another.
/// * `lapses` says when a token lapses if it is not used again, by the default idle period, as `token_owner` does; `title`
///   is the name as it is sorted. Both are columns, though nothing is stored of them, since a place in an index is found
///   by several columns at once and not by expressions.
/// * `token_due` begins with the tenant: it serves sweeping, tenant by tenant, as well as pages, and an index more would
///   cost every flush of last uses. `token_used` does cost one; the other two are written when a token is made.
const TOKEN_PAGES: &str = "
ALTER TABLE token ADD COLUMN tenant INTEGER REFERENCES tenant (key);
UPDATE token SET tenant = (SELECT u.tenant FROM user u WHERE u.key = token.owner);
ALTER TABLE token ADD COLUMN lapses INTEGER
    GENERATED ALWAYS AS (min(expires, coalesce(last_used, created) + 1296000000)) VIRTUAL;
ALTER TABLE token ADD COLUMN title TEXT COLLATE NOCASE GENERATED ALWAYS AS (name) VIRTUAL;
DROP INDEX token_due;
CREATE INDEX token_due ON token (tenant, ended_at, lapses, id);
CREATE INDEX token_page ON token (tenant, id);
CREATE INDEX token_name ON token (tenant, title, id);
CREATE INDEX token_used ON token (tenant, last_used, id);
";

/// Second factors, sealed; recovery codes that are not used up; and sign-ins that wait for the second step.
const SECOND_FACTORS: &str = "
CREATE TABLE second_factor (
    owner INTEGER PRIMARY KEY REFERENCES user (key),
    sealed BLOB NOT NULL,
    confirmed_at INTEGER,
    last_step INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE recovery_code (
    owner INTEGER NOT NULL REFERENCES user (key),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (owner, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE half_sign_in (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    owner INTEGER NOT NULL REFERENCES user (key),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    password_epoch INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
";

/// Notices that were taken to be sent, before they were, and how far each channel has come in the audit trail.
///
/// * `due` is the end that was told, in ms; of a revocation, the number of its audit entry. A token has its end told
///   again for the same `cause` once the one that was told is past: it was used, and comes near its end once more.
/// * Without an `outcome` it is not known: the process ended between taking and sending, or after.
const NOTICES: &str = "
CREATE TABLE notice (
    subject BLOB NOT NULL CHECK (length(subject) = 16),
    channel TEXT NOT NULL CHECK (channel IN ('webhook', 'mail')),
    cause TEXT NOT NULL,
    due INTEGER NOT NULL,
    taken_at INTEGER NOT NULL,
    outcome TEXT,
    PRIMARY KEY (subject, channel, cause, due)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_taken ON notice (taken_at);
CREATE TABLE notice_mark (
    channel TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// How many codes in a row were wrong, since the last one that was right.
const WRONG_CODES: &str = "ALTER TABLE second_factor ADD COLUMN wrong INTEGER NOT NULL DEFAULT 0;";

/// The schema version that this build reads and writes.
pub(super) fn current_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the schema up to date, in one transaction. Refuses a file that is not ours or is of a newer version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    if is_current(connection)? {
        return Ok(());
    }
    // Immediate, and looked at again inside: another process may be about to do the same.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !is_current(&transaction)? {
        let version = usize::try_from(user_version(&transaction)?).unwrap_or(usize::MAX);
        for step in MIGRATIONS.iter().skip(version) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", current_version())?;
    }
    transaction.commit()?;
    Ok(())
}

/// Whether there is nothing to do; an error where nothing can be done.
fn is_current(connection: &Connection) -> Result<bool, OpenError> {
    let version = user_version(connection)?;
    let known = current_version();
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let used: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| {
        row.get(0)
    })?;
    if application != APPLICATION_ID && (used || version != 0) {
        return Err(OpenError::Foreign);
    }
    if version > known {
        return Err(OpenError::Newer {
            found: version,
            known,
        });
    }
    Ok(version == known)
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn data_of_each_older_version_is_kept_and_brought_up_to_date() {
        for version in 1..MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for step in MIGRATIONS.iter().take(version) {
                connection.execute_batch(step).unwrap();
            }
            connection
                .pragma_update(None, "application_id", APPLICATION_ID)
                .unwrap();
            connection
                .pragma_update(None, "user_version", i64::try_from(version).unwrap())
                .unwrap();
            connection.execute("UPDATE meta SET clock_mark = 7", []).unwrap();

            migrate(&mut connection).unwrap();
            assert_eq!(user_version(&connection).unwrap(), current_version());
            let mark: i64 = connection
                .query_row("SELECT clock_mark FROM meta", [], |row| row.get(0))
                .unwrap();
            assert_eq!(mark, 7);
            let clients: i64 = connection
                .query_row("SELECT count(*) FROM client", [], |row| row.get(0))
                .unwrap();
            assert_eq!(clients, 0);
        }
    }
}
