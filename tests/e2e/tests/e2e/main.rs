//! The end-to-end tests. Each test has its own thread and its own tenant; most share one workerd.
//! When all have ended, every file and every line that the instances wrote is searched for every
//! secret that was used.

/// Lists the tests of a module.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub fn tests() -> Vec<crate::Test> {
            vec![$(crate::Test(concat!(module_path!(), "::", stringify!($name)), |world| Box::pin($name(world)))),+]
        }
    };
}

mod admin;
mod after_throttle;
mod answers;
mod aprimo;
mod asked;
mod browser;
mod bytes;
mod callbacks;
mod counts;
mod crash;
mod cut_answers;
mod daily;
mod edits;
mod fair;
mod fetched;
mod gone;
mod headers;
mod hosts;
mod idle;
mod installation;
mod jobs;
mod jobs_kept;
mod keys;
mod leaks;
mod limits;
mod meanings;
mod methods;
mod misplaced;
mod observe;
mod operate;
mod outage;
mod paths;
mod pause;
mod places;
mod policies;
mod pools;
mod refusals;
mod retries;
mod retry_after;
mod saturated;
mod sizes;
mod status;
mod tokens;
mod uploads;
mod usage;
mod vendor_faults;
mod vendors;
mod waiting;

use libtest_mimic::{Arguments, Trial};
use sluice_e2e::{World, secrets};
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

type Run = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A test with its name.
struct Test(&'static str, Run);

/// How many tests run at once. They mostly wait, so two cores carry this many.
const AT_ONCE: usize = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let world = Arc::new(World::default());
    let trials = tests().into_iter().map(|test| trial(test, &world)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(world) = Arc::into_inner(world) {
        world.end();
    }
    let quiet = nothing_uncaught();
    let clean = nothing_leaked();
    if conclusion.has_failed() || !quiet || !clean { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Returns the tests, longest first, so that the others run beside them.
fn tests() -> Vec<Test> {
    [
        jobs::tests(),
        jobs_kept::tests(),
        callbacks::tests(),
        outage::tests(),
        daily::tests(),
        pools::tests(),
        counts::tests(),
        crash::tests(),
        cut_answers::tests(),
        after_throttle::tests(),
        uploads::tests(),
        places::tests(),
        saturated::tests(),
        vendors::tests(),
        waiting::tests(),
        asked::tests(),
        idle::tests(),
        bytes::tests(),
        retry_after::tests(),
        retries::tests(),
        fair::tests(),
        edits::tests(),
        fetched::tests(),
        meanings::tests(),
        aprimo::tests(),
        gone::tests(),
        pause::tests(),
        policies::tests(),
        vendor_faults::tests(),
        usage::tests(),
        admin::tests(),
        answers::tests(),
        keys::tests(),
        installation::tests(),
        operate::tests(),
        browser::tests(),
        headers::tests(),
        hosts::tests(),
        observe::tests(),
        paths::tests(),
        refusals::tests(),
        sizes::tests(),
        leaks::tests(),
        limits::tests(),
        methods::tests(),
        misplaced::tests(),
        status::tests(),
        tokens::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn trial(Test(name, run): Test, world: &Arc<World>) -> Trial {
    let world = Arc::clone(world);
    Trial::test(name.trim_start_matches("e2e::"), move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(&world));
        Ok(())
    })
}

/// Checks that no instance printed an uncaught error: one in a finaliser or a timer shows in no
/// answer. What workerd's own server prints about requests that are not HTTP, and about connections
/// that it cuts off, does not count.
fn nothing_uncaught() -> bool {
    let mut lines = secrets::printed_with("Uncaught");
    lines.retain(|line| !line.contains("Uncaught exception: "));
    for line in &lines {
        println!("an instance printed: {line}");
    }
    lines.is_empty()
}

/// Checks that no credential and no key is in any file of a persist folder, nor in anything that an
/// instance printed.
fn nothing_leaked() -> bool {
    let (secrets, files, printed) = secrets::scope();
    if secrets == 0 {
        return true;
    }
    let leaks = secrets::leaks();
    println!("looked for {secrets} secrets in {files} files and {printed} bytes of output: {} found", leaks.len());
    for leak in &leaks {
        println!("  {leak}");
    }
    secrets::clean();
    leaks.is_empty()
}
