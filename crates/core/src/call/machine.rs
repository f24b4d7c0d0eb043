//! The machine of one call. Each state waits for one event; each event leads to one action.

use super::admission::{Admission, Admitted, Asked, Pace, Step, unavailable};
use super::attempt::{Attempt, AttemptEnd, Body};
use super::batch::{Batch, BatchStep};
use super::isolate::Isolate;
use super::log::{CallFacts, CallOutcome, Log};
use super::permit::Permit;
use super::settlement::{Settlement, Settlements};
use super::{Caller, ms_between};
use crate::refusal::{Reason, Refusal};
use crate::retry::{Next, Tried, next, place_of};
use crate::tenant::protocol::{Admit, Fetch, No, Reply, Settle};

/// How often a settlement is told at once. The batch at the call's end tells it again.
const TRIES_AT_ONCE: u32 = 3;

/// Permits that are handed back because the vendor reads another method by their route than was
/// asked for: each needs a policy that has changed since.
const MOST_METHOD_CHANGES: u32 = 3;

/// What a call is, as far as its machine needs it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The caller's name for it: 128 random bits, hexadecimal.
    pub id: String,
    /// Which of the isolate's calls it is, from [`Isolate::begin_call`].
    pub number: u64,
    /// When it came, Unix ms.
    pub came_at: i64,
    /// `Prefer: wait`, milliseconds.
    pub wait_ms: Option<u64>,
    /// The vendor's path as sent, without the query.
    pub path: String,
    /// The vendor's path as the log may have it.
    pub logged_path: String,
    /// It carries an `Idempotency-Key`.
    pub idempotency_key: bool,
    /// Its body can be sent once more: it was kept, or there is none.
    pub body_is_kept: bool,
    /// How often and how closely the object is asked.
    pub pace: Pace,
}

/// How often a call was sent, and where its time went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Vendor calls made.
    pub attempts: u32,
    /// The wait for permits, milliseconds.
    pub queue_ms: u64,
    /// From permit to headers over all attempts, milliseconds.
    pub vendor_ms: u64,
}

/// What surrounds an event.
pub struct Context<'a> {
    /// Unix time, milliseconds.
    pub now: i64,
    /// The memory of the isolate.
    pub isolate: &'a mut Isolate,
    /// Gives 128 random bits, hexadecimal.
    pub random_id: &'a dyn Fn() -> String,
    /// Takes lines for the log.
    pub log: &'a mut dyn FnMut(Log),
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The object has replied to [`Action::Ask`].
    Replied(Asked),
    /// No reply to [`Action::Ask`] can be had.
    NotReplied,
    /// [`Action::FetchToken`] has ended, and its end was reported.
    TokenFetched,
    /// The object has acknowledged [`Action::Settle`] or [`Action::SettleBatch`].
    Acknowledged,
    /// It has not, or nobody knows.
    NotAcknowledged,
    /// The answer to [`Action::ReadMethods`]: as [`crate::upstream::methods`] writes them, or why
    /// the call cannot be made by this route.
    MethodsRead(Result<String, Refusal>),
    /// [`Action::Send`] has led to this.
    Attempted(Box<Attempt>),
    /// [`Action::HoldBack`] has ended.
    HeldBack(HeldBack),
    /// [`Action::Rest`] or [`Action::Wait`] is over.
    Waited(Caller),
    /// [`Action::PassOn`] or [`Action::Refuse`] is done: the caller has its answer, or has gone.
    CallerAnswered,
    /// [`Action::PassOn`] is not possible: HTTP cannot carry the answer on.
    NotDeliverable,
    /// The body that [`Action::AwaitBody`] waits for has ended.
    BodyEnded(Body),
}

/// Whether an answer could be read to its end while it was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBack {
    /// All of it is here, so many bytes.
    Whole(u64),
    /// It is long, or broke off: it can only be passed on.
    No,
}

