//! What browsers are told of pages that use a bucket: answers to their questions before a request (preflights, which
//! nobody signs), and headers on the answers to requests that name an origin. Others pass untouched.
//!
//! Rules only say what a browser lets a page see. Who may do what is decided elsewhere, as for any request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::sync::Semaphore;

use super::address::Domains;
use super::{error_response, named};
use crate::bucket::BucketName;
use crate::configuration::cors::{Asked, Fit, Rules};
use crate::error::{Failure, Result};
use crate::limits::{CORS_ASKED_MAX, CORS_CACHED_FOR, CORS_CACHED_MAX, LOOKUPS_AT_ONCE};
use crate::store::Store;

/// What an answer depends on, for caches on the way.
const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// The rules of a bucket; none: it has none, or there is no such bucket.
type Known = Option<Arc<Rules>>;

/// The rules of all buckets, remembered for a moment. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cors {
    store: Store,
    domains: Domains,
    lookups: Arc<Semaphore>,
    cached: Arc<Mutex<Cache>>,
}

impl Cors {
    /// Of the buckets of a store.
    pub fn new(store: Store, domains: Domains) -> Cors {
        Cors {
            store,
            domains,
            lookups: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)),
            cached: Arc::default(),
        }
    }

    async fn rules(&self, bucket: &BucketName) -> Result<Known> {
        let found = self.lock().get(bucket, Instant::now());
        if let Some(known) = found {
            return Ok(known);
        }
        // Strangers ask for names that they make up: most of the threads are left to others.
        let _permit = self.lookups.acquire().await;
        let asked = Instant::now();
        let rules = match self.store.bucket(bucket.as_str()).await {
            Ok(directory) => self.store.configuration(directory).await?.map(Arc::new),
            Err(Failure::NoSuchBucket) => None,
            Err(other) => return Err(other),
        };
        self.lock().put(bucket.clone(), asked, rules.clone());
        Ok(rules)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bucket that a request names.
    fn bucket(&self, headers: &HeaderMap, uri: &Uri) -> Option<BucketName> {
        let target = self.domains.target(headers, uri).ok()?;
        BucketName::parse(target.get_bucket_name()?)
    }

    /// The answer to a question before a request.
    async fn preflight(&self, uri: &Uri, headers: &HeaderMap) -> Result<Response> {
        let asked = Asked {
            origin: text(headers, &ORIGIN).ok_or(Failure::Preflight(
                "Insufficient information. Origin request header needed.",
            ))?,
            method: text(headers, &ACCESS_CONTROL_REQUEST_METHOD).ok_or(Failure::Preflight(
                "Invalid Access-Control-Request-Method: null",
            ))?,
            headers: text(headers, &ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default(),
        };
        if asked.headers.split(',').count() > CORS_ASKED_MAX {
            return Err(Failure::Preflight(
                "Access-Control-Request-Headers names more than 100 headers",
            ));
        }
        let rules = match self.bucket(headers, uri) {
            Some(bucket) => self.rules(&bucket).await?,
            None => None,
        };
        let rules = rules.ok_or(Failure::Cors("CORS is not enabled for this bucket."))?;
        let fit = rules.find(&asked).ok_or(Failure::Cors(
            "This CORS request is not allowed. This is usually because the evaluation of Origin, request method / \
             Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's \
             CORS spec.",
        ))?;
        let mut response = Response::new(Body::empty());
        show(response.headers_mut(), &fit, &asked);
        Ok(response)
    }
}

/// The layer.
pub async fn answer(State(cors): State<Cors>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        let answered = cors.preflight(request.uri(), request.headers()).await;
        return answered.map_or_else(error_response, named);
    }
    let Some(origin) = text(request.headers(), &ORIGIN).map(str::to_owned) else {
        return next.run(request).await;
    };
    let bucket = cors.bucket(request.headers(), request.uri());
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let rules = match bucket {
        Some(bucket) => cors.rules(&bucket).await,
        None => Ok(None),
    };
    match rules {
        Ok(None) => {}
        Ok(Some(rules)) => {
            let asked = Asked {
                origin: &origin,
                method: method.as_str(),
                headers: "",
            };
            let headers = response.headers_mut();
            match rules.find(&asked) {
                Some(fit) => show(headers, &fit, &asked),
                None => _ = headers.insert(VARY, HeaderValue::from_static(VARIES)),
            }
        }
        Err(error) => tracing::debug!(%error, "a page is told nothing: its rules cannot be read"),
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Says what a rule allows.
fn show(headers: &mut HeaderMap, fit: &Fit<'_>, asked: &Asked<'_>) {
    let mut say = |name: HeaderName, text: &str| {
        // Rules hold no text that is none for a header, and what was asked came in one.
        if let Ok(value) = HeaderValue::from_str(text)
            && !text.is_empty()
        {
            headers.insert(name, value);
        }
    };
    match fit.from_anywhere {
        true => say(ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        false => {
            say(ACCESS_CONTROL_ALLOW_ORIGIN, asked.origin);
            say(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
    }
    say(ACCESS_CONTROL_ALLOW_METHODS, &fit.rule.methods.join(", "));
    say(ACCESS_CONTROL_ALLOW_HEADERS, asked.headers);
    say(ACCESS_CONTROL_EXPOSE_HEADERS, &fit.rule.exposed.join(", "));
    if let Some(age) = fit.rule.max_age_s {
        say(ACCESS_CONTROL_MAX_AGE, &age.to_string());
    }
    say(VARY, VARIES);
}

/// What was found of buckets lately.
#[derive(Debug, Default)]
struct Cache(HashMap<BucketName, (Instant, Known)>);

impl Cache {
    fn get(&self, bucket: &BucketName, now: Instant) -> Option<Known> {
        let (asked, known) = self.0.get(bucket)?;
        let is_fresh = now.saturating_duration_since(*asked) < CORS_CACHED_FOR;
        is_fresh.then(|| known.clone())
    }

    fn put(&mut self, bucket: BucketName, asked: Instant, known: Known) {
        self.0
            .retain(|_, (when, _)| asked.saturating_duration_since(*when) < CORS_CACHED_FOR);
        if self.0.len() >= CORS_CACHED_MAX {
            self.0.clear();
        }
        self.0.insert(bucket, (asked, known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::cors::Rule;

    fn rules(origins: &[&str]) -> Rules {
        let rule = Rule {
            origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            methods: vec!["GET".to_owned(), "PUT".to_owned()],
            headers: vec!["*".to_owned()],
            exposed: vec!["etag".to_owned(), "x-amz-id".to_owned()],
            max_age_s: Some(7),
            ..Rule::default()
        };
        Rules::new(vec![rule]).expect("rules")
    }

    fn shown(rules: &Rules, asked: &Asked<'_>) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        show(&mut headers, &rules.find(asked).expect("a rule"), asked);
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let mut all: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_page_is_told_what_the_rule_allows() {
        let asked = Asked {
            origin: "https://a.example",
            method: "PUT",
            headers: "x-amz-date",
        };
        let own = |pairs: &[(&str, &str)]| {
            let own = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            own.collect::<Vec<_>>()
        };
        let named = shown(&rules(&["https://*.example"]), &asked);
        let wanted = own(&[
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "x-amz-date"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-origin", "https://a.example"),
            ("access-control-expose-headers", "etag, x-amz-id"),
            ("access-control-max-age", "7"),
            ("vary", VARIES),
        ]);
        assert_eq!(named, wanted);
        let anywhere = shown(&rules(&["*"]), &asked);
        assert!(anywhere.contains(&("access-control-allow-origin".to_owned(), "*".to_owned())));
        assert!(
            !anywhere
                .iter()
                .any(|(name, _)| name == "access-control-allow-credentials")
        );
    }

    #[test]
    fn what_is_remembered_is_fresh_and_bounded() {
        let name = |n: usize| BucketName::parse(&format!("bucket-{n}")).expect("a name");
        let mut cache = Cache::default();
        let start = Instant::now();
        let known = Some(Arc::new(rules(&["*"])));
        cache.put(name(0), start, known.clone());
        assert_eq!(cache.get(&name(0), start), Some(known));
        assert_eq!(cache.get(&name(1), start), None);
        assert_eq!(cache.get(&name(0), start + CORS_CACHED_FOR), None);
        for n in 0..3 * CORS_CACHED_MAX {
            cache.put(name(n), start, None);
            assert!(cache.0.len() <= CORS_CACHED_MAX);
            assert_eq!(cache.get(&name(n), start), Some(None));
        }
    }
}
