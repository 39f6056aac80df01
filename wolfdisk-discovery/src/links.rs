//! The sockets: for each interface and family one that hears the group, and one with a port of its own that speaks to it
//! and hears answers. So that several programs of one machine all hear, and each gets its own answers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::interfaces::Interface;

/// One interface in one family, as long as nothing of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    V4 { index: u32, address: Ipv4Addr },
    V6 { index: u32 },
}

/// The sockets of one [`Place`].
#[derive(Debug)]
pub struct Link {
    place: Place,
    group: SocketAddr,
    listener: UdpSocket,
    speaker: UdpSocket,
}

impl Link {
    fn open(place: Place, group: SocketAddrV4) -> io::Result<Link> {
        let (domain, group, own): (_, SocketAddr, SocketAddr) = match place {
            Place::V4 { address, .. } => (Domain::IPV4, group.into(), (address, 0).into()),
            Place::V6 { index } => {
                let ip = v6_group(*group.ip());
                let group = SocketAddrV6::new(ip, group.port(), 0, index);
                (
                    Domain::IPV6,
                    group.into(),
                    (Ipv6Addr::UNSPECIFIED, 0).into(),
                )
            }
        };
        let socket = || -> io::Result<Socket> {
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let (listener, speaker) = (socket()?, socket()?);
        // Not SO_REUSEPORT: that is for programs of one user only.
        listener.set_reuse_address(true)?;
        match (&place, group) {
            (Place::V4 { index, address }, SocketAddr::V4(v4)) => {
                listener.set_multicast_all_v4(false)?;
                listener.bind(&group.into())?;
                let interface = InterfaceIndexOrAddress::Index(*index);
                listener.join_multicast_v4_n(v4.ip(), &interface)?;
                speaker.set_multicast_if_v4(address)?;
                speaker.set_multicast_loop_v4(true)?;
                speaker.set_multicast_ttl_v4(1)?;
            }
            (Place::V6 { index }, SocketAddr::V6(v6)) => {
                listener.set_only_v6(true)?;
                listener.bind(&group.into())?;
                listener.join_multicast_v6(v6.ip(), *index)?;
                speaker.set_only_v6(true)?;
                speaker.set_multicast_if_v6(*index)?;
                speaker.set_multicast_loop_v6(true)?;
                speaker.set_multicast_hops_v6(1)?;
            }
            (Place::V4 { .. }, _) | (Place::V6 { .. }, _) => {
                unreachable!("a place has a group of its family")
            }
        }
        speaker.bind(&own.into())?;
        Ok(Link {
            place,
            group,
            listener: listener.into(),
            speaker: speaker.into(),
        })
    }

    /// Speaks to all.
    ///
    /// # Errors
    /// The interface does not take it.
    pub fn tell_all(&self, datagram: &[u8]) -> io::Result<()> {
        self.tell(self.group, datagram)
    }

    /// Speaks to one.
    ///
    /// # Errors
    /// As above.
    pub fn tell(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.speaker.send_to(datagram, to).map(|_| ())
    }

    /// Both sockets, for whoever waits.
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.listener.as_fd(), self.speaker.as_fd()]
    }

    /// The next datagram that has come, if any: its length, which is that of `room` if it was longer.
    ///
    /// # Errors
    /// The interface is gone, or an answer came to nowhere.
    pub fn receive(&self, room: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        for socket in [&self.speaker, &self.listener] {
            match socket.recv_from(room) {
                Ok(received) => return Ok(Some(received)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The IPv6 group of an IPv4 one: of the link only, for the time being, and its own for each.
pub fn v6_group(v4: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = v4.octets().map(u16::from);
    Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0x5744, a << 8 | b, c << 8 | d)
}

/// All links.
#[derive(Debug, Default)]
pub struct Links {
    links: Vec<Link>,
    /// Places that could not be opened, to say so once.
    deaf: Vec<Place>,
}

impl Links {
    /// Opens what is new and closes what is gone. Tells whether any was opened, and how many could not be.
    pub fn follow(&mut self, interfaces: &[Interface], group: SocketAddrV4) -> (bool, u64) {
        let places: Vec<Place> = interfaces.iter().flat_map(places).collect();
        self.links.retain(|link| places.contains(&link.place));
        self.deaf.retain(|place| places.contains(place));
        let (mut opened, mut failed) = (false, 0);
        for place in places {
            if self.links.iter().any(|link| link.place == place) {
                continue;
            }
            match Link::open(place.clone(), group) {
                Ok(link) => {
                    tracing::debug!(?place, "listening for nodes");
                    self.deaf.retain(|deaf| *deaf != place);
                    self.links.push(link);
                    opened = true;
                }
                Err(error) => {
                    failed += 1;
                    if !self.deaf.contains(&place) {
                        tracing::warn!(?place, %group, %error, "cannot listen for nodes there");
                        self.deaf.push(place);
                    }
                }
            }
        }
        (opened, failed)
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }
}

fn places(interface: &Interface) -> impl Iterator<Item = Place> {
    let index = interface.index;
    let v4 = interface.v4.first().map(|address| Place::V4 {
        index,
        address: *address,
    });
    let v6 = interface.v6 && !interface.loopback;
    v4.into_iter().chain(v6.then_some(Place::V6 { index }))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::interfaces::{Interfaces, SystemInterfaces};

    fn loopback() -> Interface {
        let all = SystemInterfaces.list().expect("a list");
        all.into_iter()
            .find(|one| one.loopback)
            .expect("a loopback")
    }

    fn group(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(239, 255, 77, 1), port)
    }

    fn hear(links: &Links) -> (Vec<u8>, SocketAddr) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut room = [0; 64];
        while Instant::now() < deadline {
            for link in links.iter() {
                if let Some((length, from)) = link.receive(&mut room).expect("heard") {
                    return (room[..length].to_vec(), from);
                }
            }
            std::thread::yield_now();
        }
        panic!("nothing was heard");
    }

    #[test]
    fn several_programs_hear_and_each_gets_its_own_answers() {
        let mut programs: [Links; 3] = Default::default();
        for links in &mut programs {
            assert_eq!(links.follow(&[loopback()], group(39_501)), (true, 0));
            assert_eq!(links.follow(&[loopback()], group(39_501)), (false, 0));
        }
        let [first, second, third] = &programs;
        for link in first.iter() {
            link.tell_all(b"question").expect("sent");
        }
        for hearer in [second, third] {
            let (text, from) = hear(hearer);
            assert_eq!(text, b"question");
            for link in hearer.iter() {
                link.tell(from, b"answer").expect("sent");
            }
        }
        let heard: Vec<_> = (0..3).map(|_| hear(first).0).collect();
        let answers = heard.iter().filter(|text| *text == b"answer").count();
        assert_eq!(answers, 2, "{heard:?}");
    }

    #[test]
    fn an_interface_that_goes_is_let_go() {
        let mut links = Links::default();
        links.follow(&[loopback()], group(39_502));
        assert_eq!(links.iter().count(), 1);
        let other = Interface {
            v4: vec![Ipv4Addr::new(127, 0, 0, 2)],
            ..loopback()
        };
        assert_eq!(links.follow(&[other], group(39_502)), (true, 0));
        assert_eq!(links.iter().count(), 1);
        let gone = Interface {
            index: 1_000_000,
            ..loopback()
        };
        assert_eq!(
            links.follow(std::slice::from_ref(&gone), group(39_502)),
            (false, 1)
        );
        assert_eq!(links.follow(&[gone], group(39_502)), (false, 1));
        assert_eq!(links.follow(&[], group(39_502)), (false, 0));
        assert_eq!((links.iter().count(), links.deaf.len()), (0, 0));
    }

    #[test]
    fn each_group_has_one_of_ipv6() {
        let default = v6_group(Ipv4Addr::new(239, 255, 0, 1));
        assert_eq!(default.to_string(), "ff12::5744:efff:1");
        assert_ne!(default, v6_group(Ipv4Addr::new(239, 255, 0, 2)));
    }
}
