//! What happens when the Wasm panics: it is logged, and only the call it happened in fails (the
//! build unwinds). A build for tests can be made to panic.

/// Logs every panic with its stack, and then calls the hook that was there before: that of
/// `worker`, where it has run its own start already. If `worker` starts later it calls this hook in
/// turn, so that both run in either order.
pub fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        console_error_panic_hook::hook(info);
        before(info);
    }));
}

/// Panics if the path is the trigger. The callers stand at the worst places for a panic: where a
/// permit is held, and other calls are in flight in the same isolate or object.
#[cfg(feature = "panic-trigger")]
#[allow(clippy::panic)]
pub fn panic_if_asked(path: &str, trigger: &str) {
    if path == trigger {
        panic!("asked to, by a path that only a build for tests knows");
    }
}
