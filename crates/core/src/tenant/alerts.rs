//! The alerts of a tenant are checked after each event of a connection and, where a figure changes
//! with time, when that time has come.

use super::connection::ConnectionState;
use super::state::TenantState;
use super::store::{Host, StoreError};

impl TenantState {
    /// Raises and clears a connection's alerts, and queues the callbacks that tell of it.
    pub(super) fn check_alerts(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        let (Some(policy), Some(connection)) = (&self.policy, self.connections.get_mut(name)) else { return Ok(()) };
        let dead_letters = self.jobs.counts(name).dead.into();
        for change in connection.check_alerts(&policy.alerts, dead_letters, host) {
            self.callbacks.queue_alert(self.policy.as_ref(), name, change, host)?;
        }
        Ok(())
    }

    /// Checks the alerts whose time has come, and those that an earlier epoch has left.
    pub(super) fn check_due_alerts(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.commit_each(host, ConnectionState::has_due_alert)
    }

    /// Checks all alerts: the policy has changed.
    pub(super) fn check_all_alerts(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.commit_each(host, |_, _| true)
    }

    fn commit_each(&mut self, host: &mut Host<'_>, which: fn(&ConnectionState, i64) -> bool) -> Result<(), StoreError> {
        let connections = self.connections.iter().filter(|(_, connection)| which(connection, host.now));
        let names: Vec<String> = connections.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(connection) = self.connections.get_mut(&name) {
                connection.tick(host);
            }
            self.commit(&name, host)?;
        }
        Ok(())
    }
}
