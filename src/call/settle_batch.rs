//! Giving account to the tenant's object of calls that have ended. Those of one isolate that end at
//! nearly the same time give one account: one request to the object in place of many.

use crate::call::report::Report;
use crate::config::Config;
use crate::platform;
use crate::tenant_client;
use sluice_core::batcher::{GATHER_MS, Gatherings, Turn};
use sluice_core::protocol::{Ask, Reply};
use std::cell::{Cell, RefCell};

/// Pauses after accounts that are not heard, or not stored, ms: a life of the object that ends is
/// followed by the next. A settlement that never arrives is replaced by the lease's end.
const PAUSES_MS: [u64; 6] = [50, 100, 200, 400, 800, 0];

thread_local! {
    static BEGUN: Cell<u64> = const { Cell::new(0) };
    static WAITING: RefCell<Gatherings<Report>> = const { RefCell::new(Gatherings::new()) };
}

/// A call begins in this isolate: which one it is.
pub fn begin() -> u64 {
    BEGUN.set(BEGUN.get().wrapping_add(1));
    BEGUN.get()
}

/// Tells what became of a call's permits, until that is stored. A call during which no other has
/// begun waits for none, nor does one whose end others may wait for.
pub async fn give(config: &Config, begun: u64, reports: Vec<Report>) {
    let Some(whose) = reports.first().map(Report::whose) else { return };
    let hurried = begun == BEGUN.get() || !reports.iter().all(Report::is_unhurried);
    let mut reports = match WAITING.with_borrow_mut(|all| all.join(&whose, reports, hurried, platform::now())) {
        Turn::Rest => return,
        Turn::Wait => {
            platform::sleep(GATHER_MS.unsigned_abs()).await;
            WAITING.with_borrow_mut(|all| all.take(&whose))
        }
        Turn::Tell(reports) => reports,
    };
    if reports.is_empty() {
        return;
    }
    for pause in PAUSES_MS {
        if heard(config, &whose.0, &Ask::SettleBatch(reports.iter_mut().map(Report::tell).collect())).await {
            return;
        }
        platform::sleep(pause).await;
    }
    let line = serde_json::json!({"level": "error", "tenant": whose.0, "connection": whose.1, "settlements": reports.len(),
        "fault": "settlements were not heard; their permits' leases stand in for them"});
    platform::log(&line);
}

/// Whether the object has heard it.
pub async fn heard(config: &Config, tenant: &str, ask: &Ask) -> bool {
    matches!(
        tenant_client::ask_once(config, tenant, ask, None).await,
        Some(tenant_client::Asked { reply: Reply::Done, .. })
    )
}
