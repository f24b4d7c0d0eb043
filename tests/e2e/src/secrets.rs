//! Every secret that the tests made, and the places where none of them may be found when all tests
//! have ended.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static SECRETS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static OUTPUTS: Mutex<Vec<Output>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns 64 bits that differ at every call.
pub fn bits() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// Makes a new secret and remembers it.
pub fn invent(what: &str) -> String {
    let secret = format!("{what}-{:016x}{:016x}", bits(), bits());
    remember(&secret);
    secret
}

/// Remembers a secret.
pub fn remember(secret: &str) {
    remember_bytes(secret.as_bytes().to_vec());
}

/// Remembers a secret that is not text.
pub fn remember_bytes(secret: Vec<u8>) {
    lock(&SECRETS).push(secret);
}

/// Remembers a folder that is searched at the end.
pub fn remember_folder(folder: &Path) {
    lock(&FOLDERS).push(folder.to_owned());
}

/// The output of a process.
#[derive(Debug, Clone)]
pub struct Output {
    whose: PathBuf,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Output {
    /// Makes the output of an instance, which is searched at the end.
    pub fn new(whose: &Path) -> Self {
        let output = Self { whose: whose.to_owned(), bytes: Arc::default() };
        lock(&OUTPUTS).push(output.clone());
        output
    }

    /// Adds bytes.
    pub fn add(&self, bytes: &[u8]) {
        lock(&self.bytes).extend_from_slice(bytes);
    }

    /// Returns all of it so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }
}

/// Returns every place where a secret was found, in words that do not repeat it.
pub fn leaks() -> Vec<String> {
    let secrets = lock(&SECRETS).clone();
    let mut leaks = Vec::new();
    let mut look = |place: String, bytes: &[u8]| {
        for secret in secrets.iter().filter(|secret| contains(bytes, secret)) {
            let shown: String = secret.iter().take(8).map(|byte| char::from(*byte)).collect();
            leaks.push(format!("{place}: a secret that begins with «{}»", shown.escape_default()));
        }
    };
    for folder in lock(&FOLDERS).iter() {
        walk(folder, &mut |path| look(path.display().to_string(), &std::fs::read(path).unwrap_or_default()));
    }
    for output in lock(&OUTPUTS).iter() {
        look(format!("printed by the instance in {}", output.whose.display()), &lock(&output.bytes));
    }
    leaks
}

/// Returns how many secrets, files and bytes of output [`leaks`] searches. A search of nothing
/// would prove nothing.
pub fn scope() -> (usize, usize, usize) {
    let mut files = 0;
    for folder in lock(&FOLDERS).iter() {
        walk(folder, &mut |_| files += 1);
    }
    let printed = lock(&OUTPUTS).iter().map(|output| lock(&output.bytes).len()).sum();
    (lock(&SECRETS).len(), files, printed)
}

/// Returns every line with this text that an instance has printed.
pub fn printed_with(text: &str) -> Vec<String> {
    let outputs = lock(&OUTPUTS).clone();
    let lines = outputs.iter().flat_map(|output| {
        let printed = output.text();
        printed.lines().filter(|line| line.contains(text)).map(str::to_owned).collect::<Vec<_>>()
    });
    lines.collect()
}

/// Removes the remembered folders.
pub fn clean() {
    for folder in lock(&FOLDERS).iter() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Visits every file under a folder.
pub fn walk(folder: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, found) } else { found(&path) }
    }
}

/// Whether bytes contain a secret. It searches for the first byte first, since files of many
/// megabytes are searched for hundreds of secrets.
fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    let Some(first) = secret.first() else { return false };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        if bytes[from + at..].starts_with(secret) {
            return true;
        }
        from += at + 1;
    }
    false
}
