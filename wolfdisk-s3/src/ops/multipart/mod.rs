//! Objects that are put in parts.
//!
//! An upload in progress is a file without content in the gateways' own tree, below the number of its bucket's
//! directory, and what S3 keeps of it says which key it is for. Its parts are files in a folder named for the upload.
//! So any gateway can go on with any upload, and a part is as durable as an object. Completing shares the extents of
//! the parts. An upload ends when its own file goes; its parts follow, or are swept later.

mod abandoned;
mod begin;
mod complete;
mod listing;
mod part;
mod sweep;

use uuid::Uuid;
use wolfdisk_client::ObjectKey;
use wolfdisk_common::ids::Ino;

use super::Gateway;
use crate::error::{Failure, Result};
use crate::limits::PARTS_MAX;
use crate::store::view::View;
use crate::stored::UploadOf;

pub use sweep::sweep;

/// Where uploads are, in the gateways' own tree.
const UPLOADS: &str = "s3/uploads";
/// Where parts are.
const PARTS: &str = "s3/parts";

/// The name of an upload, which only who began it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UploadId(String);

impl UploadId {
    fn new() -> UploadId {
        UploadId(Uuid::new_v4().simple().to_string())
    }

    fn parse(text: &str) -> Result<UploadId> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 32 && text.bytes().all(digit) {
            true => Ok(UploadId(text.to_owned())),
            false => Err(Failure::NoSuchUpload),
        }
    }

    /// Of the upload's own file.
    fn place(&self, bucket: Ino) -> Result<ObjectKey> {
        own_key(&format!("{}{}", uploads_of(bucket), self.0))
    }

    /// What all its parts' keys begin with.
    fn parts(&self) -> String {
        format!("{PARTS}/{}/", self.0)
    }

    /// Of a part.
    fn part(&self, number: u16) -> Result<ObjectKey> {
        own_key(&format!("{}{number:05}", self.parts()))
    }
}

/// What the keys of all uploads of a bucket begin with.
fn uploads_of(bucket: Ino) -> String {
    format!("{UPLOADS}/{:016x}/", bucket.0)
}

/// A key in the gateways' own tree.
fn own_key(text: &str) -> Result<ObjectKey> {
    Ok(ObjectKey::parse(text.as_bytes())?)
}

/// The number of a part.
fn part_number(number: i32) -> Result<u16> {
    let number = u16::try_from(number)
        .ok()
        .filter(|number| (1..=PARTS_MAX).contains(number));
    number.ok_or(Failure::Argument("part numbers are from 1 to 10000"))
}

/// An upload that is there.
#[derive(Debug)]
struct Upload {
    id: UploadId,
    bucket: Ino,
    system: Ino,
    view: View,
    of: UploadOf,
}

impl Gateway {
    /// The upload of a request.
    ///
    /// # Errors
    /// There is none, or it is of another key.
    async fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload> {
        let bucket = self.store.bucket(bucket).await?;
        let id = UploadId::parse(id)?;
        let system = self.store.system_root().await?;
        let found = self.store.find(system, id.place(bucket)?).await?;
        let view = View::of(&found.ok_or(Failure::NoSuchUpload)?)?;
        let of = view.stored.upload.clone().filter(|of| of.key == key);
        let of = of.ok_or(Failure::NoSuchUpload)?;
        Ok(Upload {
            id,
            bucket,
            system,
            view,
            of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_we_made_and_nothing_else_reaches_the_tree() {
        let id = UploadId::new();
        assert_eq!(UploadId::parse(&id.0).expect("ours"), id);
        for bad in [
            "",
            "..",
            "../../x",
            &"g".repeat(32),
            &"A".repeat(32),
            &"a".repeat(33),
            "a/b",
        ] {
            assert!(
                matches!(UploadId::parse(bad), Err(Failure::NoSuchUpload)),
                "{bad}"
            );
        }
        let id = UploadId("a".repeat(32));
        let place = id.place(Ino(255)).expect("a key").to_string();
        assert_eq!(place, format!("s3/uploads/00000000000000ff/{}", id.0));
        assert_eq!(
            id.part(7).expect("a key").to_string(),
            format!("s3/parts/{}/00007", id.0)
        );
    }

    #[test]
    fn part_numbers_are_from_1_to_10000() {
        assert!(part_number(1).is_ok() && part_number(10_000).is_ok());
        for bad in [0, -1, 10_001, i32::MAX] {
            assert!(part_number(bad).is_err());
        }
    }
}
