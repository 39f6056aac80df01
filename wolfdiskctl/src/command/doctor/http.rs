//! One question over HTTP, of a server on this machine.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For each step of it.
const DEADLINE: Duration = Duration::from_secs(3);
/// The longest answer that is of interest: the numbers of a daemon are a tenth of it.
const ANSWER_MAX_BYTES: u64 = 1 << 20;

/// The status and the body of what `address` answers at `path`.
///
/// # Errors
/// Nobody answers in time, or not by HTTP.
pub(super) fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let mut words = head.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    match (is_http, status) {
        (true, Some(status)) => Ok((status, body.to_owned())),
        _ => Err(invalid()),
    }
}

/// A connection to somebody who listens there.
///
/// # Errors
/// Nobody does.
pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&reachable(address), DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Where somebody is reached on this machine who listens at an address: all of them include loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    fn answer(text: &'static str) -> io::Result<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("asked");
            let mut asked = String::new();
            let mut lines = BufReader::new(&stream);
            while !asked.ends_with("\r\n\r\n") {
                lines.read_line(&mut asked).expect("a question");
            }
            stream.write_all(text.as_bytes()).expect("answered");
        });
        let got = get(address, "/metrics");
        server.join().expect("it answered");
        got
    }

    #[test]
    fn an_answer_is_read_and_what_is_none_is_refused() {
        let (status, body) = answer("HTTP/1.1 403 Forbidden\r\na: b\r\n\r\nno").expect("HTTP");
        assert_eq!((status, body.as_str()), (403, "no"));
        assert!(answer("SSH-2.0\r\n\r\n").is_err());
    }
}