/// What the Worker is to do next.
#[derive(Debug)]
pub enum Action {
    /// Ask the tenant's object for a permit, and tell it if the caller goes meanwhile.
    Ask(Box<Admit>),
    /// Fetch an access token, and report it to the object.
    FetchToken {
        /// The tenant's name.
        tenant: String,
        /// The connection's name.
        connection: String,
        /// What to fetch it with.
        fetch: Box<Fetch>,
    },
    /// Tell the object what became of a permit.
    Settle {
        /// The tenant's name.
        tenant: String,
        /// The message.
        settlement: Box<Settle>,
    },
    /// Tell the object what became of several permits; it acknowledges once all of it is stored.
    SettleBatch {
        /// The tenant's name.
        tenant: String,
        /// The messages, all of one connection.
        settlements: Vec<Settle>,
    },
    /// Read the methods of the call by the route of [`CallMachine::permit`].
    ReadMethods,
    /// Drop an answer that is held back, and send the call with [`CallMachine::permit`], at once.
    Send,
    /// Read the answer to its end, so that its permit can be settled while it is held back.
    HoldBack,
    /// Wait for so many milliseconds, and no longer than the caller does.
    Rest(u64),
    /// Wait for so many milliseconds, whether the caller is there or not.
    Wait(u64),
    /// Begin to pass the answer on to the caller.
    PassOn {
        /// How often it was sent, and where the time went.
        timings: Timings,
        /// From the call's arrival to the answer, milliseconds.
        total_ms: u64,
    },
    /// Answer the caller with a refusal, and drop an answer that is held back.
    Refuse {
        /// The refusal.
        no: Box<No>,
        /// Vendor calls made, where it stands in the place of a vendor's answer.
        attempts: Option<u32>,
    },
    /// Drop an answer that is held back: nobody is there to take it. [`Event::CallerAnswered`]
    /// follows.
    Leave,
    /// Wait for the end of the body that is passed on.
    AwaitBody,
    /// Nothing: the call has ended.
    End,
}

/// Why a call is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetryReason {
    /// The vendor refuses the access token: at once, with another.
    TokenExpired,
    /// It may go well so many milliseconds from the answer.
    Transient(u64),
}

/// What a permit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    First,
    /// Another attempt, asked for at this time, Unix ms.
    Again(RetryReason, i64),
}

/// What follows when the object has been told of a permit.
#[derive(Debug)]
enum AfterTelling {
    /// The admission that the unused permit came from goes on.
    Admission(Box<Admission>, Purpose),
    /// The call asks again, with these methods.
    OtherMethods(String),
    /// The call is refused.
    Refuse(Refusal),
    /// The call is sent again.
    Retry(RetryReason),
}

/// What of a call's answer is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Its body.
    Body,
    /// Nothing.
    Nothing,
}

/// Whether the permit of the answer that the caller gets is settled already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Yes,
    No,
}

#[derive(Debug)]
enum State {
    Admitting(Box<Admission>, Purpose),
    Telling(AfterTelling, u32),
    ReadingMethods,
    Sending,
    HoldingBack(RetryReason),
    Resting(RetryReason),
    /// The caller gets an answer: what follows of it, and whether its permit is settled.
    Answering(Rest, Settled),
    /// The answer goes out before anything else is done.
    Yielding(Rest, Settled),
    Streaming(Settled),
    /// The caller was refused, or has gone: nothing more comes of the call itself.
    Stopping,
    Batching(Box<Batch>),
    Over,
}

/// The machine of one call.
#[derive(Debug)]
pub struct CallMachine {
    call: Call,
    admit: Admit,
    state: State,
    /// How many actions it has led to.
    step: u32,
    permit: Option<Box<Permit>>,
    attempt: Option<Box<Attempt>>,
    timings: Timings,
    /// It was sent again with another access token.
    renewed: bool,
    method_changes: u32,
    settlements: Settlements,
    facts: CallFacts,
}

