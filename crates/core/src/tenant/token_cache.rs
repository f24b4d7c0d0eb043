//! The access token of a connection whose credential has to be exchanged for one: held, renewed, fetched once for many
//! callers. What is decided here is who fetches and who waits; the fetching is a Worker's.
//!
//! A call comes here before the limiter: a permit lives for 2 s, a token may take 10 s to come. The first that needs a
//! token is told to fetch it ([`TokenDecision::Fetch`]); those after it wait, and are woken by its report. A fetcher that does not
//! report by its deadline is taken for dead, and the next in line fetches. While the token still works, only one call is
//! held up by its renewal.

use super::replies::Ticket;
use crate::policy::{Connection, Credential};
use crate::protocol::TokenMark;
use crate::upstream::grant::{self, EXCHANGE_MS, Exchange, Failure, Issued};
use sha2::{Digest, Sha256};

mod row;
mod waiting;

pub(super) use row::store_tokens;
pub(super) use waiting::Waiter;
use waiting::Waiting;

/// A fetcher is taken for dead after this, milliseconds: the exchange, and a report that is sent three times.
const REPORT_MS: i64 = EXCHANGE_MS.cast_signed() + 5_000;

/// Fetchers in a row that may die before those who wait are told that none is to be had.
const MOST_LOST: u32 = 2;

/// A token is renewed when a tenth of its life is left, and at most this long before its end, milliseconds.
const MARGIN_MS: i64 = 60_000;

/// The shortest life a token is held to have from its arrival, milliseconds: so often at most is one fetched.
const SHORTEST_MS: i64 = 1_000;

/// A token refused within this time of its arrival is young, milliseconds: to fetch another may not help.
const YOUNG_MS: i64 = 60_000;

/// Backoff, first and longest, milliseconds, by whether asking again soon may help.
const BACKOFF_MS: (i64, i64) = (1_000, 60_000);
const LASTING_BACKOFF_MS: (i64, i64) = (5_000, 300_000);

/// The pause after a first refusal that may pass by itself, milliseconds: another client may be exchanging the same refresh token at
/// that moment (Salesforce then says `invalid_grant`). Calls that may wait so long wait through it.
const SOFT_BACKOFF_MS: i64 = 500;

/// The longest pause that calls wait through, milliseconds.
const LONGEST_WAITED_MS: i64 = 1_000;

/// The longest that an endpoint is left alone because it says so, milliseconds: as long as one that refuses the credential.
const LONGEST_REST_MS: u64 = 300_000;

/// A renewal that has failed is tried again at the latest so long before the end of the token that still works, milliseconds.
const BEFORE_END_MS: i64 = 1_000;

/// The access token of one connection, or the want of it.
#[derive(Clone)]
pub struct TokenCache {
    /// Digest of what tokens are bought with, and where: one bought with something else is not taken.
    whose: u64,
    /// Digest of where they go.
    place: u64,
    held: Option<CachedToken>,
    /// The refresh token to use next, where one came in place of the policy's.
    refresh: Option<String>,
    /// When the exchange began whose outcome is held, Unix ms. Of two reports the one begun later counts.
    taken: i64,
    /// When the newest exchange began.
    began: i64,
    /// While an exchange runs: when its fetcher is taken for dead.
    runs_until: Option<i64>,
    /// Fetchers in a row that have not reported.
    lost: u32,
    failed: Option<Failed>,
    /// Young tokens in a row that the vendor refused.
    refused_young: u32,
    waiting: Waiting,
    /// Calls that have waited until others took their places.
    displaced: Vec<Waiter>,
}

/// A token. Times are Unix ms.
#[derive(Clone)]
pub(super) struct CachedToken {
    pub token: String,
    /// Which one it is: [`mark`].
    pub mark: TokenMark,
    pub since: i64,
    pub renew_at: i64,
    pub ends_at: i64,
}

#[derive(Clone)]
struct Failed {
    failure: Failure,
    times: u32,
    retry_at: i64,
}

/// What a call needs before it may be put to the limiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenDecision {
    /// Nothing: there is a token that works.
    Nothing,
    /// A token: its caller is to fetch it, by the exchange that begins now.
    Fetch,
    /// To wait for the one who fetches.
    Wait,
    /// It cannot be had: why, and seconds until it is tried again.
    Fail(Failure, u64),
    /// The vendor refused the token, and another would be no better: its answer stands.
    Stands,
}

/// Which token this is: enough to tell one from the next, and nothing to use it by.
pub fn mark(token: &str) -> TokenMark {
    TokenMark(digest(&[token.as_bytes()]))
}

fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1)
}

/// What makes a credential the one it is. It is stored as a digest, and with another a refresh token that has been turned
/// would be lost: so this stays as it is, whatever becomes of the type.
fn parts(credential: &Credential) -> Option<Vec<&str>> {
    Some(match credential {
        Credential::ClientCredentials { client_id, client_secret, scope, .. } => {
            vec!["client_credentials", client_id, client_secret, scope.as_deref().unwrap_or_default()]
        }
        Credential::RefreshToken { client_id, client_secret, refresh_token, .. } => {
            vec!["refresh_token", client_id, client_secret, refresh_token]
        }
        Credential::JwtBearer { issuer, private_key, audience, subject, scope } => vec![
            "jwt_bearer",
            issuer,
            private_key,
            audience,
            subject.as_deref().unwrap_or_default(),
            scope.as_deref().unwrap_or_default(),
        ],
        _ => return None,
    })
}

