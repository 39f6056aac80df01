//! Chunks between nodes: what one stores is read at all, what is put at a follower is stored by the leader, and no failure in
//! between gives a wrong byte or an acknowledgement of what is not there.

mod cluster;
mod puts;
mod reads;
