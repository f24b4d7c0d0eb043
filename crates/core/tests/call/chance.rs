//! Random sequences of events: expected ones in any order, and others for which the machine does
//! not wait.

use crate::play::{Play, SLACK_MS, admit, answered, call, fetch, go, id, plain, refused, route, route_with_token};
use crate::witness::{Told, Witness};
use proptest::prelude::*;
use sluice_core::call::{
    Action, Attempt, BodyCompletion, BodyEnd, CallSpec, Caller, Event, HeldBack, ObjectReply, Pace, SendFailure,
};
use sluice_core::protocol::{Admit, Bearer, Granted, Reply, Route, TokenMark};
use sluice_core::refusal::{Reason, Refusal};

/// Numbers that stand for choices. When they are used up, everything goes well.
struct Dice<'a>(std::slice::Iter<'a, u32>);

impl Dice<'_> {
    /// Returns a number below `n`, or 0 when the choices are used up.
    fn below(&mut self, n: u32) -> u32 {
        self.0.next().map_or(0, |die| die % n)
    }

    fn caller(&mut self) -> Caller {
        if self.below(12) == 1 { Caller::Gone } else { Caller::Present }
    }
}

struct Chance<'a> {
    play: Play,
    witness: Witness,
    told: Told,
    dice: Dice<'a>,
    permits: u64,
    /// The methods that it has asked for.
    method: String,
}

impl Chance<'_> {
    fn reply(&mut self) -> (Reply, u64) {
        let elapsed = [5, 50, 1_000, SLACK_MS, SLACK_MS + 1, 70_000][self.dice.below(6) as usize];
        let reply = match self.dice.below(16) {
            1 => refused(Reason::QueueFull),
            2 => Reply::Retry,
            3 => Reply::TokenStands,
            4 => fetch(),
            // No request of this kind has this reply.
            5 => Reply::Done,
            6 => Reply::Queued("x".to_owned()),
            // The object grants the permit that it has granted before, since its report was lost.
            7 if !self.witness.sent.contains(&id(self.permits)) => Reply::Permit(go(self.permits, None)),
            n => {
                self.permits += 1;
                let bearer = Some(Bearer { token: "t".to_owned(), mark: TokenMark(self.permits) });
                let since_ask_ms = [0, i64::try_from(elapsed).unwrap(), -3_000][self.dice.below(3) as usize];
                let unhurried = self.dice.below(2) == 1;
                match n {
                    8 => Reply::Permit(go(self.permits, None)),
                    // The access token of this route does not come with the permit.
                    9 => Reply::Permit(go(self.permits, Some(route_with_token()))),
                    10..=12 => Reply::Permit(Granted {
                        bearer,
                        token_mark: Some(TokenMark(self.permits)),
                        since_ask_ms,
                        ..go(self.permits, Some(Route { unhurried, ..route_with_token() }))
                    }),
                    _ => Reply::Permit(Granted {
                        since_ask_ms,
                        ..go(self.permits, Some(Route { unhurried, ..route() }))
                    }),
                }
            }
        };
        (reply, elapsed)
    }

    fn replied(&mut self) -> Event {
        if self.dice.below(4) == 1 {
            self.play.now += 1_000;
            return Event::NotReplied;
        }
        let ((reply, elapsed_ms), caller) = (self.reply(), self.dice.caller());
        self.play.now += i64::try_from(elapsed_ms).unwrap();
        Event::Replied(ObjectReply { reply, elapsed_ms, caller })
    }

    fn attempted(&mut self) -> Event {
        self.play.now += i64::from(self.dice.below(30_000));
        let now = self.play.now;
        let failure = match self.dice.below(20) {
            1 => SendFailure::TimedOut(30_000),
            2 => SendFailure::Unreachable,
            3 => SendFailure::Unusable("x"),
            4 => SendFailure::NotSendable,
            5 => SendFailure::NotSent(Refusal::new(Reason::Request, "x")),
            6 => SendFailure::BodyTooLong(Some(1)),
            7 => SendFailure::BodyBrokeOff,
            n => {
                let status = [200, 401, 429, 429, 503, 500, 504, 404, 408][(n as usize) % 9];
                let wait = self.dice.below(90).to_string();
                let headers = if self.dice.below(2) == 1 { vec![("Retry-After", wait.as_str())] } else { Vec::new() };
                return Event::Attempted(Box::new(answered(&plain(), status, &headers, now)));
            }
        };
        Event::Attempted(Box::new(Attempt::failed(failure, now)))
    }

    /// Returns an event that the machine waits for.
    fn fitting(&mut self) -> Event {
        let heard = |dice: &mut Dice<'_>| match dice.below(3) {
            1 => Event::NotAcknowledged,
            _ => Event::Acknowledged,
        };
        match &self.play.action {
            Action::Ask(_) => self.replied(),
            Action::FetchToken { .. } => Event::TokenFetched,
            Action::Settle { .. } | Action::SettleBatch { .. } => heard(&mut self.dice),
            Action::ReadMethods => Event::MethodsRead(match self.dice.below(8) {
                1 => Ok(format!("{} =PUT", self.method)),
                2 => Err(Refusal::new(Reason::Request, "x")),
                _ => Ok(self.method.clone()),
            }),
            Action::Send => self.attempted(),
            Action::HoldBack => Event::HeldBack(match self.dice.below(8) {
                1 => HeldBack::No,
                _ => HeldBack::Whole(9),
            }),
            Action::Rest(ms) => {
                self.play.now += i64::try_from(*ms).unwrap();
                Event::Waited(self.dice.caller())
            }
            Action::Wait(ms) => {
                self.play.now += i64::try_from(*ms).unwrap();
                Event::Waited(Caller::Present)
            }
            Action::PassOn { .. } if self.dice.below(10) == 1 => Event::NotDeliverable,
            Action::PassOn { .. } | Action::Refuse { .. } | Action::Leave => Event::CallerAnswered,
            Action::AwaitBody => {
                let ends = [BodyEnd::Whole, BodyEnd::CutOff, BodyEnd::TimedOut, BodyEnd::CallerGone];
                Event::BodyEnded(BodyCompletion { end: ends[self.dice.below(4) as usize], bytes: 3, more: false })
            }
            Action::End => panic!("it has ended"),
        }
    }

    /// Returns any event at all.
    fn any(&mut self) -> Event {
        match self.dice.below(11) {
            0 => Event::NotReplied,
            1 => Event::TokenFetched,
            2 => Event::Acknowledged,
            3 => Event::NotAcknowledged,
            4 => Event::MethodsRead(Ok(self.method.clone())),
            5 => Event::HeldBack(HeldBack::Whole(1)),
            6 => Event::Waited(Caller::Gone),
            7 => Event::CallerAnswered,
            8 => Event::NotDeliverable,
            9 => Event::BodyEnded(BodyCompletion { end: BodyEnd::Whole, bytes: 1, more: false }),
            _ => {
                let (reply, elapsed_ms) = self.reply();
                Event::Replied(ObjectReply { reply, elapsed_ms, caller: Caller::Present })
            }
        }
    }

    /// Whether an event is one that the machine waits for.
    fn fits(&self, event: &Event) -> bool {
        matches!(
            (&self.play.action, event),
            (Action::Ask(_), Event::Replied(_) | Event::NotReplied)
                | (Action::FetchToken { .. }, Event::TokenFetched)
                | (Action::Settle { .. } | Action::SettleBatch { .. }, Event::Acknowledged | Event::NotAcknowledged)
                | (Action::ReadMethods, Event::MethodsRead(_))
                | (Action::Send, Event::Attempted(_))
                | (Action::HoldBack, Event::HeldBack(_))
                | (Action::Rest(_) | Action::Wait(_), Event::Waited(_))
                | (Action::PassOn { .. }, Event::NotDeliverable)
                | (Action::PassOn { .. } | Action::Refuse { .. } | Action::Leave, Event::CallerAnswered)
                | (Action::AwaitBody, Event::BodyEnded(_))
        )
    }

    /// Gives the machine the result of an action, this many before the last.
    fn happens(&mut self, event: Event, before: u32) {
        let step = self.play.machine.step().wrapping_sub(before);
        let (fits, settling) = (before == 0 && self.fits(&event), self.play.machine.is_settling());
        self.witness.event(&event, fits, settling);
        let shown = format!("{event:?}");
        let taken = self.play.try_event_of(step, event);
        if let Action::Ask(admit) = &self.play.action {
            self.method.clone_from(&admit.method);
        }
        assert_eq!(taken, fits, "{shown} at {:?}", self.play.action);
        if taken {
            let Play { action, machine, now, .. } = &self.play;
            self.witness.action(action, machine.permit(), &mut self.told, *now);
        }
    }
}

