//! A cache of where connections lead, and of the access tokens they use, as far as this isolate has
//! been told. A permit names the version of the route and the mark of the token it is for, so a
//! stale entry is seen; what is not here is asked for.

use sluice_core::protocol::{Bearer, Route};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Routes kept, and tokens. About 1 kB each; at this many all are dropped, which costs each
/// connection one longer answer.
const MOST: usize = 1_024;

type Whose = (String, String);

thread_local! {
    static ROUTES: RefCell<BTreeMap<Whose, Rc<Route>>> = RefCell::default();
    static BEARERS: RefCell<BTreeMap<Whose, Rc<Bearer>>> = RefCell::default();
}

/// The route of a tenant's connection, if it is known.
pub fn route(tenant: &str, connection: &str) -> Option<Rc<Route>> {
    let whose = (tenant.to_owned(), connection.to_owned());
    ROUTES.with_borrow(|routes| routes.get(&whose).cloned())
}

/// Remembers a route.
pub fn remember(tenant: &str, connection: &str, route: Rc<Route>) {
    ROUTES.with_borrow_mut(|routes| {
        if routes.len() >= MOST {
            routes.clear();
        }
        routes.insert((tenant.to_owned(), connection.to_owned()), route);
    });
}

/// The access token of a tenant's connection, if one is known.
pub fn bearer(tenant: &str, connection: &str) -> Option<Rc<Bearer>> {
    let whose = (tenant.to_owned(), connection.to_owned());
    BEARERS.with_borrow(|bearers| bearers.get(&whose).cloned())
}

/// Remembers an access token.
pub fn remember_bearer(tenant: &str, connection: &str, bearer: Rc<Bearer>) {
    BEARERS.with_borrow_mut(|bearers| {
        if bearers.len() >= MOST {
            bearers.clear();
        }
        bearers.insert((tenant.to_owned(), connection.to_owned()), bearer);
    });
}