impl CallMachine {
    /// Begins a call that asks to go as `admit` describes it.
    pub fn begin(call: Call, admit: Admit, context: &mut Context<'_>) -> (Self, Action) {
        let mut machine = Self {
            call,
            admit,
            state: State::Over,
            step: 0,
            permit: None,
            attempt: None,
            timings: Timings::default(),
            renewed: false,
            method_changes: 0,
            settlements: Settlements::default(),
            facts: CallFacts::default(),
        };
        let action = machine.ask_first(context);
        (machine, action)
    }

    /// The number of the action that is to be done.
    pub const fn step(&self) -> u32 {
        self.step
    }

    /// The permit to send with, or with which the call was sent last.
    pub fn permit(&self) -> Option<&Permit> {
        self.permit.as_deref()
    }

    /// What became of the call so far, for its line in the log; complete when [`Self::is_settling`]
    /// has become true.
    pub const fn facts(&self) -> &CallFacts {
        &self.facts
    }

    /// Whether the call itself has ended, and only its settlements are still to be told.
    pub const fn is_settling(&self) -> bool {
        matches!(self.state, State::Batching(_) | State::Over)
    }

    /// Takes what came of the action with the number `step`, and gives what is to be done next.
    /// None for an event that the machine does not wait for, such as one that is repeated or comes
    /// late: it changes nothing, and the last action still stands.
    pub fn handle(&mut self, step: u32, event: Event, context: &mut Context<'_>) -> Option<Action> {
        if step != self.step {
            self.not_waited_for(&event);
            return None;
        }
        let action = self.take(event, context)?;
        self.step = self.step.wrapping_add(1);
        Some(action)
    }

    fn take(&mut self, event: Event, context: &mut Context<'_>) -> Option<Action> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, event) {
            (State::Admitting(admission, purpose), event) => self.admitting(admission, purpose, event, context),
            (State::Telling(after, _), Event::Acknowledged) => Some(self.told(after, context)),
            (State::Telling(after, tries), Event::NotAcknowledged) => Some(self.tell(after, tries, context)),
            (State::ReadingMethods, Event::MethodsRead(methods)) => Some(self.methods_read(methods, context)),
            (State::Sending, Event::Attempted(attempt)) => Some(self.attempted(attempt, context)),
            (State::HoldingBack(reason), Event::HeldBack(held)) => Some(self.held_back(reason, held, context)),
            (State::Resting(_), Event::Waited(Caller::Gone)) => Some(self.leave()),
            (State::Resting(reason), Event::Waited(Caller::Present)) => Some(self.ask_for_retry(reason, context)),
            (State::Answering(Rest::Body, settled), Event::NotDeliverable) => {
                // The vendor has answered, and is done with the call: that is what is settled,
                // whatever the caller can be told.
                let detail = "the vendor has answered with what cannot be passed on";
                Some(self.answer_instead(Refusal::new(Reason::VendorUnreachable, detail), settled))
            }
            (State::Answering(rest, settled), Event::CallerAnswered) => {
                Some(self.caller_answered(rest, settled, context))
            }
            (State::Yielding(rest, settled), Event::Waited(_)) => Some(self.go_on(rest, settled, context)),
            (State::Streaming(settled), Event::BodyEnded(body)) => {
                let end = self.attempt_end().with_body(&body);
                Some(self.ended(end, settled, context))
            }
            (State::Stopping, Event::CallerAnswered) => Some(self.settle_all(context)),
            (State::Batching(batch), event) => self.batching(batch, event, context),
            (state, event) => {
                self.state = state;
                self.not_waited_for(&event);
                None
            }
        }
    }

    /// A permit that nobody waits for is handed back with the call's settlements.
    fn not_waited_for(&mut self, event: &Event) {
        let Event::Replied(Asked { reply: Reply::Go(go), .. }) = event else { return };
        let is_held = self.permit.as_ref().is_some_and(|permit| permit.id == go.permit);
        if !is_held && !self.settlements.has(go.permit) && !self.is_settling() {
            let (tenant, connection) = (&self.admit.claims.tenant, &self.admit.connection);
            self.settlements.note_late(Settlement::of_unused(tenant, connection, go.permit));
        }
    }
}

