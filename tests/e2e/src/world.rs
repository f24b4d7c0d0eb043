//! What the tests share: one instance for most of them, one that allows no loopback vendors.

use crate::instance::{Instance, Start};
use crate::tenant::Tenant;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The world that the tests run in.
#[derive(Debug, Default)]
pub struct World {
    shared: OnceLock<Instance>,
    strict: OnceLock<Instance>,
    names: Mutex<u32>,
}

impl World {
    /// The instance that most tests share.
    pub fn shared(&self) -> &Instance {
        self.shared.get_or_init(|| Start::fresh("shared").var("HOST_SUFFIX", ".api.example.com").run())
    }

    /// An instance as it is deployed: no loopback vendors. Nothing can be called through it.
    pub fn strict(&self) -> &Instance {
        self.strict.get_or_init(|| Start::fresh("strict").var("ALLOW_LOOPBACK_VENDORS", "").run())
    }

    /// A new tenant on the shared instance, without a policy.
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
