//! Notices: tokens that end soon, or were just revoked, told to somebody outside at most once each.
//!
//! * What was revoked is read off the audit trail, which has an entry for each revocation, whoever it was by, in the same
//!   transaction; so nothing is missed, whoever did it and whatever ran. A change of method (R9) is one entry, and one
//!   notice, however many tokens it ended. What is older than [`LATEST`] is not told any more.
//! * What ends soon is found by the time at which it is due, each tenant's by the idle period of its policy, and the
//!   policy is asked. A token has its expiration date told once. That it idles out is told again only when the end that
//!   was told is past, and a use since then has moved it, so a token that is used now and then is told of once in each
//!   of its idle periods, and not after every use.
//! * A notice is taken, durably, before anything of it is sent, and sent by nobody but who took it. So it goes out at
//!   most once, whatever crashes: a crash between taking and sending loses it. Only where it is certain that nothing
//!   was sent, it is given back.
//! * No notice has a secret or a digest in it.

mod channel;
mod notice;

use patrol_policy::types::{Cause, DAY, Duration, Id, MINUTE, Scope, Timestamp};
use serde_json::Value;

use super::{Error, Patrol, ServeLock};
use crate::store::{AuditEntry, AuditFilter, EndingFilter, EndingPlace, NoticeKey, Read, TokenRow};
use crate::time::rfc3339;
pub use channel::{NoticeChannel, NoticeOutcome};
pub use notice::{Named, Notice, NoticeEnd, NoticeKind, NoticeRevocation, NoticeToken};

/// Revocations from longer ago are not told any more, in ms: nobody was told for that long.
const LATEST: Duration = 3 * DAY;
/// Between two searches for tokens that end soon, in ms.
const SEARCH_EVERY: Duration = MINUTE;
/// Audit entries that are looked at in one go.
const ENTRIES: u64 = 5_000;
/// How far a channel may be ahead of what is noted of it: after a crash so many entries are looked at again.
const AHEAD: u64 = 1_000;
/// For how long it is kept what became of a notice, in ms.
const KEPT: Duration = 30 * DAY;

const REVOKED: &str = "revoke_personal_access_token";
const ALL_REVOKED: &str = "batch_revoke_personal_access_token";

/// Where a search for tokens that end soon is: the policy whose tenants' it looks for, and the last token that it saw.
type Search = (usize, Option<EndingPlace>);

/// How far one channel has come, for whoever sends.
#[derive(Debug)]
pub struct NoticeReader {
    channel: NoticeChannel,
    /// The last audit entry that was looked at, and the last that this is noted of.
    seen: Option<(u64, u64)>,
    /// The search that is under way.
    search: Option<Search>,
    /// When the next one begins.
    next_search: Timestamp,
}

impl NoticeReader {
    /// From where this channel stopped.
    #[must_use]
    pub const fn new(channel: NoticeChannel) -> Self {
        Self {
            channel,
            seen: None,
            search: None,
            next_search: 0,
        }
    }

    /// The channel.
    #[must_use]
    pub const fn channel(&self) -> NoticeChannel {
        self.channel
    }

    /// Forgets what was handed out and not taken.
    pub const fn restart(&mut self) {
        self.seen = None;
        self.search = None;
        self.next_search = 0;
    }
}

impl Patrol {
    /// What there is to tell this channel next, at most so many: each is to be taken before it is sent. A channel that
    /// is asked for the first time is told nothing of what was revoked before.
    ///
    /// # Errors
    /// A fault of a policy, or an outage.
    pub fn next_notices(
        &self,
        _lock: &ServeLock,
        reader: &mut NoticeReader,
        limit: u32,
    ) -> Result<Vec<Notice>, Error> {
        let mut all = self.revoked_notices(reader, limit)?;
        let now = self.now();
        if reader.search.is_none() && reader.next_search <= now {
            reader.search = Some((0, None));
            reader.next_search = now.saturating_add(SEARCH_EVERY);
            let mut transaction = self.store.begin()?;
            transaction.forget_notices(now.saturating_sub(KEPT), limit)?;
            transaction.commit()?;
        }
        if all.is_empty()
            && let Some(search) = reader.search
        {
            reader.search = self.ending_notices(reader.channel, search, limit, &mut all)?;
        }
        Ok(all)
    }

    /// Takes a notice: from then on nobody else sends it. False where it is not to be sent, because somebody took it
    /// before, or the token was used meanwhile or has ended.
    ///
    /// # Errors
    /// An outage: it is not taken then.
    pub fn take_notice(&self, channel: NoticeChannel, notice: &Notice) -> Result<bool, Error> {
        let (channel, key) = (channel.as_str(), &notice.key);
        let now = self.now();
        let mut transaction = self.store.begin()?;
        if notice.kind == NoticeKind::Ending {
            let Some(row) = transaction.token_row(key.subject)? else {
                return Ok(false);
            };
            let (token, owner) = (row.state.token, row.state.owner);
            let alive = token.ended.is_none()
                && owner.deleted.is_none()
                && (token.owner_epoch, token.tenant_epoch) == (owner.epoch, owner.tenant_epoch);
            let unchanged = alive && token.last_used == notice.last_used && now < key.due;
            if !unchanged || transaction.is_told(channel, key.subject, key.cause, now)? {
                return Ok(false);
            }
        } else {
            transaction.put_notice_mark(channel, key.due)?;
        }
        let taken = transaction.take_notice(channel, key, now)?;
        transaction.commit()?;
        Ok(taken)
    }