/// Admission.
impl CallMachine {
    fn ask_first(&mut self, context: &mut Context<'_>) -> Action {
        self.ask((1, self.callers_deadline()), Purpose::First, context)
    }

    fn ask(&mut self, (nth, deadline): (u32, Option<i64>), purpose: Purpose, context: &mut Context<'_>) -> Action {
        let (admission, step) = Admission::begin(&mut self.admit, nth, deadline, self.call.pace, context.now);
        self.step_of(Box::new(admission), purpose, step, context)
    }

    /// Asks for a permit for a call whose former permit is settled: that one may have held the only
    /// slot, and a call that rests holds nothing.
    fn ask_for_retry(&mut self, reason: RetryReason, context: &mut Context<'_>) -> Action {
        let now = context.now;
        let token = self.permit.as_ref().map_or(0, |permit| permit.token_mark());
        let (deadline, rejected) = match reason {
            RetryReason::TokenExpired => {
                self.renewed = true;
                (self.callers_deadline(), token)
            }
            RetryReason::Transient(_) => (Some(self.retry_deadline()), 0),
        };
        self.admit.rejected = rejected;
        self.admit.holds = token;
        self.admit.knows = self.permit.as_ref().map_or(0, |permit| permit.route.version);
        self.ask_under_another_id(deadline, context);
        let nth = self.timings.attempts.saturating_add(1);
        self.ask((nth, deadline), Purpose::Again(reason, now), context)
    }

    /// A permit of its own needs an id of its own: asking twice with one id takes one permit.
    fn ask_under_another_id(&mut self, deadline: Option<i64>, context: &Context<'_>) {
        self.admit.call = (context.random_id)();
        self.admit.again = false;
        self.admit.wait_ms = deadline.map(|deadline| ms_between(context.now, deadline));
    }

    /// Until when the caller waits, Unix ms, where it says so.
    fn callers_deadline(&self) -> Option<i64> {
        let wait = i64::try_from(self.call.wait_ms?).unwrap_or(i64::MAX);
        Some(self.call.came_at.saturating_add(wait))
    }

    /// Until when a further attempt may be admitted, Unix ms: as long as the caller would wait for
    /// its first permit.
    fn retry_deadline(&self) -> i64 {
        let most = self.permit.as_ref().map_or(0, |permit| permit.route.max_wait_ms);
        let wait = self.call.wait_ms.unwrap_or(u64::MAX).min(most);
        self.call.came_at.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
    }

    fn admitting(
        &mut self,
        mut admission: Box<Admission>,
        purpose: Purpose,
        event: Event,
        context: &mut Context<'_>,
    ) -> Option<Action> {
        let now = context.now;
        let step = match event {
            Event::Replied(asked) if admission.is_asking() => {
                admission.replied(&mut self.admit, asked, now, context.isolate)
            }
            Event::NotReplied => admission.not_replied(&mut self.admit, now),
            Event::TokenFetched => admission.fetched(&mut self.admit, now),
            Event::Waited(caller) => admission.waited(&mut self.admit, caller, now),
            event => {
                self.state = State::Admitting(admission, purpose);
                self.not_waited_for(&event);
                return None;
            }
        };
        match step {
            Some(step) => Some(self.step_of(admission, purpose, step, context)),
            None => {
                self.state = State::Admitting(admission, purpose);
                None
            }
        }
    }

