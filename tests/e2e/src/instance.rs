//! One running Sluice: `scripts/start.mjs`, and the workerd under it.

use crate::client::Ask;
use crate::secrets::{self, Output};
use base64::Engine;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a start may take on a loaded machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The settings of an instance.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its settings, without the two secrets.
    pub vars: Vec<(String, String)>,
    /// The administrators' tokens, separated by commas.
    pub admin_token: String,
    /// The master keys, separated by commas.
    pub master_key: String,
    /// The folder of the Wasm build.
    pub build: String,
    /// The folder of the storage.
    pub persist: PathBuf,
    /// The port; 0 picks one.
    pub port: u16,
    /// The program that is started in place of workerd, if any.
    pub workerd: Option<PathBuf>,
    /// Whether the cost of its objects is measured: [`Instance::bill`].
    pub metered: bool,
}

/// The cost of an instance's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    /// How many requests they got, alarms included.
    pub requests: u64,
    /// How long something was in flight in one of them or a timer was set, milliseconds.
    pub active_ms: u64,
}

/// A running instance. It ends when this is dropped; its storage stays until the world ends.
#[derive(Debug)]
pub struct Instance {
    /// The settings it was started with, its port filled in.
    pub start: Start,
    child: Child,
    workerd: u32,
    address: SocketAddr,
    output: Output,
}

impl Start {
    /// Makes settings with new storage and new secrets that allow loopback vendors.
    pub fn fresh(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let persist = std::env::temp_dir().join(format!("sluice-e2e-{}-{count}-{name}", std::process::id()));
        let start = Self {
            vars: vec![("ALLOW_LOOPBACK_VENDORS".to_owned(), "true".to_owned())],
            admin_token: secrets::invent("admin"),
            master_key: master_key(),
            build: named("SLUICE_BUILD", "build"),
            persist,
            port: 0,
            workerd: None,
            metered: false,
        };
        secrets::remember_folder(&start.persist);
        start
    }

    /// Adds a setting, or replaces its value.
    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.retain(|(known, _)| known != name);
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the instance, and waits until it answers.
    pub fn run(mut self) -> Instance {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut command = Command::new(named("SLUICE_NODE", "node"));
        let script =
            if self.metered { "tests/e2e/metered.mjs".to_owned() } else { named("SLUICE_START", "scripts/start.mjs") };
        command.current_dir(&root).arg(script).args(["--no-demo", "--port", &self.port.to_string()]);
        command.arg("--persist").arg(&self.persist);
        let secret = [("ADMIN_TOKEN", &self.admin_token), ("MASTER_KEY", &self.master_key)];
        let vars = self.vars.iter().map(|(name, value)| (name.as_str(), value)).chain(secret);
        for (name, value) in vars {
            command.args(["--vars", &format!("{name}={value}")]);
        }
        command.env("SLUICE_BUILD", &self.build).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(workerd) = &self.workerd {
            command.env("SLUICE_WORKERD", workerd);
        }
        let mut child = command.spawn().expect("node cannot be started: install Node 20 or newer");
        let output = Output::new(&self.persist);
        capture(child.stdout.take(), &output);
        capture(child.stderr.take(), &output);
        let (port, workerd) = started(&mut child, &output);
        self.port = port;
        Instance { start: self, child, workerd, address: SocketAddr::from(([127, 0, 0, 1], port)), output }
    }
}

/// Returns what `npm test` names in the environment, or the path in a checkout that is set up.
fn named(variable: &str, otherwise: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| otherwise.to_owned())
}

/// Returns the build with extra paths which panic or report the Wasm's memory. It is made for the
/// tests and never shipped. It is `None` where only the shipped build was made, which `npm test`
/// never does.
pub fn tests_build() -> Option<String> {
    let build = named("SLUICE_PANIC_BUILD", "build-panic");
    in_checkout(&build).join("index.js").exists().then_some(build)
}

/// Returns the same build, if in it a panic ends only its own call.
pub fn panicking_build() -> Option<String> {
    let build = tests_build()?;
    let unwinds = std::env::var("SLUICE_UNWINDS").map_or_else(
        |_| {
            let stamp = in_checkout(&build).join(".sluice-stamp");
            std::fs::read_to_string(stamp).is_ok_and(|stamp| stamp.starts_with("panic=unwind"))
        },
        |unwinds| unwinds == "true",
    );
    unwinds.then_some(build)
}

fn in_checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn master_key() -> String {
    let bytes: Vec<u8> = (0..4).flat_map(|_| secrets::bits().to_le_bytes()).collect();
    let key = base64::engine::general_purpose::STANDARD.encode(&bytes);
    secrets::remember(&key);
    secrets::remember_bytes(bytes);
    key
}

fn capture(from: Option<impl Read + Send + 'static>, output: &Output) {
    let (mut from, output) = (from.expect("the output is piped"), output.clone());
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            output.add(&piece[..read]);
        }
    });
}

/// Waits for the two lines that say that the instance runs.
fn started(child: &mut Child, output: &Output) -> (u16, u32) {
    let began = Instant::now();
    loop {
        let said = output.text();
        let after = |mark: &str| {
            let rest = said.split_once(mark)?.1;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok()
        };
        let ready = said.lines().any(|line| line.starts_with("ready http://127.0.0.1:"));
        if let (true, Some(port), Some(pid)) = (ready, after("ready http://127.0.0.1:"), after("workerd pid ")) {
            return (u16::try_from(port).expect("a port"), pid);
        }
        if let Ok(Some(status)) = child.try_wait() {
            panic!("start.mjs ended with {status} before it was ready:\n{said}");
        }
        assert!(began.elapsed() < STARTS_WITHIN, "not ready within 60 s:\n{said}");
        pause(Duration::from_millis(20));
    }
}

/// Waits. A process can be waited for only by checking it again and again.
#[expect(clippy::disallowed_methods, reason = "real processes take real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

impl Instance {
    /// Returns the address where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills workerd with SIGKILL, as a crash would, and then waits until all of the instance has
    /// gone.
    pub fn kill(mut self) -> Start {
        signal(self.workerd, "-KILL");
        let _ = self.child.wait();
        self.start.clone()
    }

    /// Returns the process id of workerd.
    pub const fn pid(&self) -> u32 {
        self.workerd
    }

    /// Sends a signal to workerd only, such as `-STOP`.
    pub fn signal(&self, name: &str) {
        signal(self.workerd, name);
    }

    /// Returns the cost of the objects so far. It works only for a metered instance.
    pub async fn bill(&self) -> Bill {
        let said = self.printed();
        let meter = said.lines().find_map(|line| line.strip_prefix("meter http://")).expect("a metered instance");
        let bill = Ask::get("/").send(meter.parse().expect("an address")).await.json();
        let figure = |name: &str| bill[name].as_u64().expect("a number");
        Bill { requests: figure("requests"), active_ms: figure("active_ms") }
    }

    /// Returns the resident memory of workerd, bytes. It works only on Linux.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.workerd)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }

    /// Returns everything that it has printed.
    pub fn printed(&self) -> String {
        self.output.text()
    }

    /// Returns the files of its storage, with their sizes.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        secrets::walk(&self.start.persist, &mut |path| {
            files.push((path.to_owned(), std::fs::metadata(path).map_or(0, |about| about.len())));
        });
        files.sort();
        files
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.child.id(), "-TERM");
            let _ = self.child.wait();
        }
    }
}

fn signal(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}
