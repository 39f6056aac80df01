//! Ports of this machine for daemons of tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// From the address of wolfdisk-meta's health to that of wolfdisk-s3.
const ADMIN_DISTANCE: u16 = 3;
/// Where those of nodes begin, and for how many nodes there are some.
const FIRST_PORT: u16 = 20_000;
const SLOTS: u32 = 3000;

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The settings with which wolfdisk-s3 says how it is at a port.
pub fn s3_admin_at(port: u16) -> String {
    let meta = port - ADMIN_DISTANCE;
    format!("[admin]\nbind = \"127.0.0.1:{meta}\"\n")
}

/// The first of the ports where the daemons of a node say how they are; nobody has them just now. They are below those
/// that the system gives to connections, and no two nodes of a process are given the same.
pub fn free_admin_ports() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let turn = GIVEN.fetch_add(1, Ordering::Relaxed);
        let slot = std::process::id().wrapping_mul(64).wrapping_add(turn) % SLOTS;
        let slot = u16::try_from(slot).expect("few slots");
        let base = FIRST_PORT + slot * (ADMIN_DISTANCE + 1);
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (base..=base + ADMIN_DISTANCE).all(is_free) {
            return base;
        }
    }
}
