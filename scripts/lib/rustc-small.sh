#!/bin/sh
# Stands before rustc in the Wasm build with a nightly Rust: no source paths and no Debug forms in the Wasm: a panic tells its message
# alone. They are a tenth of it,
# and the paths are those of the machine that built it. SLUICE_RUSTC_FLAGS holds more flags, parted by blanks.
case " $* " in
  *" wasm32-unknown-unknown "*) exec "$@" -Zlocation-detail=none -Zfmt-debug=none $SLUICE_RUSTC_FLAGS ;;
  *) exec "$@" ;;
esac
