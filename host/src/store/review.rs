//! Pages of an organisation's tokens, in the order and by the conditions that an administrator chooses.

use patrol_policy::types::{Cause, Id, LiveRule, Timestamp};

use super::{Result, TokenRow};

/// In which order tokens are listed. Those that are equal by it come in the order in which they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenSort {
    /// By when they were made.
    #[default]
    Created,
    /// By name, without regard to ASCII case.
    Name,
    /// By last use, as far as it is written; those that were never used come before all others.
    Used,
    /// By when they ended, or else end if they are not used again. That goes by the default idle period, since it is an
    /// order that an index keeps; ended ones come before all others.
    Ends,
}

/// Which tokens are listed, by whether they live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenStanding {
    /// Whether they do or not.
    #[default]
    Any,
    /// Live ones.
    Live,
    /// Those that ended.
    Ended,
    /// Those that ended for this cause. One that has ended and is not marked yet is let through, whatever the cause.
    EndedBy(Cause),
}

/// Which tokens of a tenant a page lists.
#[derive(Clone, Debug)]
pub struct TokenQuery<'a> {
    /// Of this tenant.
    pub tenant: Id,
    /// Of this owner only.
    pub owner: Option<Id>,
    /// By whether they live.
    pub standing: TokenStanding,
    /// What a live token is.
    pub rule: LiveRule,
    /// Not used since this time, or never.
    pub unused_since: Option<Timestamp>,
    /// Used at this time or later.
    pub used_since: Option<Timestamp>,
    /// Never used.
    pub never_used: bool,
    /// Ended, or ending if not used again, before this time.
    pub ends_before: Option<Timestamp>,
    /// With this in their name, in lower case.
    pub name: Option<&'a str>,
    /// In this order.
    pub sort: TokenSort,
    /// The other way round.
    pub descending: bool,
    /// After this place.
    pub after: Option<&'a TokenPlace>,
    /// At most this many.
    pub limit: u32,
    /// Looking at no more than this many. Where an owner is named, their tokens are put in order first, all of them.
    pub budget: u32,
}

/// A place in a listing: after the token that was there when the page was made. It stays where it is when that one
/// changes or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace {
    /// Which part of the listing.
    pub part: u8,
    /// By what the part is ordered, where that is a number or two.
    pub numbers: (i64, i64),
    /// By what it is ordered, where that is a text.
    pub text: String,
    /// The token.
    pub id: Id,
}

/// A page.
#[derive(Clone, Debug)]
pub struct TokenPage {
    /// What was found, with uses that are not yet written.
    pub rows: Vec<TokenRow>,
    /// Where it goes on, if it does.
    pub next: Option<TokenPlace>,
    /// Whether it goes on because enough was looked at: then nobody knows whether more will be found.
    pub stopped: bool,
    /// How many tokens were looked at.
    pub examined: u32,
}

/// What reviews read.
pub trait ReadReview {
    /// A page of a tenant's tokens.
    fn token_page(&self, query: &TokenQuery<'_>) -> Result<TokenPage>;
}
