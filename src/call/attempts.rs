//! Carries out what the machine of a call decides (`sluice_core::call`): asks, sends, waits,
//! answers, settles. Nothing is decided here.

use crate::call::access_log::AccessRecord;
use crate::call::body;
use crate::call::context::Call;
use crate::call::forward::{Forward, VendorAnswer};
use crate::call::stream::Sent;
#[cfg(feature = "panic-trigger")]
use crate::panics::panic_if_asked;
use crate::platform;
use crate::response::{self, Reply};
use crate::route_cache;
use crate::tasks::fetch_token;
use crate::tenant_client::{self, Asked};
use sluice_core::call::{
    Action, BodyCompletion, BodyEnd, CallMachine, CallSpec, Caller, Context, Event, HeldBack, Log, ObjectReply, Pace,
    without_keys,
};
use sluice_core::protocol::{self, Admit, Ask, No, Route};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::Dialect;

/// A call whose caller can be answered.
pub struct CallInProgress {
    machine: Box<CallMachine>,
    /// The answer; none if the caller has gone.
    pub reply: Option<Reply>,
    /// The vendor's answer, where its body is passed on.
    sent: Option<Sent>,
}

/// Carries a call out until its caller can be answered. `read_methods` reads the call's methods by
/// a route.
pub fn send_with_retries(
    sending: &Forward<'_>,
    admit: Box<Admit>,
    read_methods: impl Fn(&Route) -> Result<String, Refusal>,
) -> impl Future<Output = CallInProgress> {
    // Begun before the future is made, which would otherwise have room for what is asked.
    carry_out(sending, begin(sending, admit), read_methods)
}

async fn carry_out(
    sending: &Forward<'_>,
    (mut machine, mut action): (Box<CallMachine>, Action),
    read_methods: impl Fn(&Route) -> Result<String, Refusal>,
) -> CallInProgress {
    let call = sending.call;
    // On the heap, since a call that waits would hold room for it.
    let mut held: Option<Box<VendorAnswer>> = None;
    loop {
        let event = match action {
            Action::Ask(admit) => ask(call, admit).await,
            Action::FetchToken { tenant, connection, fetch } => {
                Box::pin(fetch_token::fetch(&call.config, &tenant, &connection, *fetch)).await;
                Event::TokenFetched
            }
            Action::Settle { tenant, settlement } => Box::pin(tell(call, &tenant, Ask::Settle(*settlement))).await,
            Action::ReadMethods => Event::MethodsRead(match machine.permit() {
                Some(permit) => read_methods(&permit.route),
                None => Err(fault()),
            }),
            Action::Send => {
                discard(held.take());
                #[cfg(feature = "panic-trigger")]
                panic_if_asked(sending.vendor.path, "/panic-trigger");
                let Some(permit) = machine.permit() else { return refused(call, machine, no(fault()), None) };
                let (attempt, answer) = Box::pin(sending.send(permit)).await;
                held = answer.map(Box::new);
                Event::Attempted(Box::new(attempt))
            }
            Action::HoldBack => Event::HeldBack(match &held {
                Some(answer) => Box::pin(answer.hold_back()).await,
                None => HeldBack::No,
            }),
            Action::Rest(ms) => Event::Waited(Box::pin(rest(call, ms)).await),
            Action::PassOn { timings, total_ms } => {
                let passed = held.take().zip(machine.permit());
                let passed = passed.and_then(|(held, permit)| sending.pass_on(permit, *held, timings, total_ms));
                match passed {
                    Some((response, sent)) => {
                        return CallInProgress { machine, reply: Some(Reply::Done(response)), sent: Some(sent) };
                    }
                    None => Event::NotDeliverable,
                }
            }
            Action::Refuse { no, attempts } => {
                discard(held);
                if attempts.is_none() {
                    Box::pin(body::drain(&call.request, &call.incoming)).await;
                }
                return refused(call, machine, no, attempts);
            }
            Action::Leave => {
                discard(held);
                return CallInProgress { machine, reply: None, sent: None };
            }
            // None of these comes before the caller's answer.
            Action::Wait(_) | Action::SettleBatch { .. } | Action::AwaitBody | Action::End => {
                return refused(call, machine, no(fault()), None);
            }
        };
        action = handle(&mut machine, event);
    }
}

