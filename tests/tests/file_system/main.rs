//! What a mounted volume does, seen through system calls: a node of its own for every test, with real
//! daemons and a real mount. Needs root, and python3 for what Rust cannot call safely.

#![forbid(unsafe_code)]

mod attributes;
mod coherence;
mod data;
mod harness;
mod life;
mod locks;
mod names;
