//! What must hold, whatever was done: at the vendors, for the callers, for the jobs, and in the
//! status.

use crate::callers::{End, Made, Seen, waits};
use crate::faults::{Kind, Trouble};
use crate::plan::{Leaves, Seconds};
use crate::stage::{GUARD_MS, SEATS, Stage, TENANTS, TIMEOUT_MS, VENDORS, WINDOW_MS, tenant_of};
use serde_json::Value;
use sluice_e2e::Instance;
use sluice_mock_upstreams::{Call as Journalled, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How much longer than allowed an answer may take on a loaded machine.
const SLACK_MS: u64 = 6_000;

/// How long the remaining work may stay unchanged. The outcome of an unsafe job is waited for, then
/// come at most two more attempts, each after a pause that a vendor asked for. All of it takes as
/// long as the rate allows, which a vendor's throttles may have left at a tenth.
const STANDS_STILL: Duration = Duration::from_secs(75);

/// The reasons that a refusal may have at any time.
const REFUSALS: [&str; 10] = [
    "daily-quota",
    "app-budget",
    "paused",
    "queue-full",
    "deadline",
    "rate",
    "concurrency",
    "vendor-unreachable",
    "vendor-timeout",
    "payload",
];

/// How many calls a life may lose from the statistics when it ends: two seconds of the fastest
/// connection.
const FORGOTTEN_BY_A_LIFE: u64 = 60;

/// Everything that a run has shown.
pub struct Run<'a> {
    pub stage: &'a Stage,
    pub made: Vec<Made>,
    pub troubles: Vec<Trouble>,
    /// Each vendor's clock when the run began, microseconds.
    pub clocks: Vec<u64>,
}

/// A fault: when it happened, milliseconds after the start, and what it was.
pub type Fault = (u64, String);

