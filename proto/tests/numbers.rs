//! The numbers of frames never change their meaning: a method's number is its place in the `.proto` file,
//! so new methods are added at the end of their service.

use wolfdisk_proto::v1::{CHUNK_METHODS, META_METHODS};

#[test]
fn methods_keep_the_numbers_they_were_released_with() {
    let meta = [
        "open_session",
        "close_session",
        "feed",
        "lookup",
        "get_attr",
        "open",
        "map",
        "read_dir",
        "list_xattr",
        "get_xattr",
        "stat_fs",
        "get_lock",
        "mutate",
        "sync",
        "status",
        "make_room",
        "check",
        "lookup_object",
        "list_keys",
        "issue_token",
        "join",
        "list_members",
        "change_member",
        "gateway_keys",
        "servers",
        "export",
        "raft_append",
        "raft_vote",
        "raft_install",
        "raft_hand_over",
    ];
    let chunk = [
        "hello",
        "put",
        "flush",
        "attach_area",
        "locate",
        "segment",
        "retired",
        "read",
        "advance_epoch",
        "inventory",
        "free",
        "status",
        "compact",
        "scrub",
        "damaged",
        "admit",
        "peers",
    ];
    assert!(META_METHODS.starts_with(&meta), "{META_METHODS:?}");
    assert!(CHUNK_METHODS.starts_with(&chunk), "{CHUNK_METHODS:?}");
}