fn play(dice: &[u32]) {
    let mut dice = Dice(dice.iter());
    let method = ["GET", "POST"][dice.below(2) as usize];
    let pace = Pace { tries: 1 + dice.below(5), spacing_ms: [0, 50][dice.below(2) as usize] };
    let wait_ms = [None, Some(0), Some(3_000), Some(120_000)][dice.below(4) as usize];
    let call = CallSpec { pace, wait_ms, body_is_kept: dice.below(5) != 1, ..call() };
    let once = method == "POST";
    let mut play = Play::of(call, Admit { method: method.to_owned(), wait_ms, ..admit() });
    if dice.below(2) == 1 {
        play.isolate.begin_call();
    }
    let mut witness = Witness::new(once, pace.tries, pace.spacing_ms);
    let mut told = Told::default();
    witness.action(&play.action, None, &mut told, play.now);
    let mut chance = Chance { play, witness, told, dice, permits: 0, method: method.to_owned() };
    while !matches!(chance.play.action, Action::End) {
        if chance.dice.below(6) == 1 {
            let (event, before) = (chance.any(), chance.dice.below(3));
            chance.happens(event, before);
        } else {
            let event = chance.fitting();
            chance.happens(event, 0);
        }
    }
    chance.witness.check("crm", &chance.told);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_a_call_keeps_its_promises(dice in prop::collection::vec(any::<u32>(), 0..250)) {
        play(&dice);
    }
}
