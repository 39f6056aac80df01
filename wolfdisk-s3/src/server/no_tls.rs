//! In place of `tls.rs` where HTTPS is not built in.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use super::stream::PacedStream;

/// There is none.
#[derive(Clone, Debug)]
pub struct Tls(Infallible);

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "s3.tls_cert is set, but HTTPS is not built in; leave it out and put a reverse proxy before the address, or build wolfdisk-s3 with --features tls"
)]
pub struct TlsError;

impl Tls {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn load(_: &Path, _: &Path) -> Result<Tls, TlsError> {
        Err(TlsError)
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub async fn accept(&self, _stream: PacedStream) -> io::Result<PacedStream> {
        match self.0 {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn reload(&self) -> Result<(), TlsError> {
        match self.0 {}
    }

    /// Cannot be called.
    pub async fn keep_fresh(self) {
        match self.0 {}
    }
}
