//! What storage answers, taken down while a policy decides.

use super::Answer;

/// Records that one tape has room for, in all its answers together: some hundred times what a decision sees. A policy
/// may ask more than that, and cannot make the host remember all of it.
const ROOM: usize = 16_384;

/// The answers of one call.
#[derive(Debug)]
pub(crate) struct Tape {
    answers: Vec<Answer>,
    room: Option<usize>,
}

impl Tape {
    pub(crate) fn new() -> Self {
        Self {
            // Most decisions take one answer, the others a few.
            answers: Vec::with_capacity(1),
            room: Some(ROOM),
        }
    }

    pub(crate) fn push(&mut self, answer: Answer) {
        let weight = match &answer {
            Answer::List(_, _, list) => list.len().saturating_add(1),
            Answer::Sessions(_, list) => list.len().saturating_add(1),
            // A policy may ask for long names.
            Answer::Name(_, name, ..) => (name.len() / 64).saturating_add(1),
            _ => 1,
        };
        self.room = self.room.and_then(|room| room.checked_sub(weight));
        match self.room {
            Some(_) => self.answers.push(answer),
            None => self.answers.clear(),
        }
    }

    /// All answers; none where there were too many to keep.
    pub(crate) fn into_answers(self) -> Option<Vec<Answer>> {
        self.room.map(|_| self.answers)
    }
}

#[cfg(test)]
mod tests {
    use patrol_policy::types::Id;

    use super::*;

    #[test]
    fn a_tape_that_is_full_is_no_tape() {
        let mut tape = Tape::new();
        for _ in 0..ROOM {
            tape.push(Answer::Owner(Id::default(), None));
        }
        assert_eq!(tape.answers.len(), ROOM);
        tape.push(Answer::Owner(Id::default(), None));
        assert!(tape.answers.is_empty());
        tape.push(Answer::Owner(Id::default(), None));
        assert_eq!(tape.into_answers(), None);
    }
}
