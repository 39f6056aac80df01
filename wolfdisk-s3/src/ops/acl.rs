//! Access lists: there is one, which gives the owner everything, and it is the only one that is taken.

use s3s::S3Request;
use s3s::dto::*;

use super::refuse::PRIVATE;
use super::{Gateway, OWNER, key, key_to_read, only_version, owner};
use crate::error::{Failure, Result};

/// What a request says of a list, of whichever type that is.
macro_rules! wanted {
    ($input:expr) => {
        Wanted {
            canned: $input.acl.as_ref().map(|acl| acl.as_str()),
            full_control: $input.grant_full_control.as_deref(),
            other_grants: $input.grant_read.is_some()
                || $input.grant_read_acp.is_some()
                || $input.grant_write.is_some()
                || $input.grant_write_acp.is_some(),
            policy: $input.access_control_policy.as_ref(),
        }
    };
}

/// See [`wanted`].
#[derive(Debug, Default)]
struct Wanted<'a> {
    canned: Option<&'a str>,
    full_control: Option<&'a str>,
    other_grants: bool,
    policy: Option<&'a AccessControlPolicy>,
}

impl Wanted<'_> {
    /// # Errors
    /// It is not the one that there is.
    fn check(&self) -> Result<()> {
        let grants = self.full_control.is_some() || self.other_grants;
        let ways = [self.canned.is_some(), grants, self.policy.is_some()];
        match ways.into_iter().filter(|way| *way).count() {
            0 => return Err(Failure::NoAcl),
            1 => {}
            _ => {
                return Err(Failure::Request(
                    "an access list is named, granted by headers or sent: one of these",
                ));
            }
        }
        let good = !self.other_grants
            && self.canned.is_none_or(|acl| PRIVATE.contains(&acl))
            && self.full_control.is_none_or(is_owner)
            && self.policy.is_none_or(is_private);
        match good {
            true => Ok(()),
            false => Err(Failure::NotImplemented("access by lists")),
        }
    }
}

/// A grantee of a header, `id="..."`, that is the owner.
fn is_owner(grantee: &str) -> bool {
    let id = grantee.trim().strip_prefix("id=");
    id.is_some_and(|id| id.trim_matches('"') == OWNER)
}

/// The owner has everything, and nobody else anything.
fn is_private(policy: &AccessControlPolicy) -> bool {
    let given = policy.owner.as_ref().and_then(|owner| owner.id.as_deref());
    let is_ours = |grant: &Grant| {
        let grantee = grant.grantee.as_ref();
        let full = grant.permission.as_ref().map(Permission::as_str);
        full == Some(Permission::FULL_CONTROL)
            && grantee.is_some_and(|grantee| {
                grantee.type_.as_str() == Type::CANONICAL_USER
                    && grantee.id.as_deref() == Some(OWNER)
            })
    };
    let grants = policy.grants.as_deref().unwrap_or_default();
    given.is_none_or(|id| id == OWNER) && !grants.is_empty() && grants.iter().all(is_ours)
}

/// The one list.
fn grants() -> Grants {
    let grantee = Grantee {
        display_name: Some(OWNER.to_owned()),
        email_address: None,
        id: Some(OWNER.to_owned()),
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    vec![Grant {
        grantee: Some(grantee),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }]
}

impl Gateway {
    pub(super) async fn bucket_acl(
        &self,
        request: S3Request<GetBucketAclInput>,
    ) -> Result<GetBucketAclOutput> {
        self.store.bucket(&request.input.bucket).await?;
        Ok(GetBucketAclOutput {
            grants: Some(grants()),
            owner: Some(owner()),
        })
    }

    pub(super) async fn set_bucket_acl(
        &self,
        request: S3Request<PutBucketAclInput>,
    ) -> Result<PutBucketAclOutput> {
        let input = request.input;
        wanted!(input).check()?;
        self.store.bucket(&input.bucket).await?;
        Ok(PutBucketAclOutput::default())
    }

    pub(super) async fn acl(
        &self,
        request: S3Request<GetObjectAclInput>,
    ) -> Result<GetObjectAclOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        let bucket = self.store.bucket(&input.bucket).await?;
        self.store.object(bucket, key_to_read(&input.key)?).await?;
        Ok(GetObjectAclOutput {
            grants: Some(grants()),
            owner: Some(owner()),
            ..GetObjectAclOutput::default()
        })
    }

    pub(super) async fn set_acl(
        &self,
        request: S3Request<PutObjectAclInput>,
    ) -> Result<PutObjectAclOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        wanted!(input).check()?;
        let bucket = self.store.bucket(&input.bucket).await?;
        self.store.object(bucket, key(&input.key)?).await?;
        Ok(PutObjectAclOutput::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::S3Error;

    fn code(wanted: Wanted<'_>) -> Option<String> {
        let refused = wanted.check().err()?;
        Some(S3Error::from(refused).code().as_str().to_owned())
    }

    #[test]
    fn only_what_gives_nobody_more_is_taken() {
        let not_here = Some("NotImplemented".to_owned());
        for (canned, refusal) in [
            ("private", None),
            ("bucket-owner-full-control", None),
            ("public-read", not_here.clone()),
            ("authenticated-read", not_here.clone()),
            ("", not_here.clone()),
        ] {
            let wanted = Wanted {
                canned: Some(canned),
                ..Wanted::default()
            };
            assert_eq!(code(wanted), refusal, "{canned}");
        }
        for (grantee, refusal) in [
            ("id=\"wolfdisk\"", None),
            ("id=wolfdisk", None),
            ("id=\"wolfdisk\", id=\"other\"", not_here.clone()),
            (
                "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"",
                not_here.clone(),
            ),
        ] {
            let wanted = Wanted {
                full_control: Some(grantee),
                ..Wanted::default()
            };
            assert_eq!(code(wanted), refusal, "{grantee}");
        }
        let other = Wanted {
            other_grants: true,
            full_control: Some("id=wolfdisk"),
            ..Wanted::default()
        };
        assert_eq!(code(other), not_here);
    }

    #[test]
    fn a_list_is_given_in_one_way() {
        assert_eq!(
            code(Wanted::default()),
            Some("MissingSecurityHeader".to_owned())
        );
        let twice = Wanted {
            canned: Some("private"),
            full_control: Some("id=wolfdisk"),
            ..Wanted::default()
        };
        assert_eq!(code(twice), Some("InvalidRequest".to_owned()));
    }

    #[test]
    fn the_list_that_is_shown_is_taken() {
        let policy = AccessControlPolicy {
            grants: Some(grants()),
            owner: Some(owner()),
        };
        assert!(is_private(&policy));
        let with = |change: &dyn Fn(&mut Grant)| {
            let mut grants = grants();
            let mut more = grants.clone();
            more.iter_mut().for_each(change);
            grants.extend(more);
            is_private(&AccessControlPolicy {
                grants: Some(grants),
                owner: Some(owner()),
            })
        };
        assert!(with(&|_| {}));
        assert!(!with(&|grant| {
            grant.permission = Some(Permission::from_static(Permission::READ));
        }));
        assert!(!with(&|grant| {
            if let Some(grantee) = &mut grant.grantee {
                grantee.id = Some("other".to_owned());
            }
        }));
        assert!(!with(&|grant| {
            if let Some(grantee) = &mut grant.grantee {
                grantee.type_ = Type::from_static(Type::GROUP);
            }
        }));
        let nobody = AccessControlPolicy {
            grants: None,
            owner: Some(owner()),
        };
        assert!(!is_private(&nobody));
    }
}