impl Run<'_> {
    fn trouble(&self, from: u64, to: u64, is: impl Fn(Kind) -> bool) -> bool {
        self.troubles
            .iter()
            .any(|trouble| is(trouble.kind) && trouble.from <= to && trouble.to.saturating_add(100) >= from)
    }

    /// Returns everything that must not be.
    pub async fn faults(&self, instance: &Instance, ended: u64) -> Vec<Fault> {
        let journals: Vec<Vec<Journalled>> = self.stage.vendors.iter().map(|vendor| vendor.calls().0).collect();
        let mut faults = self.at_the_vendors(&journals);
        faults.extend(self.twice(&journals));
        for made in &self.made {
            faults.extend(self.of_a_call(made).map(|fault| (made.sent, fault)));
        }
        faults.extend(self.of_jobs(instance, &journals).await);
        faults.extend(self.of_figures(instance, &journals).await.into_iter().map(|fault| (ended, fault)));
        let printed = instance.printed();
        let panicked = printed.lines().filter(|line| line.contains("panicked"));
        faults.extend(panicked.map(|line| (ended, format!("the instance printed: {line}"))));
        faults
    }

    /// No window, bucket, slot or day is exceeded: the vendors refuse nothing. After a leap of the
    /// clock they may, until what was counted before it has left their windows.
    fn at_the_vendors(&self, journals: &[Vec<Journalled>]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for ((journal, vendor), clock) in journals.iter().zip(VENDORS).zip(&self.clocks) {
            for call in journal {
                let Verdict::Refused(limit) = &call.verdict else { continue };
                let at = call.arrived_us.saturating_sub(*clock) / 1_000;
                let since_leap = at.saturating_sub(WINDOW_MS + GUARD_MS + TIMEOUT_MS);
                if limit != "day" && self.trouble(since_leap, at, |kind| matches!(kind, Kind::Leapt { .. })) {
                    continue;
                }
                faults.push((at, format!("{vendor} refused {} {} by its limit {limit}", call.method, call.target)));
            }
        }
        faults
    }

    /// A call that may have been executed is not executed again, unless it is safe or idempotent.
    fn twice(&self, journals: &[Vec<Journalled>]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (journal, clock) in journals.iter().zip(&self.clocks) {
            let mut sent: BTreeMap<&str, Vec<&Journalled>> = BTreeMap::new();
            for call in journal.iter().filter(|call| call.method == "POST" && may_be_executed(&call.verdict)) {
                sent.entry(&call.target).or_default().push(call);
            }
            for (target, calls) in sent.into_iter().filter(|(_, calls)| calls.len() > 1) {
                let told: Vec<String> =
                    calls.iter().map(|call| format!("{:?} {}", call.verdict, call.status)).collect();
                let at = calls.last().map_or(0, |call| call.arrived_us.saturating_sub(*clock) / 1_000);
                faults.push((
                    at,
                    format!("POST {target} may have been executed {} times: {}", calls.len(), told.join(", ")),
                ));
            }
        }
        faults
    }

    /// Every caller has an answer, in time, that is the vendor's or a well-formed refusal.
    fn of_a_call(&self, made: &Made) -> Option<String> {
        let Made { call, sent, ended, end } = made;
        let about = || format!("call {} ({} {} {})", call.number, call.method, SEATS[call.seat].name, call.target);
        let down = self.trouble(*sent, *ended, |kind| kind == Kind::Down);
        let stood: u64 = self
            .troubles
            .iter()
            .filter(|trouble| matches!(trouble.kind, Kind::Stalled | Kind::Unwritable))
            .map(|trouble| trouble.to.min(*ended).saturating_sub(trouble.from.max(*sent)))
            .sum();
        let most = waits(call) + TIMEOUT_MS + stood + SLACK_MS;
        if ended - sent > most {
            return Some(format!(
                "{} took {} s, and may take {} s: {end:?}",
                about(),
                Seconds(ended - sent),
                Seconds(most)
            ));
        }
        match end {
            End::Left => None,
            End::Broken(_) if down => None,
            End::Broken(_) if call.leaves != Leaves::Never => None,
            End::Broken(why) => Some(format!("{} has no answer: {why}", about())),
            End::Answered(seen) => {
                self.of_an_answer(made, seen, down).map(|fault| format!("{} {fault}: {seen:?}", about()))
            }
        }
    }

    fn of_an_answer(&self, made: &Made, seen: &Seen, down: bool) -> Option<&'static str> {
        let (from, to) = (made.sent, made.ended);
        let unwell =
            down || self.trouble(from.saturating_sub(2_000), to, |kind| matches!(kind, Kind::Down | Kind::Unwritable));
        let vendor = SEATS[made.call.seat].vendor;
        let sick = self.trouble(from.saturating_sub(TIMEOUT_MS), to, |kind| kind == Kind::Sick(vendor));
        match seen.reason.as_deref() {
            Some(reason) if REFUSALS.contains(&reason) => {}
            Some("unavailable") if unwell => {}
            Some(_) => return Some("was refused for no reason of the plan's"),
            // The answer of a repeated job is identified by the same call.
            None if seen.id.is_some() || seen.status == 202 => {}
            None if unwell => {}
            None => return Some("was answered neither by its vendor nor by sluice"),
        }
        // workerd arms its next timer anew by the wall clock, so a leap ends what has its time-out within it: seed 71
        // of 2026-11-30. A worker alone was seen to do so: a timer of 60 s fired
        // when the clock leapt by 61 s.
        let overtaken =
            self.trouble(from, to, |kind| matches!(kind, Kind::Leapt { ms } if ms + (to - from) >= TIMEOUT_MS));
        if !seen.whole && !sick && !down && !overtaken {
            return Some("had a broken answer from a vendor that is well");
        }
        (made.call.job && seen.status == 202 && seen.job.is_none()).then_some("was kept as a job without a name")
    }

    /// Every job that was promised is there and has ended; one that is done was really made.
    async fn of_jobs(&self, instance: &Instance, journals: &[Vec<Journalled>]) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut by_key: BTreeMap<(usize, usize, &str), (&str, u64)> = BTreeMap::new();
        for made in &self.made {
            let End::Answered(seen) = &made.end else { continue };
            let direct =
                (made.call.job && seen.reason.is_none() && seen.status != 202).then_some(seen.id.as_ref()).flatten();
            let Some(id) = seen.job.as_ref().or(direct).filter(|_| made.call.job) else { continue };
            let tenant = tenant_of(&SEATS[made.call.seat]);
            let told = self.stage.ask(instance, tenant, &format!("/jobs/{id}")).await.unwrap_or(Value::Null);
            let state = told["state"].as_str().unwrap_or("not there");
            let about = || format!("job {id} of call {} ({} {})", made.call.number, made.call.method, made.call.target);
            if !matches!(state, "done" | "dead") {
                faults.push((made.sent, format!("{} is {state}: {told}", about())));
            }
            let arrived = journals[SEATS[made.call.seat].vendor].iter().any(|call| call.target == made.call.target);
            if state == "done" && !arrived {
                faults.push((made.sent, format!("{} is done, and its vendor has not seen it", about())));
            }
            if let Some(key) = &made.call.key {
                let known = by_key.entry((tenant, made.call.app, key)).or_insert((id, made.sent));
                if known.0 != id {
                    faults.push((made.sent, format!("{} and job {} have the same Idempotency-Key", about(), known.0)));
                }
            }
        }
        faults
    }

    /// The day counts no less than its vendor, and the statistics no less than that, except what
    /// lives lost when they were ended: a second's calls each.
    async fn of_figures(&self, instance: &Instance, journals: &[Vec<Journalled>]) -> Vec<String> {
        let mut faults = Vec::new();
        let ends = self.troubles.iter().filter(|t| matches!(t.kind, Kind::Down | Kind::Unwritable)).count() as u64;
        let (mut told, mut days) = ([0; VENDORS.len()], [None::<u64>; VENDORS.len()]);
        for seat in &SEATS {
            let tenant = tenant_of(seat);
            let usage = self.stage.ask(instance, tenant, &format!("/stats/usage.json?connection={}", seat.name)).await;
            told[seat.vendor] += usage.and_then(|usage| usage["result"][0]["total"].as_u64()).unwrap_or(0);
            let Some(status) = self.stage.ask(instance, tenant, "/status.json").await else {
                faults.push(format!("the status of {} cannot be read", seat.tenant));
                continue;
            };
            let limits = status["connections"][seat.name]["limits"].as_array().cloned().unwrap_or_default();
            let of_day =
                limits.iter().filter(|limit| limit["name"] == "day").filter_map(|limit| limit["used"].as_u64());
            // Each connection of a pool knows the count of its own last loan.
            days[seat.vendor] = of_day.chain(days[seat.vendor]).max();
        }
        for ((journal, day), name) in journals.iter().zip(days).zip(VENDORS) {
            let passed = counted(journal);
            faults.extend(
                day.filter(|used| *used < passed)
                    .map(|used| format!("the day of {name} counts {used}, its vendor {passed}")),
            );
        }
        for ((journal, told), name) in journals.iter().zip(told).zip(VENDORS) {
            let sent = journal.iter().filter(|call| !matches!(call.verdict, Verdict::Free)).count() as u64;
            if told + ends * FORGOTTEN_BY_A_LIFE < sent {
                faults.push(format!(
                    "the statistics tell of {told} calls, {name} of {sent}, after {ends} ends of a life"
                ));
            }
        }
        faults
    }
}

