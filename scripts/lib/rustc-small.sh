#!/bin/sh
# Stands before rustc in the Wasm build with a nightly Rust: no source paths and no Debug forms in the Wasm: a panic tells its message
# alone. They are a tenth of it, and the paths are those of the machine that built it. SLUICE_RUSTC_FLAGS holds more flags, parted by
# blanks; one with OUT_OF_MEMORY in it is given once for each function that is called when there is no memory left.
small='-Zlocation-detail=none -Zfmt-debug=none'

# Those functions' names, which differ from one standard library to the next, in a library that has or calls them; one a line.
out_of_memory() {
  LC_ALL=C grep -aohE '_RNvNtCs[0-9A-Za-z]+_5alloc(7raw_vec12handle_error|5alloc18handle_alloc_error)' "$@" 2>/dev/null | sort -u
}

flags_for() {
  for flag in $SLUICE_RUSTC_FLAGS; do
    case $flag in
      *OUT_OF_MEMORY*) for name in $1; do echo "$flag" | sed "s/OUT_OF_MEMORY/$name/"; done ;;
      *) echo "$flag" ;;
    esac
  done
}

case " $* " in
  *" wasm32-unknown-unknown "*) ;;
  *) exec "$@" ;;
esac
for argument; do
  case $argument in
    alloc=* | *:alloc=*) alloc=${argument#*alloc=} ;;
  esac
  if [ "$before" = --out-dir ]; then out=$argument; fi
  before=$argument
done
case " $* " in
  # Only when it is compiled are the names in it known: so twice.
  *" --crate-name alloc "*)
    "$@" $small >/dev/null 2>&1
    names=$(out_of_memory "$out"/liballoc-*.rlib)
    ;;
  *) names=$(out_of_memory "${alloc%.*}.rlib") ;;
esac
exec "$@" $small $(flags_for "$names")
