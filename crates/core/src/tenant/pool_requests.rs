//! Pools, between objects: a tenant's object borrows for its connections, and the object named after a pool lends.

use super::state::{TenantState, refused};
use super::store::{Host, StoreError, Table};
use crate::protocol::{Ask, Reply};
use crate::refusal::{Reason, Refusal};
use sluice_limiter::pool::{LoanRequest, Pool};

/// Names of the pools' objects begin with this. No tenant has such a name: a colon is not of one.
pub const POOL: &str = "pool:";

/// What is to be asked of a pool's object. The answer goes to [`TenantState::lent`].
pub struct PoolRequest {
    /// The object's name.
    pub object: String,
    /// What to ask.
    pub ask: Ask,
    connection: String,
    limit: u32,
    turn: u64,
}

impl TenantState {
    /// A pool's object lends. What it lends is stored before the answer leaves.
    pub(super) fn lend(&mut self, ask: &LoanRequest, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        if !self.name.starts_with(POOL) {
            return Ok(refused(Refusal::new(Reason::NotFound, "only a pool's object lends")));
        }
        // A pool's object has no connections: its one row stands in their table.
        if self.pool.is_none() {
            self.pool = Some(match host.store.load(Table::Limiter, "")? {
                Some(row) => Pool::load(&row).map_err(StoreError)?,
                None => Pool::new(&ask.reset, host.time()),
            });
        }
        let Some(pool) = &mut self.pool else { return Ok(Reply::Retry) };
        let lent = pool.borrow(host.time(), ask);
        host.store.save(Table::Limiter, "", &pool.row())?;
        Ok(Reply::LoanGrant(lent))
    }

    /// The next ask of a pool's object; to be put at once, several side by side.
    pub fn next_loan(&mut self) -> Option<PoolRequest> {
        self.loans.pop_front()
    }

    /// What a pool's object has answered; none if it could not be asked.
    ///
    /// # Errors
    /// If storage refuses.
    pub fn lent(&mut self, errant: &PoolRequest, reply: Option<Reply>, host: &mut Host<'_>) -> Result<(), StoreError> {
        let lent = match reply {
            Some(Reply::LoanGrant(lent)) => Some(lent),
            _ => None,
        };
        self.with_connection(&errant.connection, host, |connection, host| {
            connection.limiter.lent(host.time(), errant.limit, errant.turn, lent);
            Ok(Vec::new())
        })
    }

    /// Takes down what a connection wants of its pools.
    pub(super) fn collect_loans(&mut self, name: &str, host: &Host<'_>) {
        let Some(connection) = self.connections.get_mut(name) else { return };
        while let Some((pool, limit, words)) = connection.limiter.next_borrow(host.time()) {
            let (turn, who) = (words.turn, [self.name.as_str(), name, &words.who].join("/"));
            self.loans.push_back(PoolRequest {
                object: [POOL, &pool].concat(),
                ask: Ask::LoanRequest(LoanRequest { who, ..words }),
                connection: name.to_owned(),
                limit,
                turn,
            });
        }
    }
}