    fn step_of(
        &mut self,
        admission: Box<Admission>,
        purpose: Purpose,
        step: Step,
        context: &mut Context<'_>,
    ) -> Action {
        let action = match step {
            Step::Ask(admit) => Action::Ask(admit),
            Step::FetchToken(fetch) => {
                let (tenant, connection) = (self.admit.claims.tenant.clone(), self.admit.connection.clone());
                Action::FetchToken { tenant, connection, fetch }
            }
            Step::Wait(ms) => Action::Rest(ms),
            Step::HandBack(permit) => {
                let (tenant, connection) = (&self.admit.claims.tenant, &self.admit.connection);
                self.settlements.note(Settlement::of_unused(tenant, connection, permit));
                return self.tell(AfterTelling::Admission(admission, purpose), 0, context);
            }
            Step::End(end) => return self.admitted(purpose, end, context),
        };
        self.state = State::Admitting(admission, purpose);
        action
    }

    fn admitted(&mut self, purpose: Purpose, end: Admitted, context: &mut Context<'_>) -> Action {
        match (purpose, end) {
            (Purpose::First, Admitted::Permit(permit)) => {
                self.timings.queue_ms = ms_between(self.call.came_at, permit.at);
                self.permit = Some(permit);
                self.state = State::ReadingMethods;
                Action::ReadMethods
            }
            (Purpose::Again(_, asked_at), Admitted::Permit(permit)) => {
                let waited = ms_between(asked_at, permit.at);
                self.timings.queue_ms = self.timings.queue_ms.saturating_add(waited);
                self.permit = Some(permit);
                self.send()
            }
            (_, Admitted::Gone) => self.leave(),
            (Purpose::Again(RetryReason::TokenExpired, _), Admitted::TokenStands)
            // What came of the last attempt tells the caller more than that another one cannot be
            // made.
            | (Purpose::Again(RetryReason::Transient(_), _), _) => self.pass_on(Settled::Yes, context),
            (_, Admitted::Refused(no)) => self.refuse(no),
            (_, Admitted::Unavailable | Admitted::TokenStands) => self.refuse(no(unavailable())),
        }
    }

    fn methods_read(&mut self, methods: Result<String, Refusal>, context: &mut Context<'_>) -> Action {
        let after = match methods {
            Ok(methods) if methods == self.admit.method => return self.send(),
            // The policy's profile is another one than was known, and the vendor reads another method.
            Ok(methods) => {
                self.method_changes = self.method_changes.saturating_add(1);
                match self.method_changes < MOST_METHOD_CHANGES {
                    true => AfterTelling::OtherMethods(methods),
                    false => AfterTelling::Refuse(unavailable()),
                }
            }
            Err(refusal) => AfterTelling::Refuse(refusal),
        };
        if let Some(permit) = self.permit.take() {
            self.settlements.note(Settlement::of_unused(&permit.tenant, &permit.connection, permit.id));
        }
        self.tell(after, 0, context)
    }
}

/// Attempts.
impl CallMachine {
    fn send(&mut self) -> Action {
        self.attempt = None;
        self.timings.attempts = self.timings.attempts.saturating_add(1);
        self.state = State::Sending;
        Action::Send
    }

    fn attempted(&mut self, attempt: Box<Attempt>, context: &mut Context<'_>) -> Action {
        let sent_at = self.permit.as_ref().map_or(attempt.at, |permit| permit.at);
        self.timings.vendor_ms = self.timings.vendor_ms.saturating_add(ms_between(sent_at, attempt.at));
        self.facts.timings = Some(self.timings);
        let retry = self.retry(&attempt);
        let came = attempt.came.is_ok();
        self.attempt = Some(attempt);
        match retry {
            Some(reason) if came => {
                self.state = State::HoldingBack(reason);
                Action::HoldBack
            }
            Some(reason) => self.settle_attempt(reason, context),
            None => self.pass_on(Settled::No, context),
        }
    }

