//! Torture: a real instance under load, with everything that can go wrong done to it at random,
//! from a seed.
//!
//! Run it with `cargo run -p sluice-e2e --bin torture -- --seconds 600 --seed 1`. The plan of
//! faults and calls is computed from the seed before anything happens; the machine's timing is not.
//! It ends with 1 if anything did not hold.

mod callers;
mod check;
mod faults;
mod plan;
mod stage;

use crate::callers::{End, Made, since};
use crate::check::{Fault, Run};
use crate::faults::{Cage, Kind};
use crate::plan::{Plan, Seconds};
use crate::stage::{GUARD_MS, SEATS, Stage, WINDOW_MS};
use sluice_e2e::instance::Start;
use sluice_e2e::{Answer, Ask, secrets};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How many faults of a run are printed; the rest is counted.
const TOLD: usize = 20;

struct Asked {
    seconds: u64,
    seed: u64,
    plan_only: bool,
    workerd: PathBuf,
}

fn asked() -> Result<Asked, String> {
    let workerd = std::env::var("SLUICE_WORKERD").unwrap_or_default();
    let mut asked =
        Asked { seconds: 600, seed: secrets::bits() % 1_000_000, plan_only: false, workerd: workerd.into() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|n| n.parse().ok()).ok_or_else(|| format!("{word} needs a whole number"));
        match word.as_str() {
            "--seconds" => asked.seconds = number()?,
            "--seed" => asked.seed = number()?,
            "--plan" => asked.plan_only = true,
            _ => return Err(format!("«{word}» is not known: write --seconds N, --seed N or --plan")),
        }
    }
    if asked.workerd.as_os_str().is_empty() && !asked.plan_only {
        return Err("SLUICE_WORKERD does not say where workerd is: start this with npm run torture".to_owned());
    }
    Ok(asked)
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let plan = Plan::new(asked.seed, asked.seconds);
    println!(
        "torture: seed {}, {} s, {} steps, {} calls",
        asked.seed,
        asked.seconds,
        plan.steps.len(),
        plan.calls.len()
    );
    if asked.plan_only {
        plan.steps.iter().for_each(|step| println!("{step}"));
        plan.calls.iter().for_each(|call| println!("{call:?}"));
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let faults = runtime.block_on(torture(&asked, plan.clone()));
    let mut held = faults.is_empty();
    for (at, fault) in faults.iter().take(TOLD) {
        println!("NOT SO, {} s: {fault}", Seconds(*at));
        let near = plan.steps.iter().filter(|step| step.at + 8_000 > *at && step.at < at + 1_000);
        near.for_each(|step| println!("    {step}"));
    }
    for leak in secrets::leaks() {
        println!("NOT SO: {leak}");
        held = false;
    }
    secrets::clean();
    if held {
        println!("seed {}: everything held", asked.seed);
        return ExitCode::SUCCESS;
    }
    println!(
        "seed {}: {} faults; again with npm run torture -- --seconds {} --seed {}",
        asked.seed,
        faults.len(),
        asked.seconds,
        asked.seed
    );
    ExitCode::FAILURE
}

async fn torture(asked: &Asked, plan: Plan) -> Vec<Fault> {
    let mut cage = Cage::build(&asked.workerd);
    let mut start = Start::fresh("torture");
    start.workerd = Some(cage.wrapper());
    let instance = tokio::task::spawn_blocking(|| start.run()).await.expect("an instance");
    // The pool has half of what comes for it, so that it is used up on the way.
    let pool = asked.seconds * 2;
    let stage = Stage::set(&instance, pool).await;
    let (to, began) = (instance.address(), Instant::now());
    let clocks: Vec<u64> = stage.vendors.iter().map(sluice_mock_upstreams::Handle::now_us).collect();
    let calling = async {
        let mut under_way = JoinSet::new();
        for call in plan.calls {
            sleep_until(began + Duration::from_millis(call.at)).await;
            let key = callers::key(&stage, &call);
            under_way.spawn(callers::make(call, key, to, began));
        }
        under_way.join_all().await
    };
    let befalling = faults::befall(plan.steps, instance, &mut cage, &stage, began);
    let (made, (instance, troubles)) = tokio::join!(calling, befalling);
    let ended = since(began);
    println!("{:>8} s  all calls have ended", Seconds(ended));
    stage.widen(&instance).await;
    // A pool learns of another number with a connection's next call.
    let _ = alive(&stage, &instance).await;
    let left = check::drained(&stage, &instance).await;
    println!("{:>8} s  drained", Seconds(since(began)));
    let run = Run { stage: &stage, made, troubles, clocks };
    let mut faults: Vec<Fault> =
        left.into_iter().map(|left| (since(began), format!("left when all had ended: {left}"))).collect();
    faults.extend(alive(&stage, &instance).await.into_iter().map(|fault| (since(began), fault)));
    faults.extend(run.faults(&instance, ended).await);
    faults.sort();
    tell(&run);
    faults
}

/// Checks that every connection takes calls again, unless its day is spent.
async fn alive(stage: &Stage, instance: &sluice_e2e::Instance) -> Vec<String> {
    let mut faults = Vec::new();
    for seat in &SEATS {
        let key = &stage.keys[stage::tenant_of(seat)][0];
        let ask = Ask::get(&format!("/v/{}/echo?alive", seat.name)).key(key);
        let mut answer = ask.try_send(instance.address()).await;
        // A window that is full of calls from the end of the run makes a call wait longer than its
        // queue allows; the refusal says until when.
        let full = answer.as_ref().ok().filter(|answer| answer.sluice_reason() == Some("deadline"));
        if let Some(seconds) =
            full.and_then(Answer::retry_after).filter(|seconds| *seconds * 1_000 <= WINDOW_MS + GUARD_MS + 1_000)
        {
            sleep(Duration::from_secs(seconds)).await;
            answer = ask.try_send(instance.address()).await;
        }
        let good =
            answer.as_ref().is_ok_and(|answer| answer.sluice_reason().is_none_or(|reason| reason == "daily-quota"));
        if !good {
            faults.push(format!("{}/{} takes no calls in the end: {answer:?}", seat.tenant, seat.name));
        }
    }
    faults
}

/// Prints what was done and what came of it.
fn tell(run: &Run<'_>) {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for Made { end, .. } in &run.made {
        let name = match end {
            End::Answered(seen) => seen
                .reason
                .clone()
                .unwrap_or_else(|| if seen.status == 202 { "kept as a job" } else { "by the vendor" }.to_owned()),
            End::Left => "caller went".to_owned(),
            End::Broken(_) => "cut off".to_owned(),
        };
        *ends.entry(name).or_default() += 1;
    }
    let times = |kind: Kind| run.troubles.iter().filter(|trouble| trouble.kind == kind).count();
    let seen: Vec<usize> = run.stage.vendors.iter().map(|vendor| vendor.calls().passed()).collect();
    println!("calls: {ends:?}");
    println!(
        "the vendors saw {seen:?}; killed {} times, stalled {}, unwritable {}, leapt {}",
        times(Kind::Down),
        times(Kind::Stalled),
        times(Kind::Unwritable),
        run.troubles.iter().filter(|trouble| matches!(trouble.kind, Kind::Leapt { .. })).count()
    );
}
