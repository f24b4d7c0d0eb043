//! What the tests share: an instance for most of them, and one that allows no loopback vendors.

use crate::instance::{Instance, Start};
use crate::tenant::Tenant;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The world that the tests run in.
#[derive(Debug, Default)]
pub struct World {
    shared: Once,
    strict: Once,
    names: Mutex<u32>,
}

impl World {
    /// Returns the instance that most tests share.
    pub fn shared(&self) -> &Instance {
        self.shared.get(|| Start::fresh("shared").var("HOST_SUFFIX", ".api.example.com").run())
    }

    /// Returns an instance with the settings of a deployed one: no loopback vendors. Nothing can be
    /// called through it.
    pub fn strict(&self) -> &Instance {
        self.strict.get(|| Start::fresh("strict").var("ALLOW_LOOPBACK_VENDORS", "").run())
    }

    /// Makes a new tenant on the shared instance, without a policy.
    pub fn tenant(&self, name: &str) -> Tenant {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        *names += 1;
        Tenant::new(self.shared(), &format!("{name}-{names}"))
    }

    /// Ends the instances.
    pub fn end(self) {
        drop(self);
    }
}

/// An instance that is started once. If that fails, no later test tries again.
#[derive(Debug, Default)]
struct Once(OnceLock<Option<Instance>>);

impl Once {
    fn get(&self, start: fn() -> Instance) -> &Instance {
        let started = self.0.get_or_init(|| std::panic::catch_unwind(start).ok());
        started.as_ref().unwrap_or_else(|| panic!("the instance that tests share did not start: see above why"))
    }
}
