//! Sluice as a Worker's Wasm. The entry points are those of [`sluice`]; here they are linked, and optimised as one with all they use.

use sluice as _;
