//! What clients ask of a bucket and there is none of here: the answers of S3 where nothing was ever set, which are
//! true. To set it is not implemented.

use s3s::S3Request;
use s3s::dto::*;

use super::Gateway;
use crate::configuration::unset::Unset;
use crate::error::Result;

/// Questions with one answer, whatever the bucket.
macro_rules! answers {
    ($($method:ident($input:ty) -> $output:ty = $answer:expr;)*) => {
        impl Gateway {
            $(pub(super) async fn $method(&self, request: S3Request<$input>) -> Result<$output> {
                self.store.bucket(&request.input.bucket).await?;
                $answer
            })*
        }
    };
}

answers! {
    acceleration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput =
        Ok(GetBucketAccelerateConfigurationOutput::default());
    logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = Ok(GetBucketLoggingOutput::default());
    notifications(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput =
        Ok(GetBucketNotificationConfigurationOutput::default());
    payer(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = Ok(GetBucketRequestPaymentOutput {
        payer: Some(Payer::from_static(Payer::BUCKET_OWNER)),
    });
    policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = Err(Unset::Policy.into());
    policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = Err(Unset::Policy.into());
    encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = Err(Unset::Encryption.into());
    website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = Err(Unset::Website.into());
    object_lock(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput =
        Err(Unset::ObjectLock.into());
    replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = Err(Unset::Replication.into());
    public_access(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput =
        Err(Unset::PublicAccessBlock.into());
    ownership(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput =
        Err(Unset::OwnershipControls.into());
    // To remove what is not there is no failure, as in S3.
    no_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = Ok(DeleteBucketPolicyOutput::default());
    no_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = Ok(DeleteBucketWebsiteOutput::default());
    no_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput =
        Ok(DeleteBucketReplicationOutput::default());
    no_public_access(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput =
        Ok(DeletePublicAccessBlockOutput::default());
    no_ownership(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput =
        Ok(DeleteBucketOwnershipControlsOutput::default());
}
