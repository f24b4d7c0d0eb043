//! The state of one connection: its rules, its limiter, its access token, the calls that wait for
//! it, and its counts.
//!
//! Each part owns its fields; what follows from several parts together is decided here. Below this
//! module nothing knows of a tenant, above it nothing looks into a connection.

mod admission;
mod alerts;
mod counting;
mod jobs;
mod refusals;
mod settlement;
mod status;
mod tokens;

pub(super) use admission::{AdmitResult, AskingCall};
pub(super) use alerts::AlertSchedule;
pub(super) use counting::{ReportDays, split_row};
pub(super) use jobs::{JobPermits, Meanwhile, TokenForJobs};
pub(super) use status::ConnectionDocument;

use super::blocked::Blocked;
use super::pauses::{Pause, PauseDocument, Pauses};
use super::replies::{Ticket, refused};
use super::rules::Rules;
use super::store::{Host, StoreError, Table};
use super::token_cache::TokenCache;
use super::tombstone;
use super::waiting_calls::WaitingCalls;
use crate::policy::{Connection, Policy};
use crate::protocol::{Admit, Reply};
use crate::refusal::Refusal;
use crate::usage::Usage;
use sluice_limiter::pool::{LoanGrant, LoanRequest};
use sluice_limiter::{Limiter, SKEW_MS, Stays, Ticket as QueueTicket};
use std::collections::BTreeMap;

/// The state of one connection.
pub struct ConnectionState {
    tenant: String,
    name: String,
    rules: Rules,
    limiter: Limiter,
    waiting: WaitingCalls,
    /// The access token, where the credential has to be exchanged for one.
    tokens: Option<TokenCache>,
    /// What the connection has counted.
    usage: Usage,
    /// When its alerts are checked next.
    alert_schedule: AlertSchedule,
    job_permits: JobPermits,
    pauses: Pauses,
    /// What is known of routes that the vendor refuses each time.
    blocked: Blocked,
}

/// What becomes of each call that waits in the limiter's queue, by the number of its place, when
/// the policy changes.
pub(super) type WhoStays = BTreeMap<u64, Result<Stays, Refusal>>;

/// A call that waited for an access token when the policy changed.
pub struct Displaced {
    /// The ticket under which its caller is answered.
    pub(super) ticket: Ticket,
    /// The call, as it asked to go.
    pub(super) admit: Box<Admit>,
    /// How long it has waited, in milliseconds.
    pub(super) waited_ms: u64,
}

impl ConnectionState {
    /// Opens a connection as the policy has it, with the counts that were stored under its name.
    pub(super) fn open(
        (tenant, name): (&str, &str),
        policy: &Policy,
        host: &mut Host<'_>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(connection) = policy.connections.get(name) else { return Ok(None) };
        let rules = Rules::of(connection);
        let plan = rules.plan(&policy.apps);
        let mut row = host.store.load(Table::Limiter, name)?;
        if row.is_none() {
            row = host.store.load(Table::Tombstone, name)?.and_then(|stone| tombstone::row_in(&stone));
        }
        let (mut limiter, usage) = match row {
            Some(row) => {
                let (row, usage) = split_row(&row);
                (Limiter::load(plan, row, host.time(), SKEW_MS).map_err(StoreError)?, usage)
            }
            None => (Limiter::new(plan, host.time()), Usage::default()),
        };
        let tokens = TokenCache::load((tenant, name), connection, host)?;
        let pauses = Pauses::load(name, &mut limiter, host)?;
        if let Some(tokens) = &tokens {
            tokens.reseal((tenant, name), host)?;
        }
        Ok(Some(Self {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            rules,
            limiter,
            waiting: WaitingCalls::default(),
            tokens,
            usage,
            alert_schedule: AlertSchedule::default(),
            job_permits: JobPermits::default(),
            pauses,
            blocked: Blocked::default(),
        }))
    }

