//! By what somebody is told, and what became of it.

use crate::config::NoticeConfig;

/// A way to tell somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeChannel {
    /// `[notices] webhook`.
    Webhook,
    /// `[notices.mail]`.
    Mail,
}

impl NoticeChannel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::Mail];

    /// Its name, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
        }
    }

    /// Whether it is configured.
    #[must_use]
    pub const fn is_on(self, config: &NoticeConfig) -> bool {
        match self {
            Self::Webhook => config.webhook.is_some(),
            Self::Mail => config.mail.is_some(),
        }
    }
}

/// What became of a notice that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// The receiver said yes.
    Delivered,
    /// The receiver said something else.
    Refused,
    /// It may have arrived or not.
    Unknown,
    /// The receiver could not be reached: certainly nothing of it was sent, and it is to be tried again.
    Unreachable,
}

impl NoticeOutcome {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Refused, Self::Unknown, Self::Unreachable];

    /// Its name, as stored and counted.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
        }
    }
}
