//! Writes that depend on what is there: the condition is evaluated on a state, and the write takes place only if that
//! is still the state, which the index decides.

use wolfdisk_client::{Error as VolumeError, Expected, NewObject, Object, ObjectKey};
use wolfdisk_common::ids::Ino;

use super::Store;
use super::upload::Received;
use super::view::View;
use crate::condition::{Conditions, Purpose, Verdict};
use crate::error::{Failure, Result};
use crate::limits::CONDITION_ATTEMPTS;
use crate::stored::Stored;

impl Store {
    /// Puts content at a key if the conditions hold, whole and durable.
    ///
    /// # Errors
    /// They do not; what the volume gave.
    pub async fn publish(
        &self,
        root: Ino,
        key: &ObjectKey,
        content: &Received,
        stored: &Stored,
        conditions: &Conditions,
    ) -> Result<Object> {
        let new = self.new_object(stored.encode()?);
        if conditions.is_empty() {
            return self
                .publish_if(root, key, content, new, Expected::Anything)
                .await;
        }
        for _ in 0..CONDITION_ATTEMPTS {
            let expected = self.expected(root, key, conditions).await?;
            let done = self
                .publish_if(root, key, content, new.clone(), expected)
                .await;
            match done {
                Err(Failure::Volume(VolumeError::Changed)) => {}
                other => return other,
            }
        }
        Err(Failure::Contended)
    }

    async fn publish_if(
        &self,
        root: Ino,
        key: &ObjectKey,
        content: &Received,
        new: NewObject,
        expected: Expected,
    ) -> Result<Object> {
        let (key, content) = (key.clone(), content.clone());
        self.run(move |volume| Ok(volume.publish(root, &key, content.content(), new, expected)?))
            .await
    }

    /// Removes what is at a key, if the conditions hold. That there is nothing is no failure.
    ///
    /// # Errors
    /// They do not hold; what the volume gave.
    pub async fn remove(&self, root: Ino, key: &ObjectKey, conditions: &Conditions) -> Result<()> {
        for _ in 0..CONDITION_ATTEMPTS {
            let expected = match conditions.is_empty() {
                true => Expected::Anything,
                false => self.expected(root, key, conditions).await?,
            };
            let key = key.clone();
            let removed = self
                .run(move |volume| Ok(volume.remove_object(root, &key, expected)?))
                .await;
            match removed.map_err(Failure::missing_if_impossible) {
                Err(Failure::Volume(VolumeError::Changed)) => {}
                Ok(_) | Err(Failure::NoSuchKey) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
        Err(Failure::Contended)
    }

    /// The state on which the conditions hold.
    async fn expected(
        &self,
        root: Ino,
        key: &ObjectKey,
        conditions: &Conditions,
    ) -> Result<Expected> {
        let view = match self.find(root, key.clone()).await? {
            Some(object) => Some(View::of(&object)?),
            None => None,
        };
        let current = view.as_ref().map(View::current);
        match conditions.evaluate(current.as_ref(), Purpose::Write) {
            Verdict::Proceed => Ok(view.map_or(Expected::Absent, |view| view.expected())),
            Verdict::Missing => Err(Failure::NoSuchKey),
            Verdict::Failed | Verdict::NotModified => Err(Failure::PreconditionFailed),
        }
    }

    /// Changes what is kept of an object, whatever its content is.
    ///
    /// # Errors
    /// There is no object; what `change` gives cannot be kept.
    pub async fn change(
        &self,
        root: Ino,
        key: &ObjectKey,
        change: impl Fn(&mut Stored),
    ) -> Result<()> {
        for _ in 0..CONDITION_ATTEMPTS {
            let object = self.object(root, key.clone()).await?;
            let mut stored = View::of(&object)?.stored;
            change(&mut stored);
            let (ino, version) = (object.attr.ino, object.attr.attr_version);
            let s3 = stored.encode()?.into();
            let done = self
                .run(move |volume| Ok(volume.set_object(ino, Some(version), Some(s3), true)?))
                .await;
            match done {
                Err(Failure::Volume(VolumeError::Changed)) => {}
                Err(failure) => return Err(failure.missing_if_impossible()),
                Ok(_) => return Ok(()),
            }
        }
        Err(Failure::Contended)
    }
}