    /// The connection's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the connection's tenant.
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The connection's rules.
    pub(super) const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The connection's part of the policy.
    pub(super) const fn policy(&self) -> &Connection {
        self.rules.policy()
    }

    /// The connection's limiter, to be read.
    pub(super) const fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// What the connection has counted, to be read.
    pub(super) const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Closes a connection that is no longer in the policy. Gives what it has counted, and the
    /// tickets of those who wait.
    pub(super) fn leave(mut self, host: &mut Host<'_>) -> Result<(Usage, Vec<Ticket>), StoreError> {
        self.limiter.tick(host.time());
        self.end_life(host);
        let usage = std::mem::take(&mut self.usage);
        Ok((usage, self.close(host)?))
    }

    /// Closes a connection that is removed with its tenant. What must outlive it is stored, and
    /// nothing is removed yet. Gives the tickets of those who wait.
    pub(super) fn close(self, host: &mut Host<'_>) -> Result<Vec<Ticket>, StoreError> {
        tombstone::bury(&self.name, self.limiter, host)?;
        let for_a_token = self.tokens.map(|mut tokens| tokens.take_waiting()).unwrap_or_default();
        let for_a_token = for_a_token.into_iter().map(|waiter| waiter.ticket);
        Ok(self.waiting.into_tickets().chain(for_a_token).collect())
    }

    /// Puts another policy's connection in force, except for its limits: those follow with
    /// [`Self::replan`], once it is known who may still wait. Gives those who waited for an access
    /// token, in the order in which they came; they are to ask anew.
    pub(super) fn edit(&mut self, connection: &Connection, host: &mut Host<'_>) -> Result<Vec<Displaced>, StoreError> {
        self.limiter.tick(host.time());
        self.count_unheard(host);
        self.usage.forget_day();
        let waiting = self.tokens.iter_mut().flat_map(TokenCache::take_waiting).map(|waiter| Displaced {
            ticket: waiter.ticket,
            waited_ms: u64::try_from(host.now.saturating_sub(waiter.since)).unwrap_or(0),
            admit: waiter.admit,
        });
        let waiting = waiting.collect();
        self.tokens = match self.tokens.take() {
            Some(tokens) => tokens.for_another(connection),
            None => TokenCache::of(connection),
        };
        self.rules = Rules::of(connection);
        self.alert_schedule = AlertSchedule::default();
        self.job_permits.forget_token_wait();
        self.store_tokens(host)?;
        Ok(waiting)
    }

    /// Returns what becomes of each call that waits in the limiter's queue; `check` says whether it
    /// may still be made.
    pub(super) fn who_stays(&self, check: impl Fn(&Admit) -> Result<(), Refusal>) -> WhoStays {
        let stays = |admit: &Admit| {
            check(admit)?;
            Ok(Stays { mask: self.rules.mask(&admit.method, &admit.path), wait_ms: admit.wait_ms })
        };
        self.waiting.calls().map(|call| (call.place.number(), stays(&call.admit))).collect()
    }

