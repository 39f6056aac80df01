//! Who has no business in a cluster, and members that ask for what is not theirs, on the wire against a node's real
//! daemons: they get nothing, harm nobody, and are counted.

mod beacons;
mod floods;
mod keys;
mod raw;
mod recorded;
mod removed;
mod restricted;