    /// Whether and when it is sent again.
    fn retry(&self, attempt: &Attempt) -> Option<RetryReason> {
        let (verdict, permit) = (attempt.verdict.as_ref()?, self.permit.as_deref()?);
        if !self.call.body_is_kept {
            return None;
        }
        if verdict.expired && permit.bearer.is_some() && !self.renewed {
            return Some(RetryReason::TokenExpired);
        }
        let route = &permit.route;
        let tried = Tried {
            profile: &route.profile,
            method: &self.admit.method,
            path: &self.call.path,
            idempotency_key: self.call.idempotency_key,
            unattended: false,
            // The repetition with another token is none of these: nothing was wrong with the call.
            made: self.timings.attempts.saturating_sub(u32::from(self.renewed)),
            most: route.attempts,
            left_ms: Some(ms_between(attempt.at, self.retry_deadline())),
            max_pause_ms: route.max_pause_ms,
            random: place_of(permit.id, &format!("{}/{}", permit.tenant, permit.connection)),
        };
        match next(&tried, verdict) {
            Next::After(wait) => Some(RetryReason::Transient(wait)),
            Next::Stop(_) => None,
        }
    }

    fn held_back(&mut self, reason: RetryReason, held: HeldBack, context: &mut Context<'_>) -> Action {
        match held {
            HeldBack::Whole(bytes) => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.end.response_bytes = bytes;
                }
                self.settle_attempt(reason, context)
            }
            HeldBack::No => self.pass_on(Settled::No, context),
        }
    }

    fn settle_attempt(&mut self, reason: RetryReason, context: &mut Context<'_>) -> Action {
        self.note_end(self.attempt_end(), context);
        self.tell(AfterTelling::Retry(reason), 0, context)
    }

    fn attempt_end(&self) -> AttemptEnd {
        self.attempt.as_ref().map_or_else(AttemptEnd::unsent, |attempt| attempt.end.clone())
    }
}

/// The caller's answer.
impl CallMachine {
    fn pass_on(&mut self, settled: Settled, context: &mut Context<'_>) -> Action {
        let Some(attempt) = &self.attempt else {
            return self.refuse(no(unavailable()));
        };
        let status = match &attempt.came {
            Ok(status) => *status,
            Err(refusal) => {
                let refusal = refusal.clone();
                return self.answer_instead(refusal, settled);
            }
        };
        // An answer that was held back goes out later than its headers came.
        let at = if settled == Settled::Yes { context.now } else { attempt.at };
        let total_ms = ms_between(self.call.came_at, at);
        self.facts.status = Some(status);
        self.state = State::Answering(Rest::Body, settled);
        Action::PassOn { timings: self.timings, total_ms }
    }

    /// Answers in the vendor's place a call that was sent.
    fn answer_instead(&mut self, refusal: Refusal, settled: Settled) -> Action {
        self.facts.status = None;
        self.facts.refused = Some(refusal.reason);
        self.state = State::Answering(Rest::Nothing, settled);
        Action::Refuse { no: no(refusal), attempts: Some(self.timings.attempts) }
    }

    /// Refuses a call that is not sent, or not sent again.
    fn refuse(&mut self, no: Box<No>) -> Action {
        self.attempt = None;
        self.facts.refused = Some(no.refusal.reason);
        self.state = State::Stopping;
        Action::Refuse { no, attempts: None }
    }

    fn leave(&mut self) -> Action {
        self.attempt = None;
        self.facts.outcome = Some(CallOutcome::Gone);
        self.state = State::Stopping;
        Action::Leave
    }

    /// What the caller waits for goes first, unless others wait for what follows.
    fn caller_answered(&mut self, rest: Rest, settled: Settled, context: &mut Context<'_>) -> Action {
        if self.permit.as_ref().is_some_and(|permit| permit.route.unhurried) {
            self.state = State::Yielding(rest, settled);
            return Action::Wait(0);
        }
        self.go_on(rest, settled, context)
    }

    fn go_on(&mut self, rest: Rest, settled: Settled, context: &mut Context<'_>) -> Action {
        match rest {
            Rest::Body => {
                self.state = State::Streaming(settled);
                Action::AwaitBody
            }
            Rest::Nothing => self.ended(self.attempt_end(), settled, context),
        }
    }