    /// Puts another policy's limits in force. Those who wait keep their places; those who may wait
    /// no longer are refused.
    pub(super) fn replan(
        &mut self,
        policy: &Policy,
        mut stays: WhoStays,
        host: &mut Host<'_>,
    ) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        let plan = self.rules.plan(&policy.apps);
        let stay = |place: QueueTicket, _: &str| stays.get(&place.number())?.as_ref().ok().copied();
        let gone = self.limiter.replan(plan, host.time(), stay);
        let mut replies = Vec::new();
        for place in gone {
            let Some(call) = self.waiting.remove(place) else { continue };
            let reply = match stays.remove(&place.number()) {
                Some(Err(refusal)) => refused(refusal),
                // No lane was left for it: it asks anew.
                _ => Reply::Retry,
            };
            replies.push((call.ticket, reply));
        }
        self.store(host)?;
        Ok(replies)
    }

    /// Goes on from the counts that were kept while the connection was out of the policy.
    pub(super) fn take_back(&mut self, usage: Usage, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.usage = usage;
        self.limiter.require_snapshot();
        self.store(host)
    }

    /// Stores the limiter's row, if one is due, before anything of this event leaves.
    pub(super) fn store(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.count_unheard(host);
        match self.limiter.snapshot_due() {
            Some(row) => {
                let row = self.with_usage(&row);
                host.store.save(Table::Limiter, &self.name, &row)
            }
            None => Ok(()),
        }
    }

    /// Makes a ticket wait until all that has happened on the connection is stored; gives false if
    /// it is stored already. The row follows within a second, or with the connection's next call.
    pub(super) fn awaits_storage(&mut self, ticket: impl FnOnce() -> Ticket) -> Option<Ticket> {
        if self.limiter.is_stored() {
            return None;
        }
        let ticket = ticket();
        self.limiter.await_snapshot();
        self.waiting.add_report(ticket);
        Some(ticket)
    }

    /// Takes out those who wait until their reports are stored, if they are.
    pub(super) fn take_stored_reports(&mut self) -> Vec<Ticket> {
        if self.limiter.is_stored() { self.waiting.take_reports() } else { Vec::new() }
    }

    /// Takes out all who wait until their reports are stored: they are stored with what follows.
    pub(super) fn take_reports(&mut self) -> Vec<Ticket> {
        self.waiting.take_reports()
    }

    /// Moves the limiter's clock on.
    pub(super) fn tick(&mut self, host: &Host<'_>) {
        self.limiter.tick(host.time());
    }

    /// Does what is due at the time of [`Self::next_wakeup`], and gives the replies to those who
    /// waited for the access token.
    pub(super) fn wake(&mut self, host: &Host<'_>) -> Vec<(Ticket, Reply)> {
        self.limiter.wake(host.time());
        self.save_refusals(host.now);
        self.wake_for_token(host)
    }

    /// When the connection next wants to be woken, in Unix milliseconds.
    pub(super) fn next_wakeup(&mut self) -> Option<i64> {
        let for_token = self.tokens.as_ref().and_then(TokenCache::next_wakeup);
        self.limiter
            .next_wakeup()
            .into_iter()
            .chain(for_token)
            .chain(self.job_permits.asks_again_at())
            .chain(self.usage.wants_saving_at())
            .chain(self.alert_schedule.timer_at())
            .min()
    }

    /// When the connection wants to be woken even if the object has left memory, in Unix
    /// milliseconds. Then alerts that are raised are checked, and a pool is asked that has not
    /// learned of an edit before this epoch ended.
    pub(super) fn next_alarm(&self) -> Option<i64> {
        self.alert_schedule.alarm_at().into_iter().chain(self.limiter.next_declaration()).min()
    }

    /// Adds a pause of the connection, or of an app on it.
    pub(super) fn pause(&mut self, pause: Pause, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.pauses.pause(pause, &mut self.limiter, host)
    }

    /// Ends the pause of an app, or all pauses.
    pub(super) fn resume(&mut self, app: Option<&str>, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.pauses.resume(app, &mut self.limiter, host)
    }

    /// Shows the pauses that stand: that of the connection, or else an app's; and all of them,
    /// where there are several.
    pub(super) fn shown_pauses(&self, now: i64) -> (Option<PauseDocument<'_>>, Vec<PauseDocument<'_>>) {
        self.pauses.shown(now)
    }

    /// The next loan that the connection asks of a pool: the pool's name, the limit's number, and
    /// the request.
    pub(super) fn next_borrow(&mut self, host: &Host<'_>) -> Option<(String, u32, LoanRequest)> {
        self.limiter.next_borrow(host.time())
    }

    /// Takes the answer of a pool; none if the pool could not be asked.
    pub(super) fn lent(&mut self, limit: u32, turn: u64, loan: Option<LoanGrant>, host: &Host<'_>) {
        self.limiter.lent(host.time(), limit, turn, loan);
    }
}
