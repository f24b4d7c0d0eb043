//! Carries out what the machine of a call decides (`sluice_core::call`): asks, sends, waits, answers, settles. Nothing is
//! decided here.

use super::answers::{self, Reply};
use super::call::Call;
use super::forward::{self, Forward, VendorAnswer};
use super::record::Record;
use super::{exchange, known, tenants, upload};
use crate::platform::{self, Sent};
use sluice_core::call::{
    self, Action, BodyCompletion, BodyEnd, CallMachine, Caller, Context, Event, HeldBack, ObjectReply, Pace,
};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::protocol::{self, Admit, Ask, No, Route};
use wasm_bindgen::JsValue;

/// A call whose caller can be answered.
pub struct UnderWay {
    machine: Box<CallMachine>,
    /// The answer; none if the caller has gone.
    pub reply: Option<Reply>,
    /// The vendor's answer, where its body is passed on.
    sent: Option<Sent>,
}

/// Carries a call out until its caller can be answered. `read_methods` reads the call's methods by a route.
pub async fn make(
    sending: &Forward<'_>,
    admit: Admit,
    read_methods: impl Fn(&Route) -> Result<String, Refusal>,
) -> UnderWay {
    let call = sending.call;
    let (mut machine, mut action) = begin(sending, admit);
    let mut held: Option<VendorAnswer> = None;
    loop {
        let event = match action {
            Action::Ask(admit) => ask(call, admit).await,
            Action::FetchToken { tenant, connection, fetch } => {
                Box::pin(exchange::fetch(&call.here, &tenant, &connection, *fetch)).await;
                Event::TokenFetched
            }
            Action::Settle { tenant, settlement } => Box::pin(tell(call, &tenant, Ask::Settle(*settlement))).await,
            Action::ReadMethods => Event::MethodsRead(match machine.permit() {
                Some(permit) => read_methods(&permit.route),
                None => Err(fault()),
            }),
            Action::Send => {
                forget(held.take());
                #[cfg(feature = "panic-trigger")]
                super::call::panic_if_asked(sending.vendor.path, "/panic-trigger");
                let Some(permit) = machine.permit() else { return refused(call, machine, no(fault()), None) };
                let (attempt, answer) = Box::pin(sending.send(permit)).await;
                held = answer;
                Event::Attempted(Box::new(attempt))
            }
            Action::HoldBack => Event::HeldBack(match &held {
                Some(answer) => Box::pin(answer.hold_back()).await,
                None => HeldBack::No,
            }),
            Action::Rest(ms) => Event::Waited(rest(call, ms).await),
            Action::PassOn { timings, total_ms } => {
                let permit = machine.permit();
                let passed = held.take().zip(permit);
                let passed = passed.and_then(|(held, permit)| sending.pass_on(permit, held, timings, total_ms));
                match passed {
                    Some((response, sent)) => {
                        return UnderWay { machine, reply: Some(Reply::Done(response)), sent: Some(sent) };
                    }
                    None => Event::NotDeliverable,
                }
            }
            Action::Refuse { no, attempts } => {
                forget(held);
                if attempts.is_none() {
                    Box::pin(upload::drain(&call.request, &call.incoming)).await;
                }
                return refused(call, machine, no, attempts);
            }
            Action::Leave => {
                forget(held);
                return UnderWay { machine, reply: None, sent: None };
            }
            // None of these comes before the caller's answer.
            Action::Wait(_) | Action::SettleBatch { .. } | Action::AwaitBody | Action::End => {
                return refused(call, machine, no(fault()), None);
            }
        };
        action = handle(&mut machine, event);
    }
}

