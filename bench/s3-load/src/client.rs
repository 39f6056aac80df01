//! Connections to the server: one request at a time on each, answers compared while they come.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response, S3Action};
use rusty_s3::{Bucket, Credentials};
use tokio::net::TcpStream;

/// How long a signature is good for.
const SIGNED_FOR: Duration = Duration::from_secs(600);
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where it is, and with which key.
#[derive(Debug)]
pub struct Server {
    bucket: Bucket,
    credentials: Credentials,
    address: String,
}

impl Server {
    /// The server of `bucket`.
    ///
    /// # Errors
    /// Its URL has no host.
    pub fn new(bucket: Bucket, credentials: Credentials) -> anyhow::Result<Server> {
        let url = bucket.base_url();
        let host = url.host_str().context("the endpoint has no host")?;
        let address = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        Ok(Server {
            bucket,
            credentials,
            address,
        })
    }

    /// Makes the bucket unless it is there.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn make_bucket(&self) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let url = self
            .bucket
            .create_bucket(&self.credentials)
            .sign(SIGNED_FOR);
        match connection
            .send(Method::PUT, url.as_str(), Bytes::new())
            .await?
        {
            (StatusCode::OK | StatusCode::CONFLICT, answer) => {
                collect(answer).await?;
                Ok(())
            }
            (status, answer) => bail!(
                "the bucket cannot be made: {status}: {}",
                text(answer).await
            ),
        }
    }

    /// One more connection.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn connect(&self) -> anyhow::Result<Connection<'_>> {
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.with_context(|| format!("{} does not answer", self.address))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped; what goes wrong is seen by the request.
        tokio::spawn(connection);
        Ok(Connection {
            server: self,
            sender,
        })
    }
}

/// See the module.
#[derive(Debug)]
pub struct Connection<'a> {
    server: &'a Server,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection<'_> {
    /// Puts an object.
    ///
    /// # Errors
    /// It was not stored.
    pub async fn put(&mut self, key: &str, content: Bytes) -> anyhow::Result<()> {
        let url = self
            .server
            .bucket
            .put_object(Some(&self.server.credentials), key)
            .sign(SIGNED_FOR);
        let (status, answer) = self.send(Method::PUT, url.as_str(), content).await?;
        if status != StatusCode::OK {
            bail!("PUT of {key}: {status}: {}", text(answer).await);
        }
        collect(answer).await.map(drop)
    }

    /// Gets an object, which must be `expected` to the last byte.
    ///
    /// # Errors
    /// It is not.
    pub async fn get(&mut self, key: &str, expected: &[u8]) -> anyhow::Result<()> {
        let url = self
            .server
            .bucket
            .get_object(Some(&self.server.credentials), key)
            .sign(SIGNED_FOR);
        let (status, mut answer) = self.send(Method::GET, url.as_str(), Bytes::new()).await?;
        if status != StatusCode::OK {
            bail!("GET of {key}: {status}: {}", text(answer).await);
        }
        let mut rest = expected;
        while let Some(frame) = tokio::time::timeout(DEADLINE, answer.frame())
            .await
            .context("a body stopped")?
        {
            if let Ok(data) = frame?.into_data() {
                let (now, later) = rest
                    .split_at_checked(data.len())
                    .with_context(|| format!("{key} is too long"))?;
                ensure!(now == data, "{key} has wrong bytes");
                rest = later;
            }
        }
        ensure!(rest.is_empty(), "{key} is too short");
        Ok(())
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// It was not deleted.
    pub async fn delete(&mut self, key: &str) -> anyhow::Result<()> {
        let url = self
            .server
            .bucket
            .delete_object(Some(&self.server.credentials), key)
            .sign(SIGNED_FOR);
        let (status, answer) = self
            .send(Method::DELETE, url.as_str(), Bytes::new())
            .await?;
        if status != StatusCode::NO_CONTENT {
            bail!("DELETE of {key}: {status}: {}", text(answer).await);
        }
        collect(answer).await.map(drop)
    }

    /// A page of a listing.
    ///
    /// # Errors
    /// It is none.
    pub async fn list(
        &mut self,
        prefix: &str,
        token: Option<String>,
    ) -> anyhow::Result<ListObjectsV2Response> {
        let mut action = self
            .server
            .bucket
            .list_objects_v2(Some(&self.server.credentials));
        action.with_prefix(prefix);
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        let url = action.sign(SIGNED_FOR);
        let (status, answer) = self.send(Method::GET, url.as_str(), Bytes::new()).await?;
        if status != StatusCode::OK {
            bail!("LIST: {status}: {}", text(answer).await);
        }
        let body = collect(answer).await?;
        Ok(ListObjectsV2::parse_response(std::str::from_utf8(&body)?)?)
    }

    async fn send(
        &mut self,
        method: Method,
        url: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Incoming)> {
        let target = url.find("://").and_then(|scheme| url.get(scheme + 3..));
        let target = target
            .and_then(|rest| rest.get(rest.find('/')?..))
            .context("a URL without a path")?;
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(http::header::HOST, &self.server.address)
            .body(Full::new(body))?;
        let answer = tokio::time::timeout(DEADLINE, async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        });
        let answer = answer.await.context("the server does not answer")??;
        Ok((answer.status(), answer.into_body()))
    }
}

async fn collect(body: Incoming) -> anyhow::Result<Bytes> {
    let collected = tokio::time::timeout(DEADLINE, body.collect());
    Ok(collected.await.context("a body stopped")??.to_bytes())
}

/// For messages.
async fn text(body: Incoming) -> String {
    let body = collect(body).await.unwrap_or_default();
    String::from_utf8_lossy(&body).into_owned()
}
