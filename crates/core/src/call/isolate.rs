//! What the calls of one isolate share: remembered routes and access tokens, and settlements that
//! wait for others.
//!
//! A permit names the version of its route and the mark of its token, so a stale entry is noticed;
//! what is not remembered is asked for again.

use super::settlement::PendingSettlement;
use crate::batcher::Batcher;
use crate::protocol::{Bearer, Route, RouteVersion, TokenMark};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Routes that are remembered, and as many tokens: about 1 kB each. When a table is full it is
/// emptied, which costs each connection one longer reply.
const MOST_REMEMBERED: usize = 1_024;

/// A tenant's name, and a connection's.
type ConnectionName = (String, String);

/// The memory of one isolate.
#[derive(Debug, Default)]
pub struct Isolate {
    routes: BTreeMap<ConnectionName, Rc<Route>>,
    tokens: BTreeMap<ConnectionName, Rc<Bearer>>,
    /// The settlements that wait for others of the same connection.
    pub(super) waiting: Batcher<PendingSettlement>,
    /// How many calls have begun here.
    begun: u64,
}

impl Isolate {
    /// Returns an isolate that knows nothing yet.
    pub const fn new() -> Self {
        Self { routes: BTreeMap::new(), tokens: BTreeMap::new(), waiting: Batcher::new(), begun: 0 }
    }

    /// Notes that a call begins, and gives its number.
    pub fn begin_call(&mut self) -> u64 {
        self.begun = self.begun.wrapping_add(1);
        self.begun
    }

    /// Whether no call has begun since the one with this number.
    pub(super) fn is_latest(&self, call: u64) -> bool {
        self.begun == call
    }

    /// Returns the route of a tenant's connection, if it is remembered.
    pub fn route(&self, tenant: &str, connection: &str) -> Option<Rc<Route>> {
        self.routes.get(&(tenant.to_owned(), connection.to_owned())).cloned()
    }

    /// Remembers a route.
    pub fn remember_route(&mut self, tenant: &str, connection: &str, route: Rc<Route>) {
        remember(&mut self.routes, tenant, connection, route);
    }

    /// Returns the access token of a tenant's connection, if one is remembered.
    pub fn token(&self, tenant: &str, connection: &str) -> Option<Rc<Bearer>> {
        self.tokens.get(&(tenant.to_owned(), connection.to_owned())).cloned()
    }

    /// Returns what this isolate remembers of a connection, as its calls state it to the tenant's
    /// object: the version of the route and the mark of the access token, where they are
    /// remembered.
    pub fn remembered(&self, tenant: &str, connection: &str) -> (Option<RouteVersion>, Option<TokenMark>) {
        let route = self.route(tenant, connection).map(|route| route.version);
        (route, self.token(tenant, connection).map(|token| token.mark))
    }

    /// Remembers an access token.
    pub fn remember_token(&mut self, tenant: &str, connection: &str, token: Rc<Bearer>) {
        remember(&mut self.tokens, tenant, connection, token);
    }
}

fn remember<T>(table: &mut BTreeMap<ConnectionName, T>, tenant: &str, connection: &str, value: T) {
    if table.len() >= MOST_REMEMBERED {
        table.clear();
    }
    table.insert((tenant.to_owned(), connection.to_owned()), value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Address, parse_target};

    #[test]
    fn a_connection_named_by_its_host_is_remembered_however_the_host_is_written() {
        let mut isolate = Isolate::new();
        isolate.remember_token("acme", "crm", Rc::new(Bearer { token: "t".to_owned(), mark: TokenMark(7) }));
        for (url, mark) in [
            ("https://crm.api.example.com/x", Some(TokenMark(7))),
            ("https://CRM.api.example.com/x", Some(TokenMark(7))),
            ("https://s.example/v/crm/x", Some(TokenMark(7))),
            // A path knows case: there is no connection of this name.
            ("https://s.example/v/CRM/x", None),
            ("https://erp.api.example.com/x", None),
        ] {
            let target = parse_target(url, Some(".api.example.com")).unwrap();
            let Address::Vendor(vendor) = target.address else { panic!("{url} is no vendor's") };
            assert_eq!(isolate.remembered("acme", &vendor.connection_name()), (None, mark), "{url}");
            assert_eq!(isolate.remembered("other", &vendor.connection_name()), (None, None), "{url}");
        }
    }
}