    /// Notes what became of a notice that was taken. One of which certainly nothing was sent is there to be taken again.
    ///
    /// # Errors
    /// An outage: what was not sent is lost then.
    pub fn settle_notice(
        &self,
        channel: NoticeChannel,
        notice: &Notice,
        outcome: NoticeOutcome,
    ) -> Result<(), Error> {
        self.tally.count_notice(channel, outcome);
        if outcome == NoticeOutcome::Unreachable {
            return self.give_back_notice(channel, notice);
        }
        let mut transaction = self.store.begin()?;
        transaction.settle_notice(channel.as_str(), &notice.key, outcome.as_str())?;
        Ok(transaction.commit()?)
    }

    fn give_back_notice(&self, channel: NoticeChannel, notice: &Notice) -> Result<(), Error> {
        let (channel, key) = (channel.as_str(), &notice.key);
        let mut transaction = self.store.begin()?;
        transaction.drop_notice(channel, key)?;
        let revoked = notice.kind != NoticeKind::Ending;
        // Where another one was taken since, it is not told before that one, and so not at all.
        if revoked && transaction.notice_mark(channel)? == Some(key.due) {
            transaction.put_notice_mark(channel, key.due.saturating_sub(1))?;
        }
        Ok(transaction.commit()?)
    }

    fn revoked_notices(&self, reader: &mut NoticeReader, limit: u32) -> Result<Vec<Notice>, Error> {
        let channel = reader.channel.as_str();
        let (seen, noted) = match reader.seen {
            Some(seen) => seen,
            None => {
                let mark = self.notice_mark(channel)?;
                (mark, mark)
            }
        };
        if seen.saturating_sub(noted) > AHEAD {
            let mut transaction = self.store.begin()?;
            transaction.put_notice_mark(channel, seen)?;
            transaction.commit()?;
            reader.seen = Some((seen, seen));
            return self.revoked_notices(reader, limit);
        }
        let now = self.now();
        let filter = AuditFilter {
            after: seen,
            ..AuditFilter::default()
        };
        let read = self.store.read()?;
        let (mut last, mut entries, mut found) = (seen, 0_u64, Vec::new());
        let wanted = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        read.audit(&filter, &mut |entry| {
            last = entry.seq;
            entries = entries.saturating_add(1);
            let revocation = matches!(&*entry.event_type, REVOKED | ALL_REVOKED);
            if revocation && entry.at >= now.saturating_sub(LATEST) {
                found.push(entry);
            }
            entries < ENTRIES && found.len() < wanted
        })?;
        let mut notices = Vec::new();
        for entry in found {
            notices.extend(self.revoked_notice(&*read, &entry, now)?);
        }
        reader.seen = Some((last, noted));
        Ok(notices)
    }

    /// Where this channel stopped; one that is new begins at the end.
    fn notice_mark(&self, channel: &str) -> Result<u64, Error> {
        if let Some(mark) = self.store.read()?.notice_mark(channel)? {
            return Ok(mark);
        }
        let mut transaction = self.store.begin()?;
        let head = transaction.audit_head()?.seq;
        transaction.put_notice_mark(channel, head)?;
        transaction.commit()?;
        Ok(head)
    }

