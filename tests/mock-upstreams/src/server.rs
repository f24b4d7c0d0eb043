//! A vendor that listens, with its own thread, port and state.

use crate::call;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::fault::Faults;
use crate::gate::Gate;
use crate::journal::{Calls, Journal};
use crate::limit::Limit;
use crate::spec::Spec;
use crate::upstreams::{self, Dialect};
use crate::wire::{Connection, Sent};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Starts mock vendors.
#[derive(Debug)]
pub struct Vendor;

/// A running vendor. It ends when this is dropped.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The state of a vendor, shared by its connections.
#[derive(Debug)]
pub(crate) struct State {
    pub clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub spec: Spec,
    pub dialect: &'static Dialect,
    pub gate: Gate,
    pub journal: Journal,
    pub chance: Chance,
    pub faults: Faults,
    /// The issued tokens and when they expire, µs: the newest last, at most 100.
    pub tokens: VecDeque<(String, u64)>,
    /// The refresh token that works now, if one has been issued.
    pub refresh: Option<String>,
    /// The forms that came to the token endpoint: the newest last, at most 100.
    pub exchanges: VecDeque<String>,
}

impl Vendor {
    /// Starts a vendor on a free port of 127.0.0.1.
    pub fn start(spec: Spec) -> io::Result<Handle> {
        Self::start_on(spec, 0)
    }

    /// Starts a vendor on a port of 127.0.0.1. It has its own thread, so that its measurements do
    /// not depend on what the test's threads do.
    pub fn start_on(spec: Spec, port: u16) -> io::Result<Handle> {
        let state = Arc::new(State::new(spec)?);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("vendor".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, shared) => {}
                }
            });
        })?;
        Ok(Handle { address, state, stop: Some(stop), thread: Some(thread) })
    }
}

async fn accept(listener: std::net::TcpListener, state: Arc<State>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        // A failed accept (too many open files) passes: the next one may succeed.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        tokio::spawn(connection(stream, Arc::clone(&state)));
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let mut connection = Connection::new(stream);
    let sent = call::serve(&state, &mut connection).await;
    if sent == Sent::Reset {
        // Without lingering the kernel answers the peer with RST rather than FIN.
        let _ = connection.into_stream().set_zero_linger();
    }
}

impl State {
    pub(crate) fn new(spec: Spec) -> io::Result<Self> {
        let dialect = upstreams::find(&spec.vendor)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("no vendor «{}»", spec.vendor)))?;
        let limits = spec.limits.clone().unwrap_or_else(dialect.limits);
        let inner = Inner {
            dialect,
            gate: Gate::new(&limits),
            journal: Journal::new(spec.journal),
            chance: Chance::new(spec.seed),
            faults: Faults::new(&spec.faults),
            tokens: VecDeque::new(),
            refresh: None,
            exchanges: VecDeque::new(),
            spec,
        };
        Ok(Self { clock: Clock::start(), inner: Mutex::new(inner) })
    }

    /// Locks the state, never across an await. A thread that panicked leaves nothing half done.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the spec. Counters stay by a limit's name and kind.
    pub(crate) fn set_spec(&self, spec: Spec) -> io::Result<()> {
        let fresh = Self::new(spec)?;
        let fresh = fresh.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        let limits = fresh.spec.limits.clone().unwrap_or_else(fresh.dialect.limits);
        inner.gate.set_limits(&limits);
        inner.dialect = fresh.dialect;
        inner.chance = fresh.chance;
        inner.faults = fresh.faults;
        inner.spec = fresh.spec;
        Ok(())
    }

    /// Forgets what was counted and journalled.
    pub(crate) fn reset(&self) {
        let mut inner = self.lock();
        inner.gate.forget();
        inner.journal.clear();
        let (chance, faults) = (Chance::new(inner.spec.seed), Faults::new(&inner.spec.faults));
        inner.chance = chance;
        inner.faults = faults;
        inner.tokens.clear();
    }
}

impl Handle {
    /// Returns `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the calls that the vendor has seen.
    pub fn calls(&self) -> Calls {
        self.state.lock().journal.after(0)
    }

    /// Returns the calls since the one of that number.
    pub fn calls_after(&self, number: u64) -> Calls {
        self.state.lock().journal.after(number)
    }

    /// Returns the number of calls in service.
    pub fn in_service(&self) -> usize {
        self.state.lock().gate.in_service()
    }

    /// Returns the vendor's monotonic clock, microseconds since it started: the journal's time.
    pub fn now_us(&self) -> u64 {
        self.state.clock.now_us()
    }

    /// Replaces the spec. Counters stay by a limit's name and kind.
    pub fn set_spec(&self, spec: Spec) -> io::Result<()> {
        self.state.set_spec(spec)
    }

    /// Changes the current spec.
    pub fn change(&self, change: impl FnOnce(&mut Spec)) -> io::Result<()> {
        let mut spec = self.spec();
        change(&mut spec);
        self.set_spec(spec)
    }

    /// Returns the current spec.
    pub fn spec(&self) -> Spec {
        self.state.lock().spec.clone()
    }

    /// Revokes every token that was issued.
    pub fn revoke(&self) {
        self.state.lock().tokens.clear();
    }

    /// Returns every token that works now.
    pub fn tokens(&self) -> Vec<String> {
        self.state.lock().tokens.iter().map(|(token, _)| token.clone()).collect()
    }

    /// Returns the last 100 forms that came to the token endpoint, the newest last.
    pub fn exchanges(&self) -> Vec<String> {
        self.state.lock().exchanges.iter().cloned().collect()
    }

    /// Returns the current limits.
    pub fn limits(&self) -> Vec<Limit> {
        let inner = self.state.lock();
        inner.spec.limits.clone().unwrap_or_else(inner.dialect.limits)
    }

    /// Forgets what was counted and journalled.
    pub fn reset(&self) {
        self.state.reset();
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A vendor without a port: its connections are streams in memory, so that a test with a paused
/// clock can drive it.
#[derive(Debug, Clone)]
pub struct Bench(Arc<State>);

impl Bench {
    /// Starts a vendor.
    pub fn new(spec: Spec) -> io::Result<Self> {
        Ok(Self(Arc::new(State::new(spec)?)))
    }

    /// Returns the caller's end of a new connection.
    pub fn connect(&self) -> tokio::io::DuplexStream {
        let (near, far) = tokio::io::duplex(4096);
        let state = Arc::clone(&self.0);
        tokio::spawn(async move { call::serve(&state, &mut Connection::new(far)).await });
        near
    }

    /// Returns the calls that the vendor has seen.
    pub fn calls(&self) -> Calls {
        self.0.lock().journal.after(0)
    }

    /// Returns the number of calls in service.
    pub fn in_service(&self) -> usize {
        self.0.lock().gate.in_service()
    }
}
