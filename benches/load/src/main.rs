//! `sluice-load`: callers and a vendor for the benchmarks, told what to do by lines of JSON on standard input. Each answer
//! is a line of its own and bears its order's `id`; orders run side by side. It ends when its input closes.
//!
//! One thread for all of it, requests written once and sent again and again, answers read no further than their length
//! asks for: it shares the machine with what it measures.

mod callers;
mod figures;
mod turns;
mod vendor;
mod wire;

use callers::Order;
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
    order: Orders,
}

/// What can be ordered.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Orders {
    /// Where the vendor listens.
    Vendor,
    /// The vendor answers nobody until it is let go.
    Hold,
    /// It answers those that it has kept waiting, and from now on at once.
    Release,
    /// Who has come to it since it was held, in their order, once so many have: the number that their path ends with, and when, µs.
    Came { least: usize },
    /// Callers.
    Call(Box<Order>),
    /// Calls to several in turn.
    Turns(turns::Order),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    LocalSet::new().run_until(serve()).await?;
    // A blocked read of standard input must not keep the process.
    std::process::exit(0)
}

async fn serve() -> io::Result<()> {
    let vendor = Rc::new(Vendor::start().await?);
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let vendor = Rc::clone(&vendor);
        spawn_local(async move {
            match serde_json::from_str::<Line>(&line) {
                Ok(Line { id, order }) => match obey(order, &vendor).await {
                    Ok(said) => println!("{}", json!({"id": id, "said": said})),
                    Err(fault) => println!("{}", json!({"id": id, "fault": fault.to_string()})),
                },
                Err(fault) => println!("{}", json!({"id": 0, "fault": format!("not an order: {fault}: {line}")})),
            }
        });
    }
    Ok(())
}

async fn obey(order: Orders, vendor: &Rc<Vendor>) -> io::Result<Value> {
    match order {
        Orders::Vendor => Ok(json!({"url": vendor.url()})),
        Orders::Hold => {
            vendor.hold();
            Ok(Value::Null)
        }
        Orders::Release => {
            vendor.release();
            Ok(Value::Null)
        }
        Orders::Came { least } => Ok(json!(vendor.came(least).await)),
        Orders::Call(order) => callers::call(*order).await,
        Orders::Turns(order) => turns::call(order).await,
    }
}
