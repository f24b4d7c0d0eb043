//! Limits how often the tenant's object is asked one thing that may be asked twice, and says what
//! follows on each reply.

use crate::protocol::Reply;

/// How often a question is asked at most: an object that a deploy has just replaced answers the
/// next ask.
const TRIES: u32 = 3;

/// How often a job is handed over at most: its id is its call's, so that asking twice keeps one
/// job.
const TRIES_OF_A_JOB: u32 = 4;

/// The asks that are left for one question.
#[derive(Debug)]
pub struct Asks {
    left: u32,
}

/// What follows on an ask.
#[derive(Debug)]
pub enum Heard {
    /// The object has replied: this is its answer.
    Reply(Reply),
    /// The object has not answered: send it the same question once more.
    AskAgain,
    /// The object cannot be asked: no try is left.
    Unavailable,
}

impl Asks {
    /// Returns the asks of a question, such as where a call would go.
    pub const fn of_a_question() -> Self {
        Self { left: TRIES }
    }

    /// Returns the asks that hand a job over.
    pub const fn of_a_job() -> Self {
        Self { left: TRIES_OF_A_JOB }
    }

    /// Takes the reply to an ask; `None` where none came, though the object may have received the
    /// ask.
    pub fn heard(&mut self, reply: Option<Reply>) -> Heard {
        self.left = self.left.saturating_sub(1);
        match reply {
            // The object lost its memory between.
            Some(Reply::Retry) | None if self.left == 0 => Heard::Unavailable,
            Some(Reply::Retry) | None => Heard::AskAgain,
            Some(reply) => Heard::Reply(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays the object's replies, and returns how the asking ends and after how many asks.
    fn played(mut asks: Asks, replies: impl IntoIterator<Item = Option<Reply>>) -> (Heard, u32) {
        let mut asked = 0;
        for reply in replies {
            asked += 1;
            match asks.heard(reply) {
                Heard::AskAgain => {}
                end => return (end, asked),
            }
        }
        panic!("it is still asked after {asked} replies")
    }

    #[test]
    fn the_first_reply_that_says_something_is_the_answer() {
        for silent in 0..3 {
            let replies = (0..silent).map(|nth| (nth % 2 == 0).then_some(Reply::Retry)).chain([Some(Reply::Done)]);
            let (end, asked) = played(Asks::of_a_question(), replies);
            assert!(matches!(end, Heard::Reply(Reply::Done)), "{end:?}");
            assert_eq!(asked, silent + 1);
        }
    }

    #[test]
    fn a_question_is_asked_three_times_and_a_job_handed_over_four_times() {
        for (asks, most) in [(Asks::of_a_question(), 3), (Asks::of_a_job(), 4)] {
            let (end, asked) = played(asks, std::iter::repeat_with(|| None));
            assert!(matches!(end, Heard::Unavailable), "{end:?}");
            assert_eq!(asked, most);
        }
        let (end, asked) = played(Asks::of_a_job(), std::iter::repeat_with(|| Some(Reply::Retry)));
        assert!(matches!(end, Heard::Unavailable), "{end:?}");
        assert_eq!(asked, 4);
    }

    #[test]
    fn a_last_try_that_is_answered_counts() {
        let (end, asked) = played(Asks::of_a_question(), [None, Some(Reply::Retry), Some(Reply::TokenStands)]);
        assert!(matches!(end, Heard::Reply(Reply::TokenStands)), "{end:?}");
        assert_eq!(asked, 3);
    }
}
