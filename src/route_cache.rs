//! The memory of this isolate: where connections lead, the access tokens they use, and settlements
//! that wait for others.

use sluice_core::call::Isolate;
use sluice_core::protocol::Route;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    static ISOLATE: RefCell<Isolate> = const { RefCell::new(Isolate::new()) };
}

/// Does something with the isolate's memory. No borrow of it lives across an await, and none is
/// taken within another.
pub fn with_isolate<T>(act: impl FnOnce(&mut Isolate) -> T) -> T {
    ISOLATE.with_borrow_mut(act)
}

/// Returns the route of a tenant's connection, if it is known.
pub fn route(tenant: &str, connection: &str) -> Option<Rc<Route>> {
    with_isolate(|isolate| isolate.route(tenant, connection))
}

/// Remembers a route.
pub fn remember(tenant: &str, connection: &str, route: Rc<Route>) {
    with_isolate(|isolate| isolate.remember_route(tenant, connection, route));
}
