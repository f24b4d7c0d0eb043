//! The events that a call's machine takes, and the actions that it asks for.

use super::Caller;
use super::admission::{ObjectReply, Pace};
use super::attempt::{Attempt, BodyCompletion};
use super::isolate::Isolate;
use super::log::Log;
use crate::protocol::{Admit, Fetch, No, Settle};
use crate::refusal::Refusal;

/// What a call is, as far as its machine needs it.
#[derive(Debug, Clone)]
pub struct CallSpec {
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
    /// The log, which takes one line at a time.
    pub log: &'a mut dyn FnMut(Log),
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The object has replied to [`Action::Ask`].
    Replied(ObjectReply),
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
    BodyEnded(BodyCompletion),
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
    /// Read the methods of the call by the route of [`super::CallMachine::permit`].
    ReadMethods,
    /// Drop an answer that is held back, and send the call with [`super::CallMachine::permit`], at once.
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
