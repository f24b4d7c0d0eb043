//! The access token of a connection whose credential has to be exchanged for one: held, renewed,
//! and fetched once for many callers. What is decided here is who fetches and who waits; the
//! fetching is a Worker's.
//!
//! A call comes here before the limiter: a permit lives for 2 s, a token may take 10 s to come. The
//! first call that needs a token is asked to fetch it ([`TokenDecision::Fetch`]); those after it
//! wait, and are woken by its report. A fetcher that does not report by its deadline counts as
//! dead, and the next in line fetches. While the token still works, its renewal holds up only one
//! call.

use super::replies::Ticket;
use crate::policy::Connection;
use crate::protocol::TokenMark;
use crate::upstream::grant::{self, EXCHANGE_MS, Exchange, Failure, Issued};

mod failure;
mod identity;
mod row;
mod waiting;

pub use identity::mark;

use failure::{Failed, LASTING_BACKOFF_MS, backoff};
use identity::{digest, parts};
pub(super) use row::store_tokens;
pub(super) use waiting::Waiter;
use waiting::Waiting;

/// A fetcher counts as dead after this time, in milliseconds: the exchange, and a report that is
/// sent three times.
const REPORT_MS: i64 = EXCHANGE_MS.cast_signed() + 5_000;

/// How many fetchers in a row may die before those who wait are refused because there is no token.
const MOST_LOST: u32 = 2;

/// A token is renewed when a tenth of its life is left, and at most this long before its end, in
/// milliseconds.
const MARGIN_MS: i64 = 60_000;

/// The shortest life that a token counts as having from its arrival, in milliseconds: tokens are
/// fetched no more often.
const SHORTEST_MS: i64 = 1_000;

/// A token that is refused within this time of its arrival is young, in milliseconds: to fetch
/// another may not help.
const YOUNG_MS: i64 = 60_000;

/// The access token of one connection, or the want of it. Times are Unix milliseconds.
#[derive(Clone)]
pub struct TokenCache {
    /// The digest of what tokens are bought with, and where: a token bought with something else is
    /// not taken.
    whose: u64,
    /// The digest of where tokens are used.
    place: u64,
    /// The token, if there is one.
    held: Option<CachedToken>,
    /// The refresh token to use next, where one came in place of the policy's.
    refresh: Option<String>,
    /// When the exchange began whose outcome is held. Of two reports the one on the later exchange
    /// counts.
    taken: i64,
    /// When the newest exchange began.
    began: i64,
    /// When the fetcher counts as dead, while an exchange runs.
    runs_until: Option<i64>,
    /// How many fetchers in a row have not reported.
    lost: u32,
    /// The last failure, if no token came since.
    failed: Option<Failed>,
    /// How many young tokens in a row the vendor has refused.
    refused_young: u32,
    waiting: Waiting,
    /// The calls that have waited until others took their places.
    displaced: Vec<Waiter>,
}

/// A token that is held. Times are Unix milliseconds.
#[derive(Clone)]
pub(super) struct CachedToken {
    /// The token.
    pub token: String,
    /// Its [`mark`].
    pub mark: TokenMark,
    /// When it came.
    pub since: i64,
    /// When it is to be renewed.
    pub renew_at: i64,
    /// When it ends.
    pub ends_at: i64,
}

/// What a call needs before it may be put to the limiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenDecision {
    /// The call needs nothing: there is a token that works.
    Nothing,
    /// The call needs a token, and its caller is to fetch it by the exchange that begins now.
    Fetch,
    /// The call waits for the caller who fetches.
    Wait,
    /// There is no token: why, and the seconds until it is tried again.
    Fail(Failure, u64),
    /// The vendor refused the token, and another would be no better, so the vendor's answer stands.
    Stands,
}

impl TokenCache {
    /// The cache of a connection whose credential has to be exchanged, without a token yet; none
    /// for any other.
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

    /// Keeps what still holds for the connection as it is now: everything if the credential and its
    /// places are the same, the refresh token if only `base_url` has changed, nothing otherwise.
    pub(super) fn for_another(self, connection: &Connection) -> Option<Self> {
        let fresh = Self::of(connection)?;
        if fresh.whose != self.whose {
            return Some(fresh);
        }
        let held = self.held.filter(|_| self.place == fresh.place);
        Some(Self { place: fresh.place, held, ..self })
    }

    /// Decides what a call needs that has just come and does not wait for an endpoint that rests.
    /// `rejected_token` is the token that the vendor has refused it, if it has.
    pub(super) fn ask(&mut self, now: i64, rejected_token: Option<TokenMark>) -> TokenDecision {
        self.ask_within(now, rejected_token, 0)
    }

    /// Decides what a call needs that may wait for `left_ms`: it waits through the short pause
    /// after the endpoint's first refusal.
    pub(super) fn ask_within(&mut self, now: i64, rejected_token: Option<TokenMark>, left_ms: u64) -> TokenDecision {
        self.expire_fetcher(now);
        if !self.forget_rejected(now, rejected_token) {
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
            Some(failed) => TokenDecision::Fail(failed.failure.clone(), failed.seconds_left(now)),
            None => {
                self.begin(now);
                TokenDecision::Fetch
            }
        }
    }

    /// The token that works, as far as is known.
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

    /// Makes the request for a token.
    pub(super) fn exchange(&self, connection: &Connection, now: i64) -> Result<Exchange, Failure> {
        let Connection { credential, profile, base_url, .. } = connection;
        grant::exchange(credential, profile, base_url, self.refresh.as_deref(), now)
    }

    /// Lets a call wait, in the place of another if need be: see [`Self::next_displaced`]. Tells
    /// whether there is a place for it.
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

    /// Takes out all calls that wait, the first first.
    pub(super) fn take_waiting(&mut self) -> Vec<Waiter> {
        self.waiting.take()
    }

    /// When the fetcher counts as dead, or the endpoint is asked again, if somebody waits.
    pub(super) fn next_wakeup(&self) -> Option<i64> {
        let again = || self.failed.as_ref().map(|failed| failed.retry_at);
        self.runs_until.or_else(again).filter(|_| !self.waiting.is_empty())
    }

    /// Whether the last failure is a first refusal, which may pass by itself.
    pub(super) fn may_pass(&self) -> bool {
        self.failed.as_ref().is_some_and(Failed::may_pass)
    }

    /// Takes a fetcher's token; returns whether it is taken. What is held must then be stored
    /// before anyone learns of it.
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

    /// Takes a fetcher's failure. The report of a fetcher that counted as dead, or was overtaken,
    /// changes nothing. That of one that was asked to fetch before the object last lost its memory
    /// counts: an object that nobody asks for the 10 s of an exchange loses it.
    pub(super) fn failed(&mut self, now: i64, whose: u64, began: i64, failure: Failure) {
        let running = began == self.began && self.runs_until.is_some();
        if whose == self.whose && (running || began > self.began.max(self.taken)) {
            self.began = began;
            self.fail(now, failure);
        }
    }

    /// Returns whether another token than the refused one is worth asking for; the refused one is
    /// then forgotten. After each young token that is refused the next is asked for later: the
    /// vendor may mean something else by its refusal.
    fn forget_rejected(&mut self, now: i64, rejected_token: Option<TokenMark>) -> bool {
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
        let token_ends_at = self.current(now).map(|held| held.ends_at);
        self.failed = Some(Failed::after(self.failed.as_ref(), failure, now, token_ends_at));
        (self.runs_until, self.lost) = (None, 0);
    }
}

#[cfg(test)]
#[path = "token_cache/tests.rs"]
mod tests;
