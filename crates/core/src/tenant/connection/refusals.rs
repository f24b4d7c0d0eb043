//! The refusals of a connection, and what they tell a caller.

use super::ConnectionState;
use crate::protocol::{No, Reply};
use crate::refusal::{Reason, Refusal};
use crate::tenant::replies::refused;
use crate::tenant::token_cache::TokenCache;
use crate::upstream::grant::Failure;
use sluice_limiter::{Denial, Refused};

impl ConnectionState {
    /// The limiter's refusal, in the vendor's dialect. `rate_limit` is the `RateLimit` field, or
    /// empty.
    pub(super) fn refusal(&mut self, refused: Refused, rate_limit: String) -> Reply {
        let refusal = Refusal {
            reason: refused.reason.into(),
            detail: self.detail(&refused),
            retry_after_seconds: Some(refused.retry_after_seconds),
            violated: refused.violated,
        };
        let fields = (!rate_limit.is_empty()).then(|| (self.rules.route().rate_limit_policy.clone(), rate_limit));
        Reply::Refused(No { refusal, dialect: self.policy().profile.dialect, rate_limit: fields })
    }

    /// The refusal of a call for which there is no place among those that wait for the access
    /// token.
    pub(super) fn no_place_for_token(&mut self, now: i64) -> Reply {
        let detail = format!("too many calls wait for the access token of connection {}", self.name);
        let refusal = Refusal { retry_after_seconds: Some(1), ..Refusal::new(Reason::QueueFull, detail) };
        self.usage.refuse(refusal.reason, now);
        Reply::Refused(No { refusal, dialect: self.policy().profile.dialect, rate_limit: None })
    }

    /// The refusal of a call for which there is no access token. It is always a problem document:
    /// it is not the limiter that refuses.
    pub(super) fn no_token(&self, failure: &Failure, seconds: u64) -> Reply {
        let may_pass = self.tokens.as_ref().is_some_and(TokenCache::may_pass);
        let detail = if may_pass { failure.detail_once(&self.name) } else { failure.detail(&self.name) };
        let refusal = Refusal::new(Reason::VendorUnreachable, detail);
        refused(Refusal { retry_after_seconds: Some(seconds), ..refusal })
    }

    /// Explains a spent day where the vendor's own counts differ from the policy's.
    fn vendor_detail(&mut self, violated: &[String]) -> String {
        let limits = self.limiter.limits();
        let spent = limits.iter().filter(|limit| violated.contains(&limit.name));
        let counted = spent.filter_map(|limit| Some((limit, limit.vendor_limit?)));
        let mut text = String::new();
        for (limit, total) in counted {
            let name = &limit.name;
            let used = limit.vendor_used.map(|used| format!("{used} of ")).unwrap_or_default();
            if total < limit.of {
                text.push_str(&format!(
                    "; the vendor itself counts {used}{total}, which holds in place of the {} of {name} in the policy",
                    limit.of
                ));
            } else if total > limit.of {
                text.push_str(&format!(
                    "; the vendor itself counts {used}{total}, more than the {} of {name} in the policy: give the limit its calls there",
                    limit.of
                ));
            }
        }
        text
    }

    /// Returns the sentence that says why a call is refused, and what to do.
    fn detail(&mut self, refused: &Refused) -> String {
        let spent = refused.reason == Denial::DailyQuota;
        let vendor = if spent { self.vendor_detail(&refused.violated) } else { String::new() };
        let (name, seconds) = (&self.name, refused.retry_after_seconds);
        let limits = refused.violated.join(", ");
        match refused.reason {
            Denial::DailyQuota => {
                format!("the day's quota of connection {name} is spent ({limits}): ask again in {seconds} s{vendor}")
            }
            Denial::AppBudget => {
                format!("the app's daily_calls on connection {name} are spent: ask again in {seconds} s")
            }
            Denial::Paused if self.limiter.paused_until().is_none() => {
                format!("an operator has paused connection {name}, or this app on it: ask again in {seconds} s")
            }
            Denial::Paused => {
                format!("the vendor of connection {name} asked to be left alone: ask again in {seconds} s")
            }
            Denial::QueueFull => {
                format!("no place is left in the queue of connection {name}: ask again in {seconds} s")
            }
            Denial::Deadline => {
                format!(
                    "connection {name} will not be free ({limits}) within the time the call may wait: ask again in {seconds} s"
                )
            }
            _ => format!("connection {name} is full ({limits}) and the call may not wait: ask again in {seconds} s"),
        }
    }
}
