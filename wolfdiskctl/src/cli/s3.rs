//! The command line of `s3`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wolfdisk_common::access_key::record::KeyName;
use wolfdisk_common::bucket::BucketName;

/// `s3`.
#[derive(Debug, Subcommand)]
pub enum S3 {
    /// Access keys: who may do what
    #[command(subcommand)]
    Key(Key),
    /// Buckets that are folders elsewhere than at the top
    #[command(subcommand)]
    Bucket(Bucket),
}

/// `s3 key`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key and print it, with its secret, this once
    Create(CreateKey),
    /// List the keys, without their secrets
    List,
    /// Delete a key; within a second nothing is done with it any more
    Delete {
        /// The access key
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// `s3 key create`.
#[derive(Debug, Args)]
pub struct CreateKey {
    /// What to call it, for people
    #[arg(long, value_name = "NAME", value_parser = key_name)]
    pub name: Option<KeyName>,
    /// It may read and change nothing
    #[arg(long)]
    pub read_only: bool,
    /// It may use this bucket and no other; give it again for more [default: all buckets]
    #[arg(long = "bucket", value_name = "BUCKET", value_parser = bucket_name)]
    pub buckets: Vec<BucketName>,
}

/// `s3 bucket`.
#[derive(Debug, Subcommand)]
pub enum Bucket {
    /// Make a folder a bucket under a name of its own
    Map {
        /// Name of the bucket
        #[arg(value_name = "NAME", value_parser = bucket_name)]
        name: BucketName,
        /// The folder, from the root of the volume, as photos/2026
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// Let a mapped bucket go; the folder and all that is in it stay
    Unmap {
        /// Name of the bucket
        #[arg(value_name = "NAME", value_parser = bucket_name)]
        name: BucketName,
    },
    /// List the mapped buckets
    List,
}

fn key_name(text: &str) -> Result<KeyName, &'static str> {
    KeyName::parse(text).ok_or("a name has at most 64 bytes and no control characters")
}

fn bucket_name(text: &str) -> Result<BucketName, &'static str> {
    BucketName::parse(text)
        .ok_or("a bucket's name has 3 to 63 of a-z, 0-9, - and ., by the rules of S3")
}