/// Sees a call to its end, once its caller has been answered: all of its body has gone, and the object has stored what
/// became of its permits.
pub async fn finish(call: &Call, mut under_way: UnderWay, mut record: Record) {
    let machine = &mut under_way.machine;
    let (mut action, mut written) = (handle(machine, Event::CallerAnswered), false);
    loop {
        if machine.is_settling() && !std::mem::replace(&mut written, true) {
            record.became(machine.facts());
            record.write();
        }
        let event = match action {
            Action::Wait(ms) => {
                platform::pause(ms as f64, None).await;
                Event::Waited(Caller::Present)
            }
            Action::AwaitBody => Event::BodyEnded(match under_way.sent.take() {
                Some(sent) => forward::body_end(&sent).await,
                None => BodyCompletion { end: BodyEnd::CutOff, bytes: 0, more: false },
            }),
            Action::SettleBatch { tenant, settlements } => tell(call, &tenant, Ask::Account(settlements)).await,
            _ => return,
        };
        action = handle(machine, event);
    }
}

fn begin(sending: &Forward<'_>, admit: Admit) -> (Box<CallMachine>, Action) {
    let call = sending.call;
    let of = call::CallSpec {
        id: call.id.clone(),
        number: call.begun,
        came_at: call.incoming.at,
        wait_ms: call.prefer.wait_ms,
        path: sending.vendor.route_path().to_owned(),
        // That of the vendor's URL, which may be empty, less the keys in it.
        logged_path: if sending.vendor.path.is_empty() { String::new() } else { call::without_keys(&admit.path) },
        idempotency_key: call.incoming.header("idempotency-key").is_some(),
        body_is_kept: upload::can_be_repeated(sending.body),
        pace: Pace::USUAL,
    };
    let (machine, action) = within(|context| CallMachine::begin(of, admit, context));
    (Box::new(machine), action)
}

fn handle(machine: &mut CallMachine, event: Event) -> Action {
    // Each event follows on the action before it, so the machine waits for it.
    within(|context| machine.handle(machine.step(), event, context)).unwrap_or(Action::End)
}

fn within<T>(act: impl FnOnce(&mut Context<'_>) -> T) -> T {
    known::with(|isolate| {
        let log = &mut |line: call::Log| super::log(&line.line());
        act(&mut Context { now: platform::now(), isolate, random_id: &platform::random_id, log })
    })
}

/// Asks the object for a permit. What is awaited holds nothing of the ask, as thousands may wait.
#[expect(clippy::boxed_local, reason = "the action has it boxed")]
fn ask(call: &Call, admit: Box<Admit>) -> impl Future<Output = Event> + use<> {
    let (tenant, id) = (admit.claims.tenant.clone(), admit.call.clone());
    let asked = tenants::ask_once(&call.here, &tenant, &Ask::Admit(*admit), Some((&call.request, &id)));
    async move {
        match asked.await {
            Some(tenants::Asked { reply, elapsed_ms, gone, .. }) => {
                let caller = if gone { Caller::Gone } else { Caller::Present };
                Event::Replied(ObjectReply { reply, elapsed_ms, caller })
            }
            None => Event::NotReplied,
        }
    }
}

/// Tells the object what became of permits.
async fn tell(call: &Call, tenant: &str, ask: Ask) -> Event {
    match tenants::ask_once(&call.here, tenant, &ask, None).await {
        Some(tenants::Asked { reply: protocol::Reply::Done, .. }) => Event::Acknowledged,
        _ => Event::NotAcknowledged,
    }
}

async fn rest(call: &Call, ms: u64) -> Caller {
    match platform::pause(ms as f64, Some(&call.request)).await == JsValue::FALSE {
        true => Caller::Gone,
        false => Caller::Present,
    }
}

fn refused(call: &Call, machine: Box<CallMachine>, no: Box<No>, attempts: Option<u32>) -> UnderWay {
    let answer = answers::refused_call(&no, &call.id, call.incoming.header("accept"));
    let answer = match attempts {
        Some(attempts) => answer.with("Sluice-Attempts", attempts.to_string()),
        None => answer,
    };
    UnderWay { machine, reply: Some(Reply::Own(answer)), sent: None }
}

fn forget(held: Option<VendorAnswer>) {
    if let Some(answer) = held {
        answer.drop();
    }
}

fn no(refusal: Refusal) -> Box<No> {
    Box::new(No { refusal, vendor: None, rate_limit: None })
}

fn fault() -> Refusal {
    Refusal::new(Reason::Internal, "a fault of sluice's own: see its log")
}
