//! Carries out the faults on a running instance.

use crate::callers::since;
use crate::plan::{Act, Seconds, Step};
use crate::stage::{Stage, TENANTS};
use serde_json::json;
use sluice_e2e::{Clock, Instance, Tenant, clock};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// A period of trouble, milliseconds after the start.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub kind: Kind,
    pub from: u64,
    pub to: u64,
}

/// The kind of trouble, as far as it affects calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No instance was running.
    Down,
    /// The instance was stopped.
    Stalled,
    /// The instance could not write.
    Unwritable,
    /// The clock had leapt forward by so many milliseconds.
    Leapt { ms: u64 },
    /// This vendor was ill.
    Sick(usize),
}

/// The environment of the instance. It is wrapped so that its clock can be moved, and so that a
/// file that grows too large is an error and does not end it.
pub struct Cage {
    folder: PathBuf,
    clock: Option<Clock>,
    limits: bool,
}

impl Cage {
    /// Sets up what is possible on this machine, and says what is not.
    pub fn build(workerd: &Path) -> Self {
        let folder = std::env::temp_dir().join(format!("sluice-torture-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for what the instance is wrapped in");
        let clock = Clock::build(&folder).map_err(|why| println!("clock steps are left out: {why}")).ok();
        let limits = Command::new("prlimit").arg("--version").output().is_ok();
        if !limits {
            println!("storage errors are left out: there is no prlimit");
        }
        let settings = clock.as_ref().map_or_else(String::new, Clock::settings);
        let cage = Self { folder, clock, limits };
        clock::wrap(workerd, "trap '' XFSZ", &settings, &cage.wrapper());
        cage
    }

    /// Returns the program that is started in place of workerd.
    pub fn wrapper(&self) -> PathBuf {
        self.folder.join("workerd")
    }

    fn move_clock(&mut self, ms: i64) {
        if let Some(clock) = &mut self.clock {
            clock.turn(ms);
        }
    }

    fn may_write(&self, instance: &Instance, bytes: &str) {
        if self.limits {
            run("prlimit", &["--pid", &instance.pid().to_string(), &format!("--fsize={bytes}:unlimited")]);
        }
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {args:?} failed");
}

/// Executes the steps, each at its time. Returns the instance, and the periods of trouble.
pub async fn befall(
    steps: Vec<Step>,
    mut instance: Instance,
    cage: &mut Cage,
    stage: &Stage,
    began: Instant,
) -> (Instance, Vec<Trouble>) {
    let mut troubles: Vec<Trouble> = Vec::new();
    for step in steps {
        sleep_until(began + Duration::from_millis(step.at)).await;
        let from = since(began);
        println!("{step}{}", late(step.at, from));
        let kind = match step.act {
            Act::Kill { down } => {
                let start = instance.kill();
                sleep(Duration::from_millis(down)).await;
                instance = tokio::task::spawn_blocking(|| start.run()).await.expect("started again");
                Some(Kind::Down)
            }
            Act::Stall { ms } => {
                instance.signal("-STOP");
                sleep(Duration::from_millis(ms)).await;
                instance.signal("-CONT");
                Some(Kind::Stalled)
            }
            Act::Storage { ms } => {
                cage.may_write(&instance, "1");
                sleep(Duration::from_millis(ms)).await;
                cage.may_write(&instance, "unlimited");
                Some(Kind::Unwritable)
            }
            Act::Back { ms } => {
                cage.move_clock(-ms.cast_signed());
                None
            }
            Act::Forward { ms } => {
                cage.move_clock(ms.cast_signed());
                None
            }
            Act::Leap { ms } => {
                cage.move_clock(ms.cast_signed());
                Some(Kind::Leapt { ms })
            }
            Act::Sick { vendor, ref ill } => {
                stage.vendors[vendor].change(|spec| ill.befall(spec)).expect("an illness that a vendor can have");
                troubles.push(Trouble { kind: Kind::Sick(vendor), from, to: u64::MAX });
                None
            }
            Act::Well { vendor } => {
                well(stage, vendor);
                let sick = |trouble: &&mut Trouble| trouble.kind == Kind::Sick(vendor) && trouble.to == u64::MAX;
                troubles.iter_mut().filter(sick).for_each(|trouble| trouble.to = from);
                None
            }
            Act::Edit { tenant, queue } => {
                edit(stage, &instance, tenant, queue).await;
                None
            }
        };
        troubles.extend(kind.map(|kind| Trouble { kind, from, to: since(began) }));
    }
    (instance, troubles)
}

fn late(planned: u64, now: u64) -> String {
    if now > planned + 100 { format!("  ({} s late)", Seconds(now - planned)) } else { String::new() }
}

fn well(stage: &Stage, vendor: usize) {
    let made_well = stage.vendors[vendor].change(|spec| {
        spec.faults = Vec::new();
        spec.latency = sluice_mock_upstreams::Latency::Uniform { min_ms: 20, max_ms: 200 };
    });
    made_well.expect("a vendor that is well");
}

/// Puts a tenant's policy again with other queue sizes; the calls that wait must stay.
async fn edit(stage: &Stage, instance: &Instance, tenant: usize, queue: u64) {
    let mut policy = stage.policies[tenant].clone();
    for connection in policy["connections"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        connection["queue"]["size"] = json!(queue);
    }
    let answer = Tenant::new(instance, TENANTS[tenant]).put(&policy).await;
    assert_eq!(answer.status, 200, "the policy was refused: {}", answer.text());
}
