//! Makes a failing run smaller: it leaves out faults, edits, apps and limits and shortens the run,
//! as long as it fails in the same way.

use super::check::overruns;
use super::journal::Fault;
use super::scenario::{LEAVE_OUT, SECOND, Scenario};
use super::world::World;

/// Runs a scenario, and checks it against the policies.
pub fn faults(scenario: &Scenario) -> (Vec<Fault>, Summary) {
    let run = || {
        let world = World::run(scenario, None);
        let mut faults = world.journal.faults.clone();
        faults.extend(overruns(&world));
        let sent = world.journal.sent.len();
        (faults, Summary { sent, digest: world.journal.digest, counts: world.journal.counts })
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let fault = Fault { kind: "panic", at: i64::MAX, text: text.unwrap_or_default() };
        (vec![fault], Summary::default())
    })
}

#[derive(Default)]
pub struct Summary {
    pub sent: usize,
    pub digest: u64,
    pub counts: super::journal::Counts,
}

/// Tries a candidate under a few seeds of the run.
fn fails(candidate: &Scenario, kind: &str) -> Option<(Scenario, Fault)> {
    for luck in [candidate.luck, candidate.luck + 1_000_003, candidate.luck + 2_000_003] {
        let candidate = Scenario { luck, ..candidate.clone() };
        if let Some(fault) = faults(&candidate).0.into_iter().find(|fault| fault.kind == kind) {
            return Some((candidate, fault));
        }
    }
    None
}

/// Returns the smallest scenario found that fails in the same way.
pub fn shrunk(scenario: &Scenario, fault: &Fault) -> (Scenario, Fault) {
    let (mut best, mut last) = (scenario.clone(), fault.clone());
    let mut smaller = true;
    let mut runs = 0;
    while smaller && runs < 400 {
        smaller = false;
        for candidate in candidates(&best, &last) {
            runs += 1;
            if let Some((found, fault)) = fails(&candidate, last.kind) {
                (best, last, smaller) = (found, fault, true);
                break;
            }
        }
    }
    (best, last)
}

fn candidates(from: &Scenario, fault: &Fault) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = from.clone();
        change(&mut candidate);
        all.push(candidate);
    };
    let needed = (fault.at.min(from.start + from.seconds * SECOND) - from.start) / SECOND + 2;
    if needed < from.seconds {
        add(&|s| s.seconds = needed);
    }
    if from.tenants.len() > 1 {
        add(&|s| drop(s.tenants.pop()));
    }
    for (tenant, held) in from.tenants.iter().enumerate() {
        for edit in (0..held.edits.len()).rev() {
            add(&|s| drop(s.tenants[tenant].edits.remove(edit)));
        }
        for conn in held.first.conns.keys().filter(|_| held.first.conns.len() > 1) {
            add(&|s| without_conn(s, conn));
        }
        for app in held.first.apps.keys().filter(|_| held.first.apps.len() > 1) {
            add(&|s| without_app(s, app));
        }
    }
    for (_, leave_out) in LEAVE_OUT {
        let mut candidate = from.clone();
        leave_out(&mut candidate.faults);
        if format!("{:?}", candidate.faults) != format!("{:?}", from.faults) {
            all.push(candidate);
        }
    }
    let mut add = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = from.clone();
        change(&mut candidate);
        all.push(candidate);
    };
    for name in super::generate::LIMITS {
        let has = |spec: &super::spec::Spec| {
            spec.conns.values().any(|conn| conn.limits.iter().any(|limit| limit.name == name))
        };
        let specs = |s: &Scenario| {
            s.tenants.iter().any(|t| has(&t.first) || t.edits.iter().any(|(_, spec)| spec.as_ref().is_some_and(has)))
        };
        if specs(from) {
            add(&|s| without_limit(s, name));
        }
    }
    for tenant in 0..from.tenants.len() {
        if from.tenants[tenant].traffic.iter().any(|traffic| traffic.jobs > 0) {
            add(&|s| s.tenants[tenant].traffic.iter_mut().for_each(|traffic| traffic.jobs = 0));
        }
        for at in 0..from.tenants[tenant].traffic.len() {
            if from.tenants[tenant].traffic[at].volley > 1 {
                add(&|s| s.tenants[tenant].traffic[at].volley = 1);
            }
            if from.tenants[tenant].traffic[at].targets.len() > 1 {
                add(&|s| s.tenants[tenant].traffic[at].targets.truncate(1));
            }
        }
    }
    all
}

fn specs(s: &mut Scenario) -> impl Iterator<Item = &mut super::spec::Spec> {
    s.tenants.iter_mut().flat_map(|tenant| {
        std::iter::once(&mut tenant.first).chain(tenant.edits.iter_mut().filter_map(|(_, spec)| spec.as_mut()))
    })
}

fn without_conn(s: &mut Scenario, conn: &str) {
    specs(s).for_each(|spec| drop(spec.conns.remove(conn)));
    s.tenants.iter_mut().for_each(|tenant| tenant.traffic.retain(|traffic| traffic.conn != conn));
}

fn without_app(s: &mut Scenario, app: &str) {
    specs(s).for_each(|spec| drop(spec.apps.remove(app)));
    s.tenants.iter_mut().for_each(|tenant| tenant.traffic.retain(|traffic| traffic.app != app));
}

fn without_limit(s: &mut Scenario, name: &str) {
    specs(s).for_each(|spec| {
        spec.conns.values_mut().for_each(|conn| conn.limits.retain(|limit| limit.name != name));
    });
}

/// Returns the story of a failing run: its policies, the faults that were left in, and the last
/// events before the fault.
pub fn story(scenario: &Scenario, fault: &Fault) -> String {
    use std::fmt::Write;
    let mut text = format!("{}: {}\n", fault.kind, fault.text);
    let _ =
        writeln!(text, "seed {} luck {}, {} s from {}", scenario.seed, scenario.luck, scenario.seconds, scenario.start);
    let _ = writeln!(text, "{:?}", scenario.faults);
    for tenant in &scenario.tenants {
        let _ = writeln!(text, "{} {}", tenant.name, tenant.first.text());
        for (at, spec) in &tenant.edits {
            let spec = spec.as_ref().map_or("removed".to_owned(), super::spec::Spec::text);
            let _ = writeln!(text, "{} after {:.3} s: {spec}", tenant.name, *at as f64 / SECOND as f64);
        }
        for traffic in &tenant.traffic {
            let _ = writeln!(text, "{traffic:?}");
        }
    }
    let until = fault.at.saturating_add(1_000_000);
    let trace =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| World::run(scenario, Some(until)).journal.trace));
    for line in trace.unwrap_or_default() {
        let _ = writeln!(text, "{line}");
    }
    text
}