/// Sees a call to its end, once its caller has been answered: all of its body has gone, and the
/// object has stored what became of its permits.
pub async fn finish(call: &Call, mut in_progress: CallInProgress, mut record: AccessRecord) {
    let machine = &mut in_progress.machine;
    let (mut action, mut written) = (handle(machine, Event::CallerAnswered), false);
    loop {
        if machine.is_settling() && !std::mem::replace(&mut written, true) {
            record.became(machine.facts());
            record.write();
        }
        let event = match action {
            Action::Wait(ms) => {
                platform::sleep(ms).await;
                Event::Waited(Caller::Present)
            }
            Action::AwaitBody => Event::BodyEnded(match in_progress.sent.take() {
                Some(sent) => sent.ended().await,
                None => BodyCompletion { end: BodyEnd::CutOff, bytes: 0, more: false },
            }),
            Action::SettleBatch { tenant, settlements } => tell(call, &tenant, Ask::SettleBatch(settlements)).await,
            _ => return,
        };
        action = handle(machine, event);
    }
}

fn begin(sending: &Forward<'_>, admit: Box<Admit>) -> (Box<CallMachine>, Action) {
    let call = sending.call;
    let spec = CallSpec {
        id: call.id.clone(),
        number: call.begun,
        came_at: call.incoming.at,
        wait_ms: call.prefer.wait_ms,
        path: sending.vendor.route_path().to_owned(),
        // That of the vendor's URL, which may be empty, less the keys in it.
        logged_path: if sending.vendor.path.is_empty() { String::new() } else { without_keys(&admit.path) },
        idempotency_key: call.incoming.header("idempotency-key").is_some(),
        body_is_kept: body::can_be_repeated(sending.body),
        pace: Pace::USUAL,
    };
    let (machine, action) = within(|context| CallMachine::begin(spec, *admit, context));
    (Box::new(machine), action)
}

fn handle(machine: &mut CallMachine, event: Event) -> Action {
    // Each event follows on the action before it, so the machine waits for it.
    within(|context| machine.handle(machine.step(), event, context)).unwrap_or(Action::End)
}

/// Gives a machine what surrounds an event.
fn within<T>(act: impl FnOnce(&mut Context<'_>) -> T) -> T {
    route_cache::with_isolate(|isolate| {
        let log = &mut |line: Log| platform::log(&line.line());
        act(&mut Context { now: platform::now(), isolate, random_id: &platform::random_id, log })
    })
}

/// Asks the object for a permit. What is awaited holds nothing of the ask, as thousands may wait.
fn ask(call: &Call, admit: Box<Admit>) -> impl Future<Output = Event> + use<> {
    let (tenant, id) = (admit.claims.tenant.clone(), admit.call.clone());
    let asked = tenant_client::ask_once(&call.config, &tenant, &Ask::Admit(*admit), Some((&call.request, &id)));
    async move {
        match asked.await {
            Some(Asked { reply, elapsed_ms, gone }) => {
                let caller = if gone { Caller::Gone } else { Caller::Present };
                Event::Replied(ObjectReply { reply, elapsed_ms, caller })
            }
            None => Event::NotReplied,
        }
    }
}

/// Reports ends of permits to the tenant's object.
async fn tell(call: &Call, tenant: &str, ask: Ask) -> Event {
    match tenant_client::ask_once(&call.config, tenant, &ask, None).await {
        Some(Asked { reply: protocol::Reply::Done, .. }) => Event::Acknowledged,
        _ => Event::NotAcknowledged,
    }
}

async fn rest(call: &Call, ms: u64) -> Caller {
    match platform::sleep_while_wanted(ms, &call.request).await {
        true => Caller::Present,
        false => Caller::Gone,
    }
}

fn refused(call: &Call, machine: Box<CallMachine>, no: Box<No>, attempts: Option<u32>) -> CallInProgress {
    let answer = response::refused_call(&no, &call.id, call.incoming.header("accept"));
    let answer = match attempts {
        Some(attempts) => answer.with("Sluice-Attempts", attempts.to_string()),
        None => answer,
    };
    CallInProgress { machine, reply: Some(Reply::Own(answer)), sent: None }
}

fn discard(held: Option<Box<VendorAnswer>>) {
    if let Some(answer) = held {
        answer.discard();
    }
}

fn no(refusal: Refusal) -> Box<No> {
    Box::new(No { refusal, dialect: Dialect::Generic, rate_limit: None })
}

fn fault() -> Refusal {
    Refusal::new(Reason::Internal, "a fault of sluice's own: see its log")
}
