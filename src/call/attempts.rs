//! A call's attempts: sent once, for most; again where that helps and does no harm. Each attempt
//! has a permit of its own, asked for after the one before was settled: that one may hold the only
//! slot. A call that rests holds nothing.

use crate::call::access_log::AccessLog;
use crate::call::context::{Call, CallEnd, Permit};
use crate::call::forward::{Attempt, CallTimings, Forward, ForwardedResponse, since};
use crate::call::{admission, body, settle};
use crate::platform;
use sluice_core::protocol::Admit;
use sluice_core::retry::{Next, RetryContext, next, place_of};

/// Why a call is sent again.
enum RetryReason {
    /// The vendor refuses the access token: at once, with another.
    Renew,
    /// It may go well then, milliseconds from the answer.
    After(u64),
}

/// Sends until what came stands, and begins to pass it on.
pub async fn send_with_retries(
    sending: &Forward<'_>,
    admit: &Admit,
    mut permit: Permit,
    record: &mut AccessLog,
) -> Result<(Permit, ForwardedResponse), CallEnd> {
    let call = sending.call;
    let mut timings = CallTimings { queue_ms: since(permit.at, call.incoming.at), ..CallTimings::default() };
    let mut renewed = false;
    loop {
        timings.attempts = timings.attempts.saturating_add(1);
        let mut attempt = sending.send(&permit).await;
        timings.vendor_ms = timings.vendor_ms.saturating_add(since(attempt.at, permit.at));
        record.attempted(timings);
        let again = retry_reason(sending, admit, &permit, &attempt, (timings.attempts, renewed));
        // Read to its end, so that it can be said later, and so that the vendor is done with it.
        let end = if again.is_some() { attempt.keep().await } else { None };
        let (Some(again), Some(end)) = (again, end) else {
            let forwarded = sending.pass_on(&permit, attempt, timings, false);
            return Ok((permit, forwarded));
        };
        settle::settle(call, &permit, end).await;
        let asked_at;
        let another = match again {
            RetryReason::Renew => {
                renewed = true;
                asked_at = platform::now();
                let rejected = permit.bearer.as_ref().map_or(0, |bearer| bearer.mark);
                Box::pin(admission::acquire_with_another_token(
                    call,
                    admit,
                    timings.attempts.saturating_add(1),
                    rejected,
                ))
                .await
            }
            RetryReason::After(wait) => {
                if !platform::sleep_while_wanted(wait, &call.request).await {
                    attempt.drop();
                    return Err(CallEnd::CallerGone);
                }
                asked_at = platform::now();
                let deadline = deadline(call, &permit);
                match Box::pin(admission::acquire_for_retry(call, admit, timings.attempts.saturating_add(1), deadline))
                    .await
                {
                    Err(CallEnd::CallerGone) => Err(CallEnd::CallerGone),
                    // What came of the last attempt tells the caller more than that another one
                    // cannot be made.
                    refused_or_not => Ok(refused_or_not.ok()),
                }
            }
        };
        match another {
            Ok(Some(another)) => {
                attempt.drop();
                timings.queue_ms = timings.queue_ms.saturating_add(since(another.at, asked_at));
                permit = another;
            }
            Ok(None) => {
                let forwarded = sending.pass_on(&permit, attempt, timings, true);
                return Ok((permit, forwarded));
            }
            Err(stop) => {
                attempt.drop();
                return Err(stop);
            }
        }
    }
}

/// Whether and when it is sent again.
fn retry_reason(
    sending: &Forward,
    admit: &Admit,
    permit: &Permit,
    attempt: &Attempt,
    (attempts, renewed): (u32, bool),
) -> Option<RetryReason> {
    let verdict = attempt.verdict.as_ref()?;
    if !body::can_be_repeated(sending.body) {
        return None;
    }
    if verdict.expired && permit.bearer.is_some() && !renewed {
        return Some(RetryReason::Renew);
    }
    let (call, route) = (sending.call, &permit.route);
    let tried = RetryContext {
        profile: &route.profile,
        method: &admit.method,
        path: sending.vendor.route_path(),
        idempotency_key: call.incoming.header("idempotency-key").is_some(),
        unattended: false,
        // The repetition with another token is none of these: nothing was wrong with the call.
        made: attempts.saturating_sub(u32::from(renewed)),
        most: route.attempts,
        left_ms: Some(since(deadline(call, permit), attempt.at)),
        max_pause_ms: route.max_pause_ms,
        random: place_of(permit.id, &format!("{}/{}", permit.tenant, permit.connection)),
    };
    match next(&tried, verdict) {
        Next::After(wait) => Some(RetryReason::After(wait)),
        Next::Stop(_) => None,
    }
}

/// Until when a further attempt may be admitted, Unix ms: as long as the caller would wait for its
/// first permit.
fn deadline(call: &Call, permit: &Permit) -> i64 {
    let wait = call.prefer.wait_ms.unwrap_or(u64::MAX).min(permit.route.max_wait_ms);
    call.incoming.at.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
}
