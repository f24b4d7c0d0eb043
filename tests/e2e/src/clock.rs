//! A wall clock that a test can move, for one instance. Only the wall clock moves; timers stay as
//! they are.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clock. It exists as long as the folder of its files does.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    step: PathBuf,
    offset_ms: i64,
}

impl Clock {
    /// Makes a clock with its files in this folder, or says what is missing on this machine.
    pub fn build(folder: &Path) -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("they need Linux".to_owned());
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clock.c");
        let library = folder.join("clock.so");
        let made = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).output();
        match made {
            Ok(made) if made.status.success() => {
                let clock = Self { library, step: folder.join("step"), offset_ms: 0 };
                clock.write();
                Ok(clock)
            }
            Ok(made) => Err(format!("cc says {}", String::from_utf8_lossy(&made.stderr))),
            Err(why) => Err(format!("there is no C compiler: {why}")),
        }
    }

    /// Returns the arguments of `env` with which a program uses this clock.
    pub fn settings(&self) -> String {
        format!("LD_PRELOAD='{}' CLOCK_STEP_FILE='{}'", self.library.display(), self.step.display())
    }

    /// Moves the clock forward by this many milliseconds, or back if they are negative.
    pub fn turn(&mut self, ms: i64) {
        self.offset_ms += ms;
        self.write();
    }

    /// Writes in place, since the file is mapped into the instance.
    fn write(&self) {
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&self.step);
        let written = open.and_then(|mut file: File| file.write_all(&self.offset_ms.to_le_bytes()));
        written.expect("the clock's step");
    }
}

/// Writes a script that is started in place of a program: it runs `first`, and then the program
/// with these settings.
pub fn wrap(program: &Path, first: &str, settings: &str, script: &Path) {
    let text = format!("#!/bin/sh\n{first}\nexec env {settings} '{}' \"$@\"\n", program.display());
    std::fs::write(script, text).expect("the wrapper");
    let made = Command::new("chmod").arg("+x").arg(script).status();
    assert!(made.is_ok_and(|status| status.success()), "chmod failed");
}
