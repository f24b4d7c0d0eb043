//! The time after the run, when nothing goes wrong any more. Counts that are shown must not be too
//! small, a refused call must be admitted at the time it was told, jobs must end, and every
//! connection must admit calls again.

use super::days::readings;
use super::place::To;
use super::scenario::SECOND;
use super::spec::{Conn, Kind, Spec, TARGETS, is_about};
use super::work::Said;
use super::world::World;
use serde_json::Value;
use sluice_core::keys::{Role, open};
use sluice_core::protocol::{Admin, Ask, JobsAsk, JobsWhat, NewKey, Reply};
use sluice_core::refusal::Reason;
use sluice_core::tenant::state::Answer;

const DAY: i64 = 86_400 * SECOND;

impl World<'_> {
    pub fn calm_down(&mut self) {
        self.watch_all();
        self.quiet = true;
        self.go_on(self.now + 90 * SECOND);
        self.watch_all();
        for tenant in 0..self.s.tenants.len() {
            let Some(spec) = self.latest(tenant) else { continue };
            self.check_jobs(tenant);
            for name in spec.conns.keys() {
                self.check_counts(tenant, &spec, name);
            }
        }
        // From here on days may pass.
        for tenant in 0..self.s.tenants.len() {
            let Some(spec) = self.latest(tenant) else { continue };
            for name in spec.conns.keys() {
                self.try_retry_after(tenant, &spec, name);
            }
        }
        self.go_on(self.now + 3 * DAY);
        for tenant in 0..self.s.tenants.len() {
            let Some(spec) = self.latest(tenant) else { continue };
            for (name, conn) in &spec.conns {
                self.check_admits(tenant, &spec, name, conn);
            }
        }
    }

    /// Returns the policy that a tenant has at the end.
    fn latest(&mut self, tenant: usize) -> Option<Spec> {
        let done = self.event(tenant, To::Current, |_, _, _| Ok(()))?;
        let version = self.version_of(tenant, done.instance);
        self.hand_out(tenant, done.instance, done.ready);
        self.versions[version?].spec.clone()
    }

    fn status(&mut self, tenant: usize, conn: &str) -> Option<Value> {
        let done = self.event(tenant, To::Current, |tenant, _, host| Ok(tenant.status(host)))?;
        self.hand_out(tenant, done.instance, done.ready);
        let status: Value = serde_json::from_str(&done.value).unwrap();
        Some(status["connections"][conn].clone())
    }

    /// Checks that the status shows no less of a day than the vendor has counted.
    fn check_counts(&mut self, tenant: usize, spec: &Spec, name: &str) {
        let conn = &spec.conns[name];
        let Some(status) = self.status(tenant, name) else { return };
        for (at, limit) in conn.limits.iter().enumerate() {
            let Kind::Daily { reset, bytes, .. } = &limit.kind else { continue };
            if self.s.faults.wild_clock || limit.pool.is_some() {
                continue;
            }
            let readings = readings(reset, self.now, self.now);
            let from = readings.iter().map(|reading| reading.around(self.now).0).max().unwrap() + 2 * SECOND;
            if self.now < from
                || readings
                    .iter()
                    .any(|reading| reading.around(self.now - 2 * SECOND).0 != reading.around(self.now + 2 * SECOND).0)
            {
                continue;
            }
            let mine = |sent: &&super::journal::Sent| {
                sent.tenant == tenant && sent.conn == name && is_about(&limit.routes, sent.target)
            };
            let mut by_app = std::collections::BTreeMap::<&str, u64>::new();
            for sent in self.journal.sent.iter().filter(mine) {
                let app = if limit.per_app { sent.app.as_str() } else { "" };
                if *bytes {
                    let whole = sent.granted >= from && sent.known < i64::MAX;
                    *by_app.entry(app).or_default() += if whole { sent.bytes } else { 0 };
                } else if sent.counted >= from {
                    *by_app.entry(app).or_default() += 1;
                }
            }
            let least = by_app.values().max().copied().unwrap_or(0);
            let used = status["limits"][at]["used"].as_u64().unwrap_or(0);
            if used < least {
                let (unit, kind) = if *bytes { ("bytes", "under-counted bytes") } else { ("calls", "under-counted") };
                let text = format!(
                    "the status shows {used} {unit} used of {}, and the vendor has counted {least}",
                    limit.name
                );
                self.fault(kind, text);
            }
        }
    }

    /// Asks the object now, without a Worker's way there. The call then goes on as any other.
    fn probe(&mut self, tenant: usize, conn: &str, app: &str, target: usize, wait: bool) -> Said {
        self.journal.counts.probes += 1;
        let call = self.new_call(tenant, conn, app, target);
        let now = self.now;
        let held = &mut self.calls[call];
        held.urgency = 3;
        held.until = (!wait).then_some(now);
        held.no += 1;
        let no = held.no;
        self.ask_at(call, no);
        if self.calls[call].said == Said::Waits {
            self.go_on(self.now + 2 * SECOND);
        }
        self.calls[call].said
    }

    /// Returns which of an app's calls the policy allows.
    fn targets(spec: &Spec, app: &str) -> Vec<usize> {
        let routes = &spec.apps[app].routes;
        (0..TARGETS.len()).filter(|target| is_about(routes, *target)).collect()
    }

    fn try_retry_after(&mut self, tenant: usize, spec: &Spec, name: &str) {
        let conn = &spec.conns[name];
        let Some(app) = spec.apps.keys().find(|app| self.keys.contains_key(&(tenant, (*app).clone()))) else { return };
        let Some(target) = Self::targets(spec, app).first().copied() else { return };
        if conn.has_pool() || conn.observe || self.jobs_left(tenant, name) > 0 {
            return;
        }
        for _ in 0..60 {
            if self.probe(tenant, name, app, target, false) != Said::Granted {
                break;
            }
        }
        self.go_on(self.now + 14 * SECOND);
        if self.jobs_left(tenant, name) > 0 {
            return;
        }
        let Said::No(reason, Some(seconds)) = self.probe(tenant, name, app, target, false) else { return };
        if matches!(reason, Reason::Concurrency) {
            return;
        }
        let refused = self.now;
        let life = self.life(tenant);
        self.trace(|| format!("the probe is told to come again in {seconds} s"));
        self.go_on(refused + i64::try_from(seconds).unwrap() * SECOND);
        let mut said = self.probe(tenant, name, app, target, false);
        if said != Said::Granted && self.life(tenant) != life {
            // Another host answers, whose clock may be a second behind, and which keeps what it has
            // loaded a second longer.
            self.go_on(self.now + 2 * SECOND + SECOND / 5);
            said = self.probe(tenant, name, app, target, false);
        }
        if said != Said::Granted && !self.journal.is_over() {
            let text = format!(
                "a call of {app} on {name} was refused ({reason:?}) and told to come again in {seconds} s; nothing else happened, and then: {said:?}"
            );
            self.fault("retry-after", text);
        }
    }

    fn life(&self, tenant: usize) -> Option<u64> {
        self.places[tenant].current().map(|at| self.places[tenant].instances[at].id)
    }

    fn jobs_left(&mut self, tenant: usize, conn: &str) -> u64 {
        let Some(status) = self.status(tenant, conn) else { return u64::MAX };
        let count = |what: &str| status["jobs"][what].as_u64().unwrap_or(0);
        count("queued") + count("running")
    }

    fn any_jobs_left(&mut self, tenant: usize) -> bool {
        let Some(spec) = self.latest(tenant) else { return false };
        spec.conns.keys().any(|name| self.jobs_left(tenant, name) > 0)
    }

    /// Checks that after all windows and days every app's call goes, one every two days.
    fn check_admits(&mut self, tenant: usize, spec: &Spec, name: &str, conn: &Conn) {
        let mut left = self.jobs_left(tenant, name);
        for _ in 0..4 {
            if left == 0 {
                break;
            }
            self.go_on(self.now + 2 * DAY);
            let now = self.jobs_left(tenant, name);
            if self.journal.is_over() {
                return;
            }
            if now >= left {
                return self.fault("jobs stuck", format!("{now} jobs of {name} do not move on within two days"));
            }
            left = now;
        }
        if left > 0 {
            return;
        }
        let pooled = conn.limits.iter().any(|limit| limit.json()["pool"].is_string());
        if pooled && (0..self.s.tenants.len()).any(|tenant| self.any_jobs_left(tenant)) {
            // They spend the pool's days, one after the other.
            return;
        }
        for app in spec.apps.keys() {
            let Some(target) = Self::targets(spec, app).first().copied() else { continue };
            self.go_on(self.now + 2 * DAY);
            let said = self.probe(tenant, name, app, target, true);
            if said != Said::Granted && !self.journal.is_over() {
                let text = format!(
                    "two days after anything else a call of {app} on {name} does not go: {said:?}; limits {:?}",
                    conn.limits.iter().map(|limit| limit.json().to_string()).collect::<Vec<_>>()
                );
                self.fault("stuck", text);
            }
        }
    }

    /// Checks that every job that its caller knows of is still known.
    fn check_jobs(&mut self, tenant: usize) {
        let known = |job: &super::jobs::Job| job.tenant == tenant && job.known && !job.void;
        let ids: Vec<String> = self.jobs.iter().filter(|job| known(job)).filter_map(|job| job.id.clone()).collect();
        let seconds = u64::try_from(self.now / SECOND).unwrap();
        let master = self.settings.master.clone();
        let done = self.event(tenant, To::Current, |tenant, _, host| {
            let new = NewKey { role: Role::Operator, app: None, expires_in_seconds: None };
            let Answer::Now(Reply::Document { body, .. }) = tenant.handle(Ask::Admin(Admin::CreateKey(new)), host)?
            else {
                return Ok(Vec::new());
            };
            let body: Value = serde_json::from_str(&body).unwrap();
            let claims = open(&master, body["key"].as_str().unwrap(), seconds).ok().unwrap();
            let mut missing = Vec::new();
            for id in ids {
                let what = JobsWhat::Show(id.clone());
                let ask =
                    JobsAsk { claims: claims.clone(), from_browser: false, origin: None, own_origin: false, what };
                if !matches!(
                    tenant.handle(Ask::Jobs(Box::new(ask)), host)?,
                    Answer::Now(Reply::Document { status: 200, .. })
                ) {
                    missing.push(id);
                }
            }
            Ok(missing)
        });
        let Some(done) = done else { return };
        if let Some(first) = done.value.first() {
            let text = format!("{} jobs that were kept are not known any more, {first} first", done.value.len());
            self.fault("job lost", text);
        }
        self.hand_out(tenant, done.instance, done.ready);
    }
}
