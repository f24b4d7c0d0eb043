//! Pools, between objects: a tenant's object borrows for its connections, and the object named
//! after a pool lends.

use super::replies::refused;
use super::state::TenantState;
use super::store::{Host, StoreError, Table};
use crate::protocol::{Ask, Reply};
use crate::refusal::{Reason, Refusal};
use sluice_limiter::pool::{LoanRequest, Pool};
use std::collections::VecDeque;

/// The names of the pools' objects begin with this. No tenant has such a name, since it has no
/// colon.
pub const POOL: &str = "pool:";

/// A request to a pool's object. The answer goes to [`TenantState::lent`].
pub struct PoolRequest {
    /// The name of the pool's object.
    pub object: String,
    /// The message to the object.
    pub ask: Ask,
    connection: String,
    limit: u32,
    turn: u64,
}

/// What an object borrows of pools, and lends as one.
#[derive(Default)]
pub(super) struct Pools {
    /// The requests to other objects.
    requests: VecDeque<PoolRequest>,
    /// The pool that this object is, once it has lent.
    pool: Option<Pool>,
}

impl Pools {
    /// Lends as the object of a pool. The loan is stored before the answer leaves.
    pub(super) fn lend(
        &mut self,
        object: &str,
        request: &LoanRequest,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
        if !object.starts_with(POOL) {
            return Ok(refused(Refusal::new(Reason::NotFound, "only a pool's object lends")));
        }
        // A pool's object has no connections: its one row stands in their table.
        if self.pool.is_none() {
            self.pool = Some(match host.store.load(Table::Limiter, "")? {
                Some(row) => Pool::load(&row).map_err(StoreError)?,
                None => Pool::new(&request.reset, host.time()),
            });
        }
        let Some(pool) = &mut self.pool else { return Ok(Reply::Retry) };
        let loan = pool.borrow(host.time(), request);
        host.store.save(Table::Limiter, "", &pool.row())?;
        Ok(Reply::LoanGrant(loan))
    }
}

impl TenantState {
    /// The next request to a pool's object. It is to be sent at once; several go side by side.
    pub fn next_loan(&mut self) -> Option<PoolRequest> {
        self.pools.requests.pop_front()
    }

    /// Takes the answer of a pool's object; none if the object could not be asked.
    ///
    /// # Errors
    /// Fails if storage refuses.
    pub fn lent(&mut self, request: &PoolRequest, reply: Option<Reply>, host: &mut Host<'_>) -> Result<(), StoreError> {
        let loan = match reply {
            Some(Reply::LoanGrant(loan)) => Some(loan),
            _ => None,
        };
        self.with_connection(&request.connection, host, |connection, host| {
            connection.lent(request.limit, request.turn, loan, host);
            Ok(Vec::new())
        })
    }

    /// Collects what a connection wants of its pools.
    pub(super) fn collect_loans(&mut self, name: &str, host: &Host<'_>) {
        let Some(connection) = self.connections.get_mut(name) else { return };
        while let Some((pool, limit, request)) = connection.next_borrow(host) {
            let (turn, who) = (request.turn, [self.name.as_str(), name, &request.who].join("/"));
            self.pools.requests.push_back(PoolRequest {
                object: [POOL, &pool].concat(),
                ask: Ask::LoanRequest(LoanRequest { who, ..request }),
                connection: name.to_owned(),
                limit,
                turn,
            });
        }
    }
}