    /// What an audit entry says that somebody has to know; none where nothing was revoked.
    fn revoked_notice(
        &self,
        read: &dyn Read,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<Option<Notice>, Error> {
        let Ok(event) = serde_json::from_str::<Value>(&entry.body) else {
            tracing::error!(
                entry = entry.seq,
                "an audit entry is no JSON: nobody is told of it"
            );
            return Ok(None);
        };
        let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
        let id = |key: &str| text(key).and_then(|text| text.parse::<Id>().ok());
        if text("eventOutcome").as_deref() != Some("success") {
            return Ok(None);
        }
        let detail = |key: &str| event.get("details").and_then(|details| details.get(key));
        let auth_method = detail("authMethod").and_then(Value::as_str).map(str::to_owned);
        let (tenant, owner, token) = (id("tenantId"), id("patUserId"), id("patId"));
        let Some(subject) = token.or(owner).or(tenant) else {
            return Ok(None);
        };
        let (count, owners) = if auth_method.is_some() {
            let scope = match (owner, tenant) {
                (Some(owner), _) => Scope::Owner(owner),
                (None, Some(tenant)) => Scope::Tenant(tenant),
                (None, None) => return Ok(None),
            };
            let idle_since = entry.at.saturating_sub(self.idle_period(tenant));
            let (count, owners) = read.count_ended_by_method(scope, entry.at, idle_since)?;
            (Some(count), Some(owners))
        } else {
            (detail("count").and_then(Value::as_u64), None)
        };
        // A change of method is told in any case: what it ended may be forgotten by now.
        if count == Some(0) && auth_method.is_none() {
            return Ok(None);
        }
        let row = token.map(|token| read.token_row(token)).transpose()?.flatten();
        let user = owner.map(|owner| read.user(owner)).transpose()?.flatten();
        let token = token.map(|id| NoticeToken {
            id: id.to_string(),
            name: text("patName").unwrap_or_default(),
            expires: text("patExpirationTime"),
            last_used: row
                .as_ref()
                .and_then(|row| row.state.token.last_used)
                .map(rfc3339),
            last_used_from: row.as_ref().and_then(|row| row.last_used_from.clone()),
        });
        let cause = match auth_method {
            Some(_) => Cause::AuthMethodChanged,
            None => Cause::Revoked,
        };
        Ok(Some(Notice {
            id: format!("revoked-{}", entry.seq),
            kind: match token {
                Some(_) => NoticeKind::Revoked,
                None => NoticeKind::AllRevoked,
            },
            time: rfc3339(now),
            tenant: tenant.map(|id| Named {
                id: id.to_string(),
                name: text("tenantName"),
            }),
            owner: owner.map(|id| Named {
                id: id.to_string(),
                name: user.as_ref().map(|user| user.name.clone()),
            }),
            token,
            ends: None,
            revoked: Some(NoticeRevocation {
                at: rfc3339(entry.at),
                cause: cause.as_str(),
                by_role: text("initiatingUserRole").unwrap_or_else(|| "user".to_owned()),
                by: text("initiatingUserDisplayName").or_else(|| text("initiatingUserId")),
                count,
                owners,
                auth_method,
            }),
            key: NoticeKey {
                subject,
                cause: cause.as_str(),
                due: entry.seq,
            },
            last_used: None,
            owner_email: user
                .filter(|user| user.deleted.is_none())
                .and_then(|user| user.email),
        }))
    }

    /// The idle period of this tenant's policy, or else of everybody's.
    fn idle_period(&self, tenant: Option<Id>) -> Duration {
        let (policies, parameters) = (self.policies.load(), self.parameters());
        let governing = policies.governing();
        let its = governing
            .iter()
            .find(|chosen| tenant.is_some_and(|tenant| chosen.tenants.contains(tenant)));
        its.map_or(parameters, |chosen| chosen.running.rules(&parameters))
            .idle_after
    }

    /// One page of tokens that end soon, and where to go on; none where that was the last page.
    fn ending_notices(
        &self,
        channel: NoticeChannel,
        (group, after): Search,
        limit: u32,
        all: &mut Vec<Notice>,
    ) -> Result<Option<Search>, Error> {
        let policies = self.policies.load();
        let Some(chosen) = policies.governing().into_iter().nth(group) else {
            return Ok(None);
        };
        let now = self.now();
        let by = now.saturating_add(self.config().notices.ending_within.0);
        let found = self.store.read()?.ending_tokens(&EndingFilter {
            tenants: &chosen.tenants,
            now,
            idle_after: chosen.running.rules(&self.parameters()).idle_after,
            by,
            channel: channel.as_str(),
            after,
            limit: limit.max(1),
        })?;
        let last = found.last().map(|(_, place)| *place);
        let full = u32::try_from(found.len()).is_ok_and(|count| count >= limit.max(1));
        let states: Vec<_> = found.iter().map(|(row, _)| row.state).collect();
        let outlooks = match states.is_empty() {
            true => Vec::new(),
            false => self.foresee_by(chosen, &states)?,
        };
        for ((row, _), outlook) in found.into_iter().zip(outlooks) {
            let by_itself = matches!(outlook.ends.cause, Cause::ExpirationDate | Cause::Idle);
            if by_itself && now < outlook.ends.at && outlook.ends.at <= by {
                all.push(ending_notice(row, outlook.ends.cause, outlook.ends.at, now));
            }
        }
        let next = match full {
            true => (group, last),
            false => (group.saturating_add(1), None),
        };
        Ok(Some(next))
    }
}

fn ending_notice(row: TokenRow, cause: Cause, at: Timestamp, now: Timestamp) -> Notice {
    let token = row.state.token;
    Notice {
        id: format!("ending-{}-{at}", token.id),
        kind: NoticeKind::Ending,
        time: rfc3339(now),
        tenant: Some(Named {
            id: token.tenant.to_string(),
            name: Some(row.tenant_name),
        }),
        owner: Some(Named {
            id: token.owner.to_string(),
            name: Some(row.owner_name),
        }),
        token: Some(NoticeToken {
            id: token.id.to_string(),
            name: row.name,
            expires: Some(rfc3339(token.expires)),
            last_used: token.last_used.map(rfc3339),
            last_used_from: row.last_used_from,
        }),
        ends: Some(NoticeEnd {
            at: rfc3339(at),
            cause: cause.as_str(),
        }),
        revoked: None,
        key: NoticeKey {
            subject: token.id,
            cause: cause.as_str(),
            due: at,
        },
        last_used: token.last_used,
        owner_email: row.owner_email,
    }
}
