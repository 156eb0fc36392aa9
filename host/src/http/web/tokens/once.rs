//! Forms that may do their work once: a page that is loaded again, a button that is pressed twice or a tab that comes
//! back sends the same form again, and a second secret would take the first one's place unseen.
//!
//! What is remembered is bounded. Behind it stand rules that nothing makes forget: no two live tokens of an owner have
//! the same name (R13), and a rotation names the secret that it is to replace.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use patrol_policy::types::Id;

/// How many forms are remembered, of everybody; the oldest are forgotten.
const REMEMBERED: usize = 16_384;

/// A random text of ours, in base64.
const LENGTH: usize = 43;

/// A form of a session.
type Key = (Id, [u8; LENGTH]);

/// What became of forms.
#[derive(Debug, Default)]
pub(super) struct Forms(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    forms: HashMap<Key, Option<(Id, String)>>,
    order: VecDeque<Key>,
}

/// What a form may do.
pub(super) enum Turn {
    /// Its work; nobody else does it meanwhile.
    Now(Claim),
    /// Nothing: it has made this token, or is about to make one.
    Over(Option<(Id, String)>),
}

/// A form that does its work; where that fails, it may be sent again.
pub(super) struct Claim {
    forms: Arc<Forms>,
    key: Key,
    done: bool,
}

impl Forms {
    /// A form's turn; none where the text is none of ours.
    pub(super) fn turn(self: &Arc<Self>, session: Id, once: &str) -> Option<Turn> {
        let key = (session, once.as_bytes().try_into().ok()?);
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = remembered.forms.get(&key) {
            return Some(Turn::Over(made.clone()));
        }
        if remembered.order.len() >= REMEMBERED
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.forms.remove(&oldest);
        }
        remembered.forms.insert(key, None);
        remembered.order.push_back(key);
        Some(Turn::Now(Claim {
            forms: Arc::clone(self),
            key,
            done: false,
        }))
    }
}

impl Claim {
    /// The work is done.
    pub(super) fn made(mut self, token: Id, name: &str) {
        let mut remembered = self.forms.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = remembered.forms.get_mut(&self.key) {
            *made = Some((token, name.to_owned()));
        }
        drop(remembered);
        self.done = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.done {
            let mut remembered = self.forms.0.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.forms.remove(&self.key);
            remembered.order.retain(|known| *known != self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn text(number: usize) -> String {
        format!("{number:0>LENGTH$}")
    }

    #[test]
    fn a_form_does_its_work_once_in_its_session() {
        let forms = Arc::new(Forms::default());
        let (session, other) = (Id::from_bytes([1; 16]), Id::from_bytes([2; 16]));
        let Some(Turn::Now(claim)) = forms.turn(session, &text(1)) else {
            panic!("not its turn");
        };
        assert!(matches!(forms.turn(session, &text(1)), Some(Turn::Over(None))));
        // It has failed.
        drop(claim);
        let Some(Turn::Now(claim)) = forms.turn(session, &text(1)) else {
            panic!("not its turn");
        };
        claim.made(other, "name");
        let over = forms.turn(session, &text(1));
        assert!(matches!(over, Some(Turn::Over(Some((id, name)))) if id == other && name == "name"));
        assert!(matches!(forms.turn(other, &text(1)), Some(Turn::Now(_))));
        assert!(matches!(forms.turn(session, &text(2)), Some(Turn::Now(_))));
        assert!(forms.turn(session, "").is_none());
    }

    #[test]
    fn no_more_is_remembered_than_fits() {
        let forms = Arc::new(Forms::default());
        let session = Id::from_bytes([1; 16]);
        for number in 0..=REMEMBERED {
            match forms.turn(session, &text(number)) {
                Some(Turn::Now(claim)) => claim.made(session, "name"),
                _ => panic!("not its turn"),
            }
        }
        assert_eq!(forms.0.lock().unwrap().forms.len(), REMEMBERED);
        assert!(matches!(forms.turn(session, &text(1)), Some(Turn::Over(_))));
    }
}
