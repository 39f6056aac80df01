//! Objects that are put in parts.
//!
//! An upload in progress is a file without content in the gateways' own tree, below the number of its bucket's
//! directory, and what S3 keeps of it says which key it is for. Its parts are files in a folder named for the upload.
//! So any gateway can go on with any upload, and a part is as durable as an object. Completing shares the extents of
//! the parts. An upload ends when its own file goes; its parts follow, or are swept later (`sweep.rs` says why nothing is
//! lost by that).

mod begin;
mod complete;
mod listing;
mod own;
mod part;
mod sweep;

use uuid::Uuid;
use wolfdisk_client::{Error as VolumeError, ObjectKey};
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

/// An upload: the directory of its bucket, and a name that only who began it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UploadId {
    bucket: Ino,
    name: String,
}

impl UploadId {
    fn new(bucket: Ino) -> UploadId {
        let name = Uuid::new_v4().simple().to_string();
        UploadId { bucket, name }
    }

    fn parse(bucket: Ino, text: &str) -> Result<UploadId> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(Failure::NoSuchUpload);
        }
        let name = text.to_owned();
        Ok(UploadId { bucket, name })
    }

    /// Of the upload's own file, its record.
    fn place(&self) -> Result<ObjectKey> {
        own_key(&format!("{}{}", uploads_of(self.bucket), self.name))
    }

    /// What all its parts' keys begin with.
    fn parts(&self) -> String {
        format!("{}{}/", parts_of(self.bucket), self.name)
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

/// And those of the parts of these.
fn parts_of(bucket: Ino) -> String {
    format!("{PARTS}/{:016x}/", bucket.0)
}

/// The bucket that a folder of uploads, or of parts, is named for.
fn bucket_of(folder: &str) -> Option<Ino> {
    let digits = folder.len() == 16 && folder.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(folder, 16)
        .ok()
        .filter(|_| digits)
        .map(Ino)
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
        let id = UploadId::parse(bucket, id)?;
        let system = self.store.system_root().await?;
        let found = self.store.find(system, id.place()?).await?;
        let view = View::of(&found.ok_or(Failure::NoSuchUpload)?)?;
        let of = view.stored.upload.clone().filter(|of| of.key == key);
        let of = of.ok_or(Failure::NoSuchUpload)?;
        Ok(Upload {
            id,
            system,
            view,
            of,
        })
    }

    /// Says that somebody works on an upload: nobody ends it for having rested too long before it has done so again.
    ///
    /// # Errors
    /// It has ended.
    async fn touch(&self, upload: &Upload) -> Result<()> {
        let ino = upload.view.attr().ino;
        let s3 = upload.view.stored.encode()?.into();
        let touched = self
            .store
            .run(move |volume| Ok(volume.set_object(ino, None, Some(s3), false)?));
        match touched.await {
            Ok(_) => Ok(()),
            Err(Failure::Volume(VolumeError::Refused(libc::ENOENT | libc::ESTALE))) => {
                Err(Failure::NoSuchUpload)
            }
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_we_made_and_nothing_else_reaches_the_tree() {
        let bucket = Ino(255);
        let id = UploadId::new(bucket);
        assert_eq!(UploadId::parse(bucket, &id.name).expect("ours"), id);
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
                matches!(UploadId::parse(bucket, bad), Err(Failure::NoSuchUpload)),
                "{bad}"
            );
        }
        let id = UploadId::parse(bucket, &"a".repeat(32)).expect("a name");
        let place = id.place().expect("a key").to_string();
        assert_eq!(place, format!("s3/uploads/00000000000000ff/{}", id.name));
        assert_eq!(
            id.part(7).expect("a key").to_string(),
            format!("s3/parts/00000000000000ff/{}/00007", id.name)
        );
        assert_eq!(bucket_of("00000000000000ff"), Some(bucket));
        for bad in ["", "ff", "+0000000000000ff", "00000000000000fg"] {
            assert_eq!(bucket_of(bad), None);
        }
    }

    #[test]
    fn part_numbers_are_from_1_to_10000() {
        assert!(part_number(1).is_ok() && part_number(10_000).is_ok());
        for bad in [0, -1, 10_001, i32::MAX] {
            assert!(part_number(bad).is_err());
        }
    }
}
