//! Tokens that have ended, of one owner.

use patrol_policy::types::{Id, Timestamp};
use rusqlite::named_params;

use super::columns::{bound, owner_columns, token_columns, token_row_columns, token_tables};
use super::connections::Lent;
use super::read::View;
use crate::store::{ReadHistory, Result, TokenRow};

/// By the index of an owner's tokens, which has the time of the end second: only tokens of one instant are sorted.
pub(super) const ENDED_OF: &str = concat!(
    "SELECT ",
    token_row_columns!(),
    " FROM ",
    token_tables!(),
    " JOIN audience a ON a.id = k.audience \
     WHERE u.id = :owner AND k.ended_at <= :at AND (k.ended_at < :at OR k.id < :id) \
     ORDER BY k.ended_at DESC, k.id DESC LIMIT :limit"
);

pub(super) const UNMARKED_OF: &str = concat!(
    "SELECT ",
    token_row_columns!(),
    " FROM ",
    token_tables!(),
    " JOIN audience a ON a.id = k.audience WHERE u.id = :owner AND k.ended_at IS NULL"
);

impl<C: Lent> ReadHistory for View<C> {
    fn ended_tokens(&self, owner: Id, after: Option<(Timestamp, Id)>, limit: u32) -> Result<Vec<TokenRow>> {
        // After none: before the end of time.
        let (at, id) = after.map_or((i64::MAX, [u8::MAX; 16]), |(at, id)| (bound(at), id.to_bytes()));
        let parameters = named_params! { ":owner": owner.to_bytes(), ":at": at, ":id": id, ":limit": limit };
        self.all(ENDED_OF, parameters, |columns| columns.token_row())
    }

    fn unmarked_tokens(&self, owner: Id) -> Result<Vec<TokenRow>> {
        self.all(
            UNMARKED_OF,
            named_params! { ":owner": owner.to_bytes() },
            |columns| Ok(self.merged_row(columns.token_row()?)),
        )
    }
}
