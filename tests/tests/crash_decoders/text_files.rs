//! The files that people may read: format, identity and keys of a data directory, and the configuration. The first
//! byte of an input says which it is.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use wolfdisk_common::access_key::AccessKey;
use wolfdisk_common::config::{Arguments, Config, example};
use wolfdisk_common::identity::Identity;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_tests::Scratch;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

const IDENTITY: &str = "node = \"node-1\"\nnumber = 1\n\
    volume = \"6d5b1b0e-7c5e-4b3c-9d55-0f8a6c1e2b3d\"\ncreated_s = 1760000000\n\
    check = \"ec3583141aaa79c4\"\n";
const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
const ACCESS_KEY: &str = "access_key = \"ABCDEFGHIJKLMNOP2345\"\n\
    secret_key = \"0123456789abcdefghijABCDEFGHIJ0123456789\"\n";
const SETTINGS: &str = "[log]\nlevel = \"debug\"\n[scrub]\ninterval_hours = 5\n";

#[test]
fn text_files_are_read_or_refused() {
    fuzz(&Target {
        name: "text",
        seeds,
        reseal: |bytes| {
            if let Some(which) = bytes.first_mut() {
                *which %= 5;
            }
        },
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check: |bytes| PLACE.with(|place| place.get_or_init(Place::new).check(bytes)),
    });
}

thread_local! {
    static PLACE: OnceCell<Place> = const { OnceCell::new() };
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        (0, "wolfdisk data format 1\n".to_owned()),
        (1, KEY.to_owned()),
        (2, IDENTITY.to_owned()),
        (3, example()),
        (3, SETTINGS.to_owned()),
        (4, ACCESS_KEY.to_owned()),
    ];
    let tagged = texts.map(|(which, text)| [&[which][..], text.as_bytes()].concat());
    tagged.to_vec()
}

/// A data directory.
struct Place {
    scratch: Scratch,
    paths: Paths,
}

impl Place {
    fn new() -> Place {
        let scratch = Scratch::new();
        let paths = Paths::new(scratch.path().join("data"));
        let node = NodeId::parse("node-1").expect("a name");
        Identity::init(&paths, node).expect("a data directory");
        put(&paths.cluster_key(), KEY.as_bytes());
        put(&paths.identity(), IDENTITY.as_bytes());
        Place { scratch, paths }
    }

    fn check(&self, bytes: &[u8]) -> bool {
        let Some((which, text)) = bytes.split_first() else {
            return false;
        };
        let config = self.scratch.path().join("config.toml");
        let path = match which {
            0 => self.paths.format(),
            1 => self.paths.cluster_key(),
            2 => self.paths.identity(),
            3 => config,
            4 => self.paths.access_key(),
            _ => return false,
        };
        let before = fs::read(&path).ok();
        put(&path, text);
        if *which == 4 {
            return AccessKey::load(&self.paths).is_ok();
        }
        if *which == 3 {
            let arguments = Arguments {
                config: Some(path),
                data_dir: Some("/data".into()),
                mount: Some("/mount".into()),
            };
            return Config::load(&arguments).is_ok();
        }
        let loaded = Identity::load(&self.paths);
        put(&path, &before.expect("it was initialised"));
        loaded.is_ok()
    }
}

fn put(path: &PathBuf, bytes: &[u8]) {
    // A file that is cut to nothing and written again is flushed by ext4 when it is closed.
    let _ = fs::remove_file(path);
    fs::write(path, bytes).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
}