/// Returns how many calls a vendor counted.
fn counted(journal: &[Journalled]) -> u64 {
    journal.iter().filter(|call| matches!(call.verdict, Verdict::Passed | Verdict::Fault(_))).count() as u64
}

/// Whether a caller must assume that the vendor executed the call. A vendor that throttles says it
/// did not, and so does one that rejects the request.
fn may_be_executed(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Passed | Verdict::Open => true,
        Verdict::Fault(name) => name != "throttle" && !name.starts_with('4'),
        _ => false,
    }
}

/// Waits until nothing waits, is in flight or is left to do, for as long as that becomes less.
/// Returns what is left in the end.
pub async fn drained(stage: &Stage, instance: &Instance) -> Vec<String> {
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        let (mut left, mut many) = (Vec::new(), Some(0));
        for (tenant, name) in TENANTS.iter().enumerate() {
            match stage.ask(instance, tenant, "/status.json").await {
                Some(status) => {
                    let more = of_status(name, &status, &mut left);
                    many = many.map(|many| many + more);
                }
                None => {
                    left.push(format!("{name} has no status"));
                    many = None;
                }
            }
        }
        if let Some(many) = many.filter(|many| *many < least) {
            (least, since) = (many, Instant::now());
        }
        if left.is_empty() || since.elapsed() > STANDS_STILL {
            return left;
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// Returns what is left of a tenant's work, and how many calls and jobs that is.
fn of_status(tenant: &str, status: &Value, left: &mut Vec<String>) -> u64 {
    let mut many = 0;
    for (name, connection) in status["connections"].as_object().into_iter().flatten() {
        let of = [
            &connection["in_flight"],
            &connection["queue"]["depth"],
            &connection["jobs"]["queued"],
            &connection["jobs"]["running"],
        ];
        many += of.iter().filter_map(|n| n.as_u64()).sum::<u64>();
        if of.iter().any(|n| n.as_u64() != Some(0)) {
            left.push(format!(
                "{tenant}/{name}: in flight {}, waiting {}, jobs queued {}, running {}",
                of[0], of[1], of[2], of[3]
            ));
        }
    }
    many
}
