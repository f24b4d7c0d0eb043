//! `sluice-load` has the callers and a vendor for the benchmarks. It reads commands from standard
//! input, one a line as JSON, runs them concurrently, and answers each with a line that has the command's
//! `id`. It ends when its input closes.
//!
//! It shares the machine with what it measures, so it runs in one thread, and reads no more of an
//! answer than its length demands.

mod callers;
mod figures;
mod turns;
mod vendor;
mod wire;

use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::task::{LocalSet, spawn_local};
use vendor::Vendor;

/// A line of the input.
#[derive(Debug, Deserialize)]
struct Line {
    id: u64,
    #[serde(flatten)]
    command: Command,
}

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    /// Tells the vendor's URL.
    Vendor,
    /// Has the vendor answer no call until `Release`.
    Hold,
    /// Has the vendor answer all calls that it has held, and from now on each call at once.
    Release,
    /// Tells which calls have come to the vendor since `Hold`, in order, once there are `least` of
    /// them: the number at the end of each path, and the time, microseconds.
    Came { least: usize },
    /// Makes calls to one subject.
    Call(Box<callers::Order>),
    /// Makes calls to several subjects in turn.
    Turns(turns::Order),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    LocalSet::new().run_until(serve()).await?;
    // A blocked read of standard input must not keep the process alive.
    std::process::exit(0)
}

async fn serve() -> io::Result<()> {
    let vendor = Rc::new(Vendor::start().await?);
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let vendor = Rc::clone(&vendor);
        spawn_local(async move {
            match serde_json::from_str::<Line>(&line) {
                Ok(Line { id, command }) => match run(command, &vendor).await {
                    Ok(result) => println!("{}", json!({"id": id, "said": result})),
                    Err(fault) => println!("{}", json!({"id": id, "fault": fault.to_string()})),
                },
                Err(fault) => println!("{}", json!({"id": 0, "fault": format!("not a command: {fault}: {line}")})),
            }
        });
    }
    Ok(())
}

/// Runs a command, and returns its result.
async fn run(command: Command, vendor: &Rc<Vendor>) -> io::Result<Value> {
    match command {
        Command::Vendor => Ok(json!({"url": vendor.url()})),
        Command::Hold => {
            vendor.hold();
            Ok(Value::Null)
        }
        Command::Release => {
            vendor.release();
            Ok(Value::Null)
        }
        Command::Came { least } => Ok(json!(vendor.arrivals(least).await)),
        Command::Call(order) => callers::call(*order).await,
        Command::Turns(order) => turns::call(order).await,
    }
}
