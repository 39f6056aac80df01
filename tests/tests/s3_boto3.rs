//! Everything that the S3 endpoint does, and how it refuses, asked by boto3 with its defaults: the suite is in `tests/s3`,
//! one file for each family of promises.

use std::process::Command;

use wolfdisk_tests::{as_client, node_with_s3, suite};

#[test]
fn the_suite_of_boto3_passes() {
    let node = node_with_s3();
    let mut python = Command::new("python");
    python.args(["-B", "-m", "unittest", "discover", "--start-directory"]);
    let outcome = as_client(python.arg(suite("s3")), &node);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    node.must_be_whole();
}
