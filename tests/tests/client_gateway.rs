//! Gateways on hosts of their own: the same files as the mounts of others, and nothing on their disks.

use std::fs;
use std::path::Path;

use wolfdisk_tests::{
    Cluster, Daemon, GatewayHost, Host, Lan, Node, Wires, boto3_on, cluster_key, holds,
};

const FULL: &[&str] = &["--no-squash-root"];
const BEGIN: &str = "
import sys, boto3
from botocore.client import Config
def client(url, **settings):
    config = Config(retries={'max_attempts': 1, 'mode': 'standard'}, **settings)
    return boto3.client('s3', endpoint_url=url, region_name='us-east-1', config=config)
S3 = client(sys.argv[1])
";
const PUT: &str = "S3.put_object(Bucket='bucket', Key=sys.argv[2], Body=sys.argv[3].encode())";
const GET: &str = "
print(S3.get_object(Bucket='bucket', Key=sys.argv[2])['Body'].read().decode(), end='')
";
/// 200 at once, half of them through each gateway; all is connected before the first one is sent.
const RACE: &str = "
import threading
from botocore.exceptions import ClientError
gateways = [client(url, max_pool_connections=100) for url in sys.argv[1:3]]
start, said = threading.Barrier(200), []
def create(number):
    s3 = gateways[number % 2]
    s3.head_bucket(Bucket='bucket')
    start.wait(60)
    try:
        s3.put_object(Bucket='bucket', Key='race', Body=str(number).encode(), IfNoneMatch='*')
        said.append(f'200 {number}')
    except ClientError as error:
        said.append(error.response['Error']['Code'])
threads = [threading.Thread(target=create, args=(number,)) for number in range(200)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
refused = [one for one in said if not one.startswith('200 ')]
assert len(said) == 200 and len(refused) == 199, said
assert set(refused) == {'PreconditionFailed'}, set(refused)
[won] = set(said) - set(refused)
print(won.split()[1], end='')
";

struct Office {
    // In this order they end.
    gateways: Vec<GatewayHost>,
    members: Vec<Node>,
    cluster: Cluster,
    key: (String, String),
    lan: Lan,
}

impl Office {
    /// A node on the first host, then hosts with mounts, then hosts with gateways.
    fn of(mounts: u8, gateways: u8) -> Office {
        let lan = Lan::of(1 + mounts + gateways, Wires::default());
        let cluster = Cluster::start_on(&lan.hosts()[0]);
        let key = cluster_key(&cluster);
        fs::create_dir(cluster.node().path("bucket")).expect("made");
        let (first, last) = lan.hosts()[1..].split_at(usize::from(mounts));
        let mount = |(number, host): (usize, &Host)| {
            let data = cluster.joined_on(host, &format!("desk-{number}"), FULL);
            cluster.up_on(host, data)
        };
        let gateway = |(number, host): (usize, &Host)| {
            GatewayHost::start(&cluster, host, &format!("web-{number}"))
        };
        let members = first.iter().enumerate().map(mount).collect();
        let gateways = last.iter().enumerate().map(gateway).collect();
        Office {
            gateways,
            members,
            cluster,
            key,
            lan,
        }
    }

    /// Runs a script on the last host; it must succeed. Gives what it said.
    fn boto3(&self, script: &str, arguments: &[&str]) -> String {
        let host = self.lan.hosts().last().expect("a host");
        let said = boto3_on(host, &self.key, &format!("{BEGIN}{script}"), arguments);
        assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
        said.stdout
    }

    fn put(&self, key: &str, content: &str) {
        self.boto3(PUT, &[&self.gateways[0].url(), key, content]);
    }

    fn get(&self, key: &str) -> String {
        self.boto3(GET, &[&self.gateways[0].url(), key])
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn objects_are_files_of_every_mount_at_once_and_files_objects() {
    let office = Office::of(2, 1);
    let [one, two] = &office.members[..] else {
        panic!("two mounts")
    };
    // Who looked before and found nothing keeps that in its caches.
    for member in [one, two] {
        let missing = fs::metadata(member.path("bucket/object")).expect_err("missing");
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    }
    for content in ["first", "and then something longer", "short"] {
        office.put("object", content);
        assert_eq!(text(&one.path("bucket/object")), content);
        assert_eq!(text(&two.path("bucket/object")), content);
    }
    for (number, content) in ["of one", "of two, which is longer", "x"]
        .iter()
        .enumerate()
    {
        let (writer, reader) = if number == 1 { (two, one) } else { (one, two) };
        fs::write(writer.path("bucket/file"), content).expect("written");
        assert_eq!(&office.get("file"), content);
        assert_eq!(&text(&reader.path("bucket/file")), content);
    }
}

#[test]
fn the_secrets_of_the_cluster_are_on_no_disk_of_a_gateway_which_outlives_its_node() {
    let mut office = Office::of(0, 1);
    office.put("object", "before");
    office.cluster.node().kill(Daemon::Meta);
    assert_eq!(office.get("object"), "before");
    office.cluster.node_mut().crash();
    office.cluster.node_mut().up();
    office.put("object", "after");
    assert_eq!(office.get("object"), "after");
    assert_eq!(text(&office.cluster.node().path("bucket/object")), "after");
    let (gateway, (id, secret)) = (&office.gateways[0], &office.key);
    // It is found where it is.
    assert!(holds(gateway.data(), "web-0"), "it says who it is");
    assert!(!holds(gateway.data(), secret), "a secret is on its disk");
    assert!(!holds(gateway.data(), id), "a key is on its disk");
    assert!(!gateway.log().contains(secret), "a secret was logged");
    let cluster_key = gateway.data().join("cluster.key");
    assert!(!cluster_key.exists(), "it has the cluster's key");
}

#[test]
fn of_many_that_create_one_key_through_two_gateways_one_does() {
    let office = Office::of(0, 2);
    let urls = [office.gateways[0].url(), office.gateways[1].url()];
    let won = office.boto3(RACE, &[&urls[0], &urls[1]]);
    assert_eq!(text(&office.cluster.node().path("bucket/race")), won);
    assert_eq!(office.get("race"), won);
}
