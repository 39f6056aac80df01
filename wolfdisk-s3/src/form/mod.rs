//! Uploads by forms of web pages: `POST /bucket` with `multipart/form-data`, signed by a policy in one of its fields.
//!
//! s3s would take the file into memory, so nothing of a form gets to it. The fields before the file are read whole,
//! within limits ([`fields`]), what signs them is checked ([`policy`], [`signature`]), and they become the request of
//! a Put ([`input`]), whose body is the file as it comes in ([`file`]): there is one way to store an object.
//! What comes after the file is not looked at, as in S3.

pub mod answer;
pub mod error;
pub mod fields;
pub mod file;
mod gate;
mod input;
pub mod policy;
pub mod signature;

use axum::body::Body;
use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use multer::Multipart;
use s3s::auth::S3Auth;
use s3s::path::S3Path;
use s3s::{S3Error, S3Request};
use time::OffsetDateTime;

use crate::access::Access;
use crate::access::grant::Grant;
use crate::limits::{FORM_BOUNDARY_MAX_BYTES, PUT_MAX_BYTES};
use crate::ops::Gateway;
use crate::server::body::PacedBody;
use crate::server::metrics;
use error::FormError;
use fields::Fields;
use file::File;
use gate::Gate;
use policy::Policy;
use signature::Claim;

/// What a form asks for, as rights call it.
const OPERATION: &str = "PutObject";

/// See the module.
#[derive(Debug)]
pub struct Forms {
    gateway: Gateway,
    access: Access,
    scheme: &'static str,
}

impl Forms {
    /// With what the other requests go by, too; `scheme` is how URLs begin.
    pub fn new(gateway: Gateway, access: Access, scheme: &'static str) -> Forms {
        Forms {
            gateway,
            access,
            scheme,
        }
    }

    /// Takes in the form of a request to `target`.
    ///
    /// # Errors
    /// What its client is told. Nothing is stored then.
    pub async fn answer(
        &self,
        target: &S3Path,
        mut head: Parts,
        body: PacedBody,
    ) -> Result<Response<Body>, S3Error> {
        metrics::name(&head.extensions, "post_object");
        let S3Path::Bucket { bucket } = target else {
            return Err(FormError::Method.into());
        };
        let boundary = boundary(&head.headers)?;
        let (gate, opener) = Gate::new(body);
        let mut multipart = Multipart::new(gate, boundary);
        let (fields, file) = Fields::read(&mut multipart).await?;
        fields.required("key")?;
        let now = OffsetDateTime::now_utc();
        let (policy, grant) = self.admit(&fields, bucket, &head.headers, now).await?;
        head.extensions.insert(grant);
        opener.open();
        let lengths = policy.map_or(0..=PUT_MAX_BYTES, |policy| policy.lengths());
        let input = input::of(&fields, bucket, File::new(file, lengths))?;
        let key = input.key.clone();
        let request = S3Request {
            input,
            method: head.method,
            uri: head.uri.clone(),
            // A form says all that it says by its fields.
            headers: HeaderMap::new(),
            extensions: head.extensions,
            credentials: None,
            region: None,
            service: None,
            trailing_headers: None,
        };
        let stored = self.gateway.put(request).await?;
        let location = answer::location(self.scheme, &head.headers, &head.uri, &key);
        answer::of(&fields, &location, bucket, &key, &stored)
    }

    /// Lets a form in whose policy is signed and holds, or that may come unsigned.
    async fn admit(
        &self,
        fields: &Fields,
        bucket: &str,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<(Option<Policy>, Grant), S3Error> {
        let named = Some(bucket);
        let Some(claim) = Claim::of(fields)? else {
            let grant = self.access.judge(None, OPERATION, named, headers).await;
            return Ok((None, grant.map_err(S3Error::from)?));
        };
        let secret = self.access.get_secret_key(claim.access_key).await?;
        claim.check(secret.expose(), now)?;
        let policy = Policy::from_base64(claim.policy).map_err(FormError::from)?;
        policy.check(fields, bucket, now).map_err(FormError::from)?;
        let key = Some(claim.access_key);
        let grant = self.access.judge(key, OPERATION, named, headers).await;
        Ok((Some(policy), grant.map_err(S3Error::from)?))
    }
}

/// What separates the parts of the form.
fn boundary(headers: &HeaderMap) -> Result<String, FormError> {
    let kind = headers.get(http::header::CONTENT_TYPE);
    let boundary = kind
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| multer::parse_boundary(kind).ok());
    boundary
        .filter(|boundary| (1..=FORM_BOUNDARY_MAX_BYTES).contains(&boundary.len()))
        .ok_or(FormError::Malformed("its boundary is missing or too long"))
}
