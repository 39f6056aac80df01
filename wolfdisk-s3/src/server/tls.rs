//! HTTPS by rustls: certificate and key out of files, looked at again now and then, so that whoever renews them need not
//! tell the gateway.
//!
//! The cryptography is ring's, which compiles C and assembly: the providers in Rust alone call themselves unfinished.
//! That is why this is a feature and off by default.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::stream::PacedStream;
use crate::limits::{TLS_HANDSHAKE_DEADLINE, TLS_LOOK_EVERY};

/// See the module. Clones are the same.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.0.certificate).finish()
    }
}

/// Why there can be no HTTPS. The texts name the setting, the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}, which {setting} names", file.display())]
    Unreadable {
        /// Which setting.
        setting: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than the owner can read the key.
    #[error("{0} is readable by others than its owner (mode {mode:03o}); run: chmod 600 {0}", file.display())]
    Exposed {
        /// The key file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not what it should be.
    #[error("{}, which {setting} names, holds no {what} in PEM", file.display())]
    NoPem {
        /// Which setting.
        setting: &'static str,
        /// Which file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("{} and {} cannot be used together; s3.tls_cert begins with the certificate of s3.tls_key", certificate.display(), key.display())]
    Unusable {
        /// The certificates.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Tls {
    /// With what these files hold.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn load(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        Ok(Tls(Arc::new(Inner {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            acceptor: RwLock::new(acceptor(certificate, key)?),
        })))
    }

    /// Agrees with a client on a secret stream.
    ///
    /// # Errors
    /// It took too long, or the client speaks something else.
    pub async fn accept(&self, stream: PacedStream) -> io::Result<TlsStream<PacedStream>> {
        self.accept_within(stream, TLS_HANDSHAKE_DEADLINE).await
    }

    async fn accept_within(
        &self,
        stream: PacedStream,
        deadline: Duration,
    ) -> io::Result<TlsStream<PacedStream>> {
        let acceptor = self.acceptor();
        match tokio::time::timeout(deadline, acceptor.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let acceptor = self.0.acceptor.read();
        acceptor.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files again and again, and takes what is new in them. What cannot be used is left.
    pub async fn keep_fresh(self) {
        let mut known = self.changed();
        loop {
            tokio::time::sleep(TLS_LOOK_EVERY).await;
            let now = self.changed();
            if now == known {
                continue;
            }
            known = now;
            match self.reload() {
                Ok(()) => tracing::info!("the certificate of HTTPS was read anew"),
                Err(error) => {
                    tracing::warn!(%error, "the certificate of HTTPS stays what it was");
                }
            }
        }
    }

    /// Takes what the files hold now. What cannot be used is left.
    ///
    /// # Errors
    /// It cannot.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = acceptor(&self.0.certificate, &self.0.key)?;
        *self
            .0
            .acceptor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.0.certificate, &self.0.key].map(|file| file.metadata().ok()?.modified().ok())
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let bytes = read("s3.tls_cert", certificate)?;
    let no_pem = |setting, file: &Path, what| TlsError::NoPem {
        setting,
        file: file.to_owned(),
        what,
    };
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| no_pem("s3.tls_cert", certificate, "certificate"))?;
    let bytes = read_secret(key)?;
    let secret = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| no_pem("s3.tls_key", key, "private key"))?;
    let unusable = |source| TlsError::Unusable {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, secret)
        })
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(setting: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable {
        setting,
        file: file.to_owned(),
        source,
    })
}

/// A key that its owner alone may read.
fn read_secret(file: &Path) -> Result<Vec<u8>, TlsError> {
    let bytes = read("s3.tls_key", file)?;
    let mode = file
        .metadata()
        .map(|metadata| metadata.permissions().mode() & 0o777);
    match mode {
        Ok(mode) if mode & 0o077 != 0 => Err(TlsError::Exposed {
            file: file.to_owned(),
            mode,
        }),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
