//! `s3 key create`, `list`, `delete`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::Serialize;
use wolfdisk_client::{Content, Expected, Volume};
use wolfdisk_common::access_key::AccessKey;
use wolfdisk_common::access_key::record::{self, KeyName, KeyRecord, Seal};
use wolfdisk_common::access_key::rights::Rights;
use wolfdisk_common::bucket::BucketName;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::Config;
use wolfdisk_common::identity::IdentityError;

use crate::cli::s3::{CreateKey, Key};
use crate::command::standing::Standing;
use crate::command::status::when;
use crate::error::CtlError;
use crate::output::{json, print, say, table};

/// One key in JSON.
#[derive(Debug, Serialize)]
struct Shown {
    access_key: String,
    name: String,
    read_only: bool,
    /// None: all.
    buckets: Option<Vec<String>>,
    created_s: u64,
    /// Whether it opens under this cluster's key.
    usable: bool,
}

/// One that has just been made.
#[derive(Serialize)]
struct Made<'a> {
    access_key: &'a str,
    secret_key: &'a str,
    name: &'a str,
    read_only: bool,
    buckets: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    deleted: &'a str,
}

pub(super) fn run(config: &Config, as_json: bool, what: &Key) -> anyhow::Result<()> {
    match what {
        Key::Create(wanted) => create(config, as_json, wanted),
        Key::List => list(config, as_json),
        Key::Delete { id } => delete(config, as_json, id),
    }
}

fn create(config: &Config, as_json: bool, wanted: &CreateKey) -> anyhow::Result<()> {
    let buckets = match wanted.buckets.as_slice() {
        [] => None,
        named => Some(named.iter().cloned().collect()),
    };
    let rights = Rights::new(wanted.read_only, buckets).map_err(CtlError::Rights)?;
    let seal = seal(config)?;
    let key = AccessKey::draw().map_err(CtlError::Random)?;
    let name = wanted.name.clone().unwrap_or_default();
    let record = KeyRecord::new(&key, name.clone(), now_s(), rights.clone(), &seal)?;
    super::with_volume(config, |volume| keep(volume, &key, &record))?;
    let (id, secret) = (&key.id, key.secret.reveal());
    if as_json {
        print(&json(&Made {
            access_key: id,
            secret_key: secret,
            name: name.as_str(),
            read_only: rights.is_read_only(),
            buckets: names(&rights),
        })?);
    } else {
        print(&format!(
            "export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n"
        ));
        say("the secret is shown this once; whoever has it may do what the key may");
    }
    Ok(())
}

fn keep(volume: &Volume, key: &AccessKey, record: &KeyRecord) -> anyhow::Result<()> {
    let place = record::place(&key.id).ok_or_else(|| CtlError::NoKey(key.id.clone()))?;
    let system = volume.system_root().map_err(CtlError::Volume)?;
    let (nothing, new) = (
        Content::Bytes(bytes::Bytes::new()),
        super::record(record.encode()),
    );
    let done = volume.publish(system, &place, nothing, new, Expected::Absent);
    done.map_err(CtlError::Volume)?;
    Ok(())
}

fn list(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let seal = seal(config)?;
    let found = super::with_volume(config, |volume| Ok(super::records(volume, record::PREFIX)?))?;
    let shown = found.iter().filter_map(|(key, object)| {
        let id = record::id_at(key)?;
        let bytes = object.s3.as_deref().unwrap_or_default();
        Some(Shown::of(id, bytes, &seal))
    });
    let shown: Vec<Shown> = shown.collect();
    if as_json {
        print(&json(&shown)?);
    } else {
        let rows: Vec<Vec<String>> = shown.iter().map(Shown::row).collect();
        print(&table(
            &["access key", "name", "may", "buckets", "made"],
            &rows,
        ));
    }
    Ok(())
}

fn delete(config: &Config, as_json: bool, id: &str) -> anyhow::Result<()> {
    let missing = || CtlError::NoKey(id.to_owned());
    let place = record::place(id).ok_or_else(missing)?;
    super::remove(config, &place, missing())?;
    match as_json {
        true => print(&json(&Deleted { deleted: id })?),
        false => say(&format!("deleted {id}")),
    }
    Ok(())
}

impl Shown {
    fn of(id: &str, bytes: &[u8], seal: &Seal) -> Shown {
        let read = KeyRecord::decode(bytes);
        // What it may do is only known to be true if the seal holds.
        let usable = read
            .as_ref()
            .is_ok_and(|record| record.open(id, seal).is_ok());
        let (name, rights, created_s) = match read {
            Ok(record) => (record.name, record.rights, record.created_s),
            Err(_) => (KeyName::default(), Rights::READING, 0),
        };
        Shown {
            access_key: id.to_owned(),
            name: name.as_str().to_owned(),
            read_only: rights.is_read_only(),
            buckets: names(&rights),
            created_s,
            usable,
        }
    }

    fn row(&self) -> Vec<String> {
        let may = match (self.usable, self.read_only) {
            (false, _) => "nothing: damaged, or of another cluster",
            (true, true) => "read",
            (true, false) => "read and write",
        };
        let buckets = self.buckets.as_ref();
        let buckets = buckets.map_or("all".to_owned(), |names| names.join(","));
        vec![
            self.access_key.clone(),
            self.name.clone(),
            may.to_owned(),
            buckets,
            when(self.created_s),
        ]
    }
}

fn names(rights: &Rights) -> Option<Vec<String>> {
    let buckets = rights.buckets()?.iter().map(BucketName::to_string);
    Some(buckets.collect())
}

fn seal(config: &Config) -> anyhow::Result<Seal> {
    match Standing::of(config) {
        // There is no key to read, whoever asks.
        Err(error @ (IdentityError::NotInitialised { .. } | IdentityError::NotJoined { .. })) => {
            return Err(error.into());
        }
        Ok(Standing::Member(_)) => {
            return Err(CtlError::NoData(config.node.data_dir.clone()).into());
        }
        Ok(Standing::Node(_)) | Err(_) => {}
    }
    let key = ClusterKey::load(&config.paths());
    let key = key.context(
        "secrets are sealed under the cluster's key; run this as the user who runs the node",
    )?;
    Ok(Seal::new(&key))
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
