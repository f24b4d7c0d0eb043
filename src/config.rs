//! The configuration of an installation: its settings, secrets and bindings, read once for each
//! isolate.

use sluice_core::keys::{self, AdminTokens, Claims, Master};
use sluice_core::refusal::{Reason, Refusal};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, Fetcher};
use worker_sys::DurableObjectNamespace;

/// The settings and bindings of this installation.
pub struct Config {
    /// The secrets; or the sentence that says what is wrong with them.
    pub keys: Result<Rc<Keys>, String>,
    /// With its first dot.
    pub host_suffix: Option<String>,
    /// The tenants' objects; none where the binding is missing. It is the platform's own handle:
    /// the ids that `worker` makes borrow their namespace, and so could not be kept.
    pub tenants: Option<DurableObjectNamespace>,
    /// The status page's files; none where the binding is missing.
    pub assets: Option<Fetcher>,
}

/// The secrets.
pub struct Keys {
    /// Who administers.
    pub admin: AdminTokens,
    /// What keys are signed with.
    pub master: Master,
}

impl Keys {
    /// Returns what a key says, if it holds at a moment, Unix ms.
    ///
    /// # Errors
    /// If it does not hold: the refusal says why.
    pub fn open(&self, key: &str, at: i64) -> Result<Claims, Refusal> {
        let seconds = u64::try_from(at).unwrap_or_default() / 1_000;
        keys::open(&self.master, key, seconds).map_err(|fault| Refusal::new(Reason::Key, fault.to_string()))
    }
}

thread_local! {
    static HERE: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
}

impl Config {
    /// Returns the installation, read once: settings do not change within the life of an isolate.
    pub fn of(env: &Env) -> Rc<Self> {
        HERE.with_borrow_mut(|config| Rc::clone(config.get_or_insert_with(|| Rc::new(Self::read(env)))))
    }

    fn read(env: &Env) -> Self {
        let text = |name: &str| env.var(name).map(|var| var.to_string()).unwrap_or_default();
        let suffix = text("HOST_SUFFIX");
        let suffix = suffix.trim().trim_start_matches('.');
        Self {
            keys: keys(&text("ADMIN_TOKEN"), &text("MASTER_KEY")).map(Rc::new),
            host_suffix: (!suffix.is_empty()).then(|| format!(".{}", suffix.to_ascii_lowercase())),
            tenants: env.durable_object("TENANT").ok().map(|tenants| JsValue::from(tenants).unchecked_into()),
            assets: env.assets("ASSETS").ok(),
        }
    }
}

/// Reads both secrets, or says everything that is wrong with them.
fn keys(admin: &str, master: &str) -> Result<Keys, String> {
    match (AdminTokens::parse(admin), Master::parse(master)) {
        (Ok(admin), Ok(master)) => Ok(Keys { admin, master }),
        (Err(admin), Err(master)) => Err(format!("{admin}. {master}")),
        (Err(admin), _) => Err(admin.to_string()),
        (_, Err(master)) => Err(master.to_string()),
    }
}