    fn ended(&mut self, end: AttemptEnd, settled: Settled, context: &mut Context<'_>) -> Action {
        self.facts.outcome = Some(CallOutcome::Settled(end.outcome));
        self.facts.error_code.clone_from(&end.error_code);
        self.facts.response_bytes = end.response_bytes;
        if settled == Settled::No {
            self.note_end(end, context);
        }
        self.settle_all(context)
    }
}

/// Settlement.
impl CallMachine {
    /// Notes the end of the permit in hand, to be told.
    fn note_end(&mut self, end: AttemptEnd, context: &mut Context<'_>) {
        let Some(permit) = self.permit.as_deref() else { return };
        if let Some(line) = Log::of_throttle(&self.call.id, &self.call.logged_path, permit, &end) {
            (context.log)(line);
        }
        self.settlements.note(Settlement::of_used(permit, end));
    }

    /// Tells what was noted last, so that it takes effect; and goes on, also where it is not heard.
    fn tell(&mut self, after: AfterTelling, tries: u32, context: &mut Context<'_>) -> Action {
        if tries >= TRIES_AT_ONCE {
            return self.told(after, context);
        }
        match self.settlements.tell_last(context.now) {
            Some((tenant, settlement)) => {
                self.state = State::Telling(after, tries.saturating_add(1));
                Action::Settle { tenant, settlement: Box::new(settlement) }
            }
            None => self.told(after, context),
        }
    }

    fn told(&mut self, after: AfterTelling, context: &mut Context<'_>) -> Action {
        match after {
            AfterTelling::Admission(mut admission, purpose) => {
                match admission.handed_back(&mut self.admit, context.now) {
                    Some(step) => self.step_of(admission, purpose, step, context),
                    None => self.refuse(no(unavailable())),
                }
            }
            AfterTelling::OtherMethods(methods) => {
                self.admit.method = methods;
                self.ask_under_another_id(self.callers_deadline(), context);
                self.ask_first(context)
            }
            AfterTelling::Refuse(refusal) => self.refuse(no(refusal)),
            AfterTelling::Retry(reason @ RetryReason::TokenExpired) => self.ask_for_retry(reason, context),
            AfterTelling::Retry(reason @ RetryReason::Transient(wait)) => {
                self.state = State::Resting(reason);
                Action::Rest(wait)
            }
        }
    }

    /// Tells all settlements of the call, to be relied on once the object has stored them.
    fn settle_all(&mut self, context: &mut Context<'_>) -> Action {
        let settlements = self.settlements.take();
        let (batch, step) = Batch::begin(settlements, self.call.number, context.now, context.isolate);
        self.batch_step(Box::new(batch), step, context)
    }

    fn batching(&mut self, mut batch: Box<Batch>, event: Event, context: &mut Context<'_>) -> Option<Action> {
        let step = match event {
            Event::Waited(_) => batch.waited(context.now, context.isolate),
            Event::Acknowledged => batch.acknowledged(),
            Event::NotAcknowledged => batch.not_acknowledged(),
            _ => None,
        };
        match step {
            Some(step) => Some(self.batch_step(batch, step, context)),
            None => {
                self.state = State::Batching(batch);
                None
            }
        }
    }

    fn batch_step(&mut self, batch: Box<Batch>, step: BatchStep, context: &mut Context<'_>) -> Action {
        let action = match step {
            BatchStep::Wait(ms) => Action::Wait(ms),
            BatchStep::Tell { tenant, settlements } => Action::SettleBatch { tenant, settlements },
            BatchStep::Done => {
                self.state = State::Over;
                return Action::End;
            }
            BatchStep::GivenUp { whose: (tenant, connection), settlements } => {
                (context.log)(Log::Unheard { tenant, connection, settlements });
                self.state = State::Over;
                return Action::End;
            }
        };
        self.state = State::Batching(batch);
        action
    }
}

/// A refusal that is not said in a vendor's words.
fn no(refusal: Refusal) -> Box<No> {
    Box::new(No { refusal, vendor: None, rate_limit: None })
}
