//! The TCP stream of who asks. It waits as long as the call may, and looks meanwhile whether both ends are still where they
//! were: where an address is gone TCP would go on for long.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Targets;
use crate::limits::LOOK_AROUND_INTERVAL;

/// See the module.
pub(super) struct Line {
    stream: TcpStream,
    /// This machine's end ..
    own: SocketAddr,
    /// .. and the other, as it was asked for.
    other: SocketAddr,
    until: Instant,
    targets: Option<Arc<dyn Targets>>,
}

impl Line {
    /// One that waits so long first.
    pub(super) fn new(stream: TcpStream, other: SocketAddr, within: Duration) -> io::Result<Line> {
        stream.set_read_timeout(Some(LOOK_AROUND_INTERVAL))?;
        stream.set_write_timeout(Some(LOOK_AROUND_INTERVAL))?;
        Ok(Line {
            own: stream.local_addr()?,
            stream,
            other,
            until: Instant::now() + within,
            targets: None,
        })
    }

    /// These know who is where.
    pub(super) fn watched_by(&mut self, targets: Arc<dyn Targets>) {
        self.targets = Some(targets);
    }

    /// From now on it waits until then.
    pub(super) fn wait_until(&mut self, until: Instant) {
        self.until = until;
    }

    fn patiently<T>(
        &mut self,
        mut once: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match once(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() >= self.until {
                        return Err(error);
                    }
                    self.look_around()?;
                }
                done => return done,
            }
        }
    }

    fn look_around(&self) -> io::Result<()> {
        let gone = |what| Err(io::Error::new(io::ErrorKind::ConnectionAborted, what));
        if !is_here(self.own) {
            return gone("this machine has left the address that it was connected from");
        }
        let left = |targets: &Arc<dyn Targets>| targets.have_left(self.other);
        if self.targets.as_ref().is_some_and(left) {
            return gone("the node has left the address that it was connected to");
        }
        Ok(())
    }
}

/// Whether an address is this machine's: no other can be bound to.
fn is_here(mut address: SocketAddr) -> bool {
    address.set_port(0);
    match UdpSocket::bind(address) {
        Ok(_) => true,
        // It is a long way from here to a descriptor that is left: such an error says nothing of the address.
        Err(error) => !matches!(
            error.raw_os_error(),
            Some(libc::EADDRNOTAVAIL | libc::ENODEV)
        ),
    }
}

impl Read for Line {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.read(room))
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::Failure;
    use crate::noise::Welcome;

    /// One that may have left.
    #[derive(Default)]
    struct Mover(AtomicBool);

    impl Targets for Mover {
        fn addresses(&self) -> Vec<SocketAddr> {
            Vec::new()
        }

        fn reached(&self, _: SocketAddr, _: &Welcome) {}

        fn failed(&self, _: SocketAddr, _: &Failure) {}

        fn have_left(&self, _: SocketAddr) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn who_waits_for_somebody_who_has_left_is_told() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let stream = TcpStream::connect(address).expect("connected");
        let mut line = Line::new(stream, address, Duration::ZERO).expect("a line");
        let mover = Arc::new(Mover::default());
        line.watched_by(mover.clone());
        let late = line.read(&mut [0]).expect_err("nothing comes");
        assert_eq!(late.kind(), io::ErrorKind::WouldBlock);

        line.wait_until(Instant::now() + Duration::from_secs(600));
        mover.0.store(true, Ordering::Relaxed);
        let told = line.read(&mut [0]).expect_err("it has left");
        assert_eq!(told.kind(), io::ErrorKind::ConnectionAborted);

        mover.0.store(false, Ordering::Relaxed);
        line.own = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 1));
        let told = line.read(&mut [0]).expect_err("this machine has left");
        assert_eq!(told.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn which_addresses_are_here_is_known() {
        assert!(is_here(SocketAddr::from((Ipv4Addr::LOCALHOST, 9))));
        // Of documents, and so of no machine.
        assert!(!is_here(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9))));
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        assert!(!is_here(SocketAddr::from((v6, 9))));
    }
}
