//! `sluice-mock-upstreams` runs mock vendors on 127.0.0.1. It prints `vendor NAME URL` for each and
//! then `ready`. It ends when its standard input closes or the process that it watches has gone, so
//! that nothing is left behind.

use clap::Parser;
use sluice_mock_upstreams::{CountAt, FaultRule, Handle, Kind, Latency, Spec, Vendor, control, upstreams};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, stdin};
use tokio::net::TcpListener;

/// Mock vendors that enforce their limits strictly, by arrival, on their own clock.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// A vendor to start; repeatable. Default: marketo, hubspot, aprimo and generic
    #[arg(long = "vendor", value_name = "NAME")]
    vendors: Vec<String>,
    /// A vendor's port, as NAME=PORT; repeatable. Default: any free one
    #[arg(long = "port", value_name = "NAME=PORT", value_parser = port)]
    ports: Vec<(String, u16)>,
    /// A further port for the control API of all vendors, under /NAME/; 0 picks one
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    /// The latency: none, fixed:MS, uniform:MIN-MAX or lognormal:MEAN,SIGMA (milliseconds)
    #[arg(long, default_value = "none", value_parser = latency)]
    latency: Latency,
    /// The same as --latency uniform:MIN-MAX
    #[arg(long, value_name = "MIN-MAX", value_parser = jitter, conflicts_with = "latency")]
    jitter: Option<Latency>,
    /// When a call is counted: arrival, random or completion
    #[arg(long, default_value = "arrival", value_parser = count_at)]
    count_at: CountAt,
    /// A fault, as NAME[=NUMBER][@PROBABILITY]: 503=30@0.01, reset-mid-body@0.05, hang@0.001; repeatable
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<FaultRule>,
    /// The seed of the random numbers: the same seed gives the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Aprimo delays its next N calls over the rate before it refuses, as the real one does with 100
    #[arg(long, value_name = "N", default_value_t = 0)]
    aprimo_queue: u64,
    /// Ends when this process has gone
    #[arg(long, value_name = "PID")]
    parent_pid: Option<u32>,
    /// Stays when standard input closes
    #[arg(long)]
    stay: bool,
}

/// The vendors of the demo.
const USUAL: [&str; 4] = ["marketo", "hubspot", "aprimo", "generic"];

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("sluice-mock-upstreams: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let running = start(options)?;
    for (name, vendor) in &running {
        println!("vendor {name} {}", vendor.url());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let control = match options.control_port {
            Some(port) => Some(TcpListener::bind(("127.0.0.1", port)).await?),
            None => None,
        };
        if let Some(listener) = &control {
            println!("control http://{}", listener.local_addr()?);
        }
        println!("ready");
        tokio::select! {
            () = input_closed(), if !options.stay => Ok(()),
            () = parent_gone(options.parent_pid), if options.parent_pid.is_some() => Ok(()),
            ended = serve_control(control, &running) => ended,
        }
    })?;
    // A blocked read of standard input must not keep the process alive.
    std::process::exit(0)
}

fn start(options: &Options) -> Result<Vec<(String, Handle)>, Box<dyn Error>> {
    let usual = USUAL.map(str::to_owned).to_vec();
    let wanted = if options.vendors.is_empty() { &usual } else { &options.vendors };
    let mut running = Vec::new();
    for name in wanted {
        let port = options.ports.iter().find(|(known, _)| known == name).map_or(0, |(_, port)| *port);
        let handle = Vendor::start_on(spec(options, name), port).map_err(|fault| {
            let known: Vec<&str> = upstreams::names().collect();
            format!("{name}: {fault}; the vendors are {}", known.join(", "))
        })?;
        running.push((name.clone(), handle));
    }
    Ok(running)
}

fn spec(options: &Options, name: &str) -> Spec {
    let mut spec = Spec::new(name).latency(options.jitter.unwrap_or(options.latency)).count_at(options.count_at);
    spec.faults.clone_from(&options.faults);
    spec.seed = options.seed;
    if let ("aprimo", Some(dialect), 1..) = (name, upstreams::find(name), options.aprimo_queue) {
        let mut limits = (dialect.limits)();
        for limit in &mut limits {
            if let Kind::LeakyBucket { queue, .. } = &mut limit.kind {
                *queue = options.aprimo_queue;
            }
        }
        spec.limits = Some(limits);
    }
    spec
}

async fn serve_control(listener: Option<TcpListener>, running: &[(String, Handle)]) -> std::io::Result<()> {
    match listener {
        Some(listener) => control::serve_all(listener, running).await,
        None => std::future::pending().await,
    }
}

async fn input_closed() {
    let mut sink = [0; 256];
    while matches!(stdin().read(&mut sink).await, Ok(1..)) {}
}

/// Checks twice a second whether the process has gone, in `/proc` where there is one, else with
/// `ps`.
async fn parent_gone(pid: Option<u32>) {
    let Some(pid) = pid else { return };
    let alive = || {
        if Path::new("/proc/self").exists() {
            return Path::new(&format!("/proc/{pid}")).exists();
        }
        let ps = std::process::Command::new("ps").args(["-p", &pid.to_string()]).output();
        ps.map_or(true, |out| out.status.success())
    };
    while alive() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn port(text: &str) -> Result<(String, u16), String> {
    let (name, port) = text.split_once('=').ok_or_else(|| format!("«{text}» is not NAME=PORT"))?;
    Ok((name.to_owned(), port.parse().map_err(|_| format!("«{port}» is no port"))?))
}

fn latency(text: &str) -> Result<Latency, String> {
    let number = |n: &str| n.parse::<u64>().map_err(|_| format!("«{n}» is no whole number of milliseconds"));
    match text.split_once(':') {
        None if text == "none" => Ok(Latency::None),
        Some(("fixed", ms)) => Ok(Latency::Fixed { ms: number(ms)? }),
        Some(("uniform", range)) => jitter(range),
        Some(("lognormal", parts)) => {
            let (mean, sigma) = parts.split_once(',').unwrap_or((parts, "0.5"));
            let sigma: f64 = sigma.parse().map_err(|_| format!("«{sigma}» is no number"))?;
            Ok(Latency::LogNormal { mean_ms: number(mean)?, sigma })
        }
        _ => Err(format!("«{text}» is no latency: write none, fixed:MS, uniform:MIN-MAX or lognormal:MEAN,SIGMA")),
    }
}

fn jitter(text: &str) -> Result<Latency, String> {
    let bad = || format!("«{text}» is not MIN-MAX in milliseconds");
    let (min, max) = text.split_once('-').ok_or_else(bad)?;
    let (min_ms, max_ms) = (min.parse().map_err(|_| bad())?, max.parse().map_err(|_| bad())?);
    if min_ms <= max_ms { Ok(Latency::Uniform { min_ms, max_ms }) } else { Err(bad()) }
}

fn count_at(text: &str) -> Result<CountAt, String> {
    match text {
        "arrival" => Ok(CountAt::Arrival),
        "random" => Ok(CountAt::Random),
        "completion" => Ok(CountAt::Completion),
        _ => Err(format!("«{text}» is not arrival, random or completion")),
    }
}