impl TokenCache {
    /// For a connection whose credential needs it; without a token yet.
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        let parts = parts(&connection.credential)?;
        let endpoint = grant::endpoint(&connection.credential, &connection.profile, &connection.base_url)?;
        let parts: Vec<&[u8]> = parts.iter().chain([&endpoint.as_str()]).map(|part| part.as_bytes()).collect();
        Some(Self {
            whose: digest(&parts),
            place: digest(&[connection.base_url.as_bytes()]),
            held: None,
            refresh: None,
            taken: 0,
            began: 0,
            runs_until: None,
            lost: 0,
            failed: None,
            refused_young: 0,
            waiting: Waiting::default(),
            displaced: Vec::new(),
        })
    }

    /// What is still good of it for a connection as it is now: everything while the credential and its places are the
    /// same, the refresh token while only `base_url` has changed, nothing otherwise.
    pub(super) fn for_another(self, connection: &Connection) -> Option<Self> {
        let fresh = Self::of(connection)?;
        if fresh.whose != self.whose {
            return Some(fresh);
        }
        let held = self.held.filter(|_| self.place == fresh.place);
        Some(Self { place: fresh.place, held, ..self })
    }

    /// What a call needs that has just come and does not wait for an endpoint that rests. `rejected_token`: the token that the vendor
    /// refused it, if it has.
    pub(super) fn ask(&mut self, now: i64, rejected_token: Option<TokenMark>) -> TokenDecision {
        self.ask_within(now, rejected_token, 0)
    }

    /// The same for a call that may wait for `left_ms`: it waits through the short pause after the endpoint's first refusal.
    pub(super) fn ask_within(&mut self, now: i64, rejected_token: Option<TokenMark>, left_ms: u64) -> TokenDecision {
        self.expire_fetcher(now);
        if !self.heed(now, rejected_token) {
            return TokenDecision::Stands;
        }
        let works = self.current(now).is_some();
        if works && self.held.as_ref().is_some_and(|held| now < held.renew_at) {
            return TokenDecision::Nothing;
        }
        if self.runs_until.is_some() {
            return match works {
                true => TokenDecision::Nothing,
                false => TokenDecision::Wait,
            };
        }
        match self.resting(now) {
            Some(_) if works => TokenDecision::Nothing,
            Some(failed) if failed.is_waited_through(now, left_ms) => TokenDecision::Wait,
            Some(failed) => TokenDecision::Fail(failed.failure.clone(), seconds_until(failed.retry_at, now)),
            None => {
                self.begin(now);
                TokenDecision::Fetch
            }
        }
    }

    /// A token that works, as far as is known.
    pub(super) fn current(&self, now: i64) -> Option<&CachedToken> {
        self.held.as_ref().filter(|held| now < held.ends_at)
    }

    /// The digest of the credential that tokens are bought with.
    pub(super) const fn whose(&self) -> u64 {
        self.whose
    }

    /// When the exchange began that runs, in Unix milliseconds.
    pub(super) const fn began(&self) -> i64 {
        self.began
    }

    /// The request for a token.
    pub(super) fn exchange(&self, connection: &Connection, now: i64) -> Result<Exchange, Failure> {
        let Connection { credential, profile, base_url, .. } = connection;
        grant::exchange(credential, profile, base_url, self.refresh.as_deref(), now)
    }

    /// A call waits, in the place of another if need be: see [`Self::next_displaced`]. Whether there is a place for it.
    pub(super) fn wait(&mut self, waiter: Waiter) -> bool {
        match self.waiting.add(waiter) {
            Ok(displaced) => {
                self.displaced.extend(displaced);
                true
            }
            Err(_) => false,
        }
    }

    /// The next call that has waited until another took its place.
    pub(super) fn next_displaced(&mut self) -> Option<Waiter> {
        self.displaced.pop()
    }

    /// Takes out the waiting call of that ticket.
    pub(super) fn cancel(&mut self, ticket: Ticket) -> Option<Waiter> {
        self.waiting.remove(ticket.0)
    }

    /// All that wait, the first first.
    pub(super) fn take_waiting(&mut self) -> Vec<Waiter> {
        self.waiting.take()
    }

    /// If somebody waits: when the fetcher is taken for dead, or the endpoint is asked again.
    pub(super) fn next_wakeup(&self) -> Option<i64> {
        let again = || self.failed.as_ref().map(|failed| failed.retry_at);
        self.runs_until.or_else(again).filter(|_| !self.waiting.is_empty())
    }

    /// Whether the failure that is told is a first refusal, which may pass by itself.
    pub(super) fn may_pass(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.times == 1 && failed.failure.may_pass())
    }

    /// A fetcher has a token. Whether it is taken: what is held must then be stored before anyone hears of it.
    pub(super) fn issued(&mut self, now: i64, whose: u64, began: i64, life_ms: i64, issued: Issued) -> bool {
        if whose != self.whose || began <= self.taken {
            return false;
        }
        let mark = mark(&issued.token);
        let same = self.held.as_ref().is_some_and(|held| held.mark == mark);
        let ends_at = began.saturating_add(life_ms).max(now.saturating_add(SHORTEST_MS));
        let margin = MARGIN_MS.min(ends_at.saturating_sub(now) / 10);
        self.held = Some(CachedToken {
            token: issued.token,
            mark,
            since: now,
            // A vendor that gives the same token again gives no other before it ends (Marketo).
            renew_at: if same { ends_at } else { ends_at.saturating_sub(margin) },
            ends_at,
        });
        if issued.refresh_token.is_some() {
            self.refresh = issued.refresh_token;
        }
        (self.taken, self.began) = (began, self.began.max(began));
        (self.runs_until, self.lost, self.failed) = (None, 0, None);
        true
    }

    /// A fetcher has failed. One that was taken for dead, or was overtaken, has nothing to say; one that was told to fetch
    /// before the object last lost its memory has: an object that nobody asks for the 10 s of an exchange loses it.
    pub(super) fn failed(&mut self, now: i64, whose: u64, began: i64, failure: Failure) {
        let running = began == self.began && self.runs_until.is_some();
        if whose == self.whose && (running || began > self.began.max(self.taken)) {
            self.began = began;
            self.fail(now, failure);
        }
    }

    /// Whether it is worth asking for another token than the refused one, which is then forgotten. Of tokens refused when
    /// young the next is asked for later each time: the vendor may mean something else by its refusal.
    fn heed(&mut self, now: i64, rejected_token: Option<TokenMark>) -> bool {
        let Some(held) = self.held.as_ref().filter(|held| Some(held.mark) == rejected_token) else { return true };
        // At the end of its life a refusal says nothing but that.
        if now >= held.renew_at {
            self.held = None;
            return true;
        }
        if now.saturating_sub(held.since) >= YOUNG_MS {
            self.refused_young = 0;
        } else if self.refused_young > 0
            && now < held.since.saturating_add(backoff(LASTING_BACKOFF_MS, self.refused_young))
        {
            return false;
        } else {
            self.refused_young = self.refused_young.saturating_add(1);
        }
        self.held = None;
        true
    }

    fn resting(&self, now: i64) -> Option<&Failed> {
        self.failed.as_ref().filter(|failed| now < failed.retry_at)
    }

    fn begin(&mut self, now: i64) {
        self.began = now.max(self.began.saturating_add(1)).max(self.taken.saturating_add(1));
        self.runs_until = Some(now.saturating_add(REPORT_MS));
    }

    fn expire_fetcher(&mut self, now: i64) {
        if self.runs_until.is_some_and(|until| until <= now) {
            self.runs_until = None;
            self.lost = self.lost.saturating_add(1);
            if self.lost >= MOST_LOST {
                self.fail(now, Failure::Lost);
            }
        }
    }

    fn fail(&mut self, now: i64, failure: Failure) {
        let times = self.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        let rest = match &failure {
            Failure::Unwell { retry_after_ms, .. } => retry_after_ms.unwrap_or(0).min(LONGEST_REST_MS),
            _ => 0,
        };
        // A first refusal is not believed, so what follows it is the first of those that are.
        let pause = match failure.may_pass() {
            true if times == 1 => SOFT_BACKOFF_MS,
            soft if failure.is_lasting() => backoff(LASTING_BACKOFF_MS, times.saturating_sub(u32::from(soft))),
            _ => backoff(BACKOFF_MS, times),
        };
        let retry_at = now.saturating_add(pause.max(i64::try_from(rest).unwrap_or(0)));
        let retry_at = self.current(now).map_or(retry_at, |held| {
            let before_end = held.ends_at.saturating_sub(BEFORE_END_MS);
            retry_at.min(if before_end > now.saturating_add(SOFT_BACKOFF_MS) { before_end } else { held.ends_at })
        });
        self.failed = Some(Failed { failure, times, retry_at });
        (self.runs_until, self.lost) = (None, 0);
    }
}

impl Failed {
    /// Whether a call that may wait for `left_ms` waits until the endpoint is asked again.
    fn is_waited_through(&self, now: i64, left_ms: u64) -> bool {
        let wait = self.retry_at.saturating_sub(now);
        self.times == 1
            && self.failure.may_pass()
            && wait <= LONGEST_WAITED_MS
            && u64::try_from(wait).unwrap_or(0) <= left_ms
    }
}

/// Exponential; `times` from 1.
fn backoff((first, longest): (i64, i64), times: u32) -> i64 {
    first.saturating_mul(1 << times.saturating_sub(1).min(16)).min(longest)
}

fn seconds_until(at: i64, now: i64) -> u64 {
    u64::try_from(at.saturating_sub(now)).unwrap_or(0).div_ceil(1_000).max(1)
}

#[cfg(test)]
#[path = "token_cache/tests.rs"]
mod tests;
