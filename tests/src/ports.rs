//! Ports of this machine for daemons of tests.

use std::net::TcpListener;

/// From the address of wolfdisk-meta's health to that of wolfdisk-s3.
const ADMIN_DISTANCE: u16 = 3;

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
