//! One file, open at two members and changed in turns in every way: each sees at once what the other did.

use wolfdisk_tests::{Cluster, both_see_every_change};

#[test]
fn both_see_every_change_at_once() {
    let cluster = Cluster::start();
    let [one, two] =
        ["one", "two"].map(|name| cluster.up(cluster.joined(name, &["--no-squash-root"])));
    both_see_every_change(one.mount(), two.mount());
}
