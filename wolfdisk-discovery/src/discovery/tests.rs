//! Over the loopback of this machine.

use std::net::Ipv4Addr;

use wolfdisk_common::node_id::NodeId;

use super::*;
use crate::beacon::tests::{key, presence};
use crate::interfaces::{Interface, SystemInterfaces};

/// The loopback alone, or nothing.
struct Loopback(Arc<AtomicBool>);

impl Interfaces for Loopback {
    fn list(&self) -> io::Result<Vec<Interface>> {
        let all = SystemInterfaces.list()?.into_iter();
        let there = self.0.load(Ordering::Acquire);
        Ok(all.filter(|one| one.loopback && there).collect())
    }
}

fn plugged() -> Box<Loopback> {
    Box::new(Loopback(Arc::new(AtomicBool::new(true))))
}

fn group(port: u16) -> config::Discovery {
    config::Discovery::Multicast(SocketAddrV4::new(Ipv4Addr::new(239, 255, 77, 2), port))
}

fn trust() -> Trust {
    Trust {
        cluster: Some(presence("a", 0, 0).cluster),
        key: Some(key()),
    }
}

fn node(name: &str, port: u16, interfaces: Box<Loopback>) -> Discovery {
    let announcer = Announcer {
        myself: Myself {
            node: NodeId::parse(name).expect("an id"),
            start: random().expect("a number"),
        },
        cluster: presence("a", 0, 0).cluster,
        key: key(),
        about: Box::new(|| Some(presence("a", 0, 0).about)),
    };
    Discovery::start(group(port), trust(), Some(announcer), interfaces).expect("started")
}

fn member(port: u16) -> Discovery {
    let hints = Trust {
        key: None,
        ..trust()
    };
    Discovery::start(group(port), hints, None, plugged()).expect("started")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn until(mut what: impl FnMut() -> bool) {
    let deadline = soon();
    while !what() {
        assert!(Instant::now() < deadline, "it does not come to be");
        std::thread::yield_now();
    }
}

#[test]
fn who_belongs_to_nobody_hears_that_there_is_somebody() {
    let start = || Discovery::start(group(39_517), Trust::default(), None, plugged());
    let lone = start().expect("started");
    let moment = Instant::now() + Duration::from_millis(50);
    assert_eq!(lone.view().wait_for_anybody(moment), None);
    let _alpha = node("alpha", 39_517, plugged());
    let heard = lone.view().wait_for_anybody(soon()).expect("somebody");
    assert_eq!((heard.node.as_str(), heard.own), ("alpha", false));
    assert!(lone.view().addresses().is_empty(), "it is none of its");
}

#[test]
fn members_and_nodes_find_each_other() {
    let (alpha, desk) = (node("alpha", 39_511, plugged()), member(39_511));
    assert!(desk.view().wait(soon()));
    assert_eq!(
        desk.view().addresses(),
        [(Ipv4Addr::LOCALHOST, 9500).into()]
    );
    let beta = node("beta", 39_511, plugged());
    until(|| {
        desk.view().sights().len() == 2
            && alpha.view().sights().len() == 1
            && beta.view().sights().len() == 1
    });
    // Nodes do not see themselves, and those who only listen are not seen.
    assert_eq!(alpha.view().sights()[0].node.as_str(), "beta");
    assert!(alpha.view().troubles().is_empty() && alpha.view().counts().forged == 0);
}

#[test]
fn two_nodes_of_one_name_notice() {
    let (one, two) = (
        node("alpha", 39_512, plugged()),
        node("alpha", 39_512, plugged()),
    );
    until(|| !one.view().troubles().is_empty() && !two.view().troubles().is_empty());
    assert!(one.view().troubles()[0].contains("also runs as node alpha"));
}

#[test]
fn an_interface_that_comes_later_is_used() {
    let there = Arc::new(AtomicBool::new(false));
    let alpha = node("alpha", 39_513, Box::new(Loopback(Arc::clone(&there))));
    let desk = member(39_513);
    assert!(
        !desk
            .view()
            .wait(Instant::now() + Duration::from_millis(300))
    );
    there.store(true, Ordering::Release);
    assert!(desk.view().wait(soon()));
    drop(alpha);
}

#[test]
fn without_a_group_nothing_is_opened() {
    let none = Discovery::start(config::Discovery::None, trust(), None, plugged());
    let none = none.expect("started");
    assert!(!none.is_listening());
    assert!(!none.view().wait(Instant::now()) && none.view().sights().is_empty());
}
