//! How a mount outlives the process that serves it.
//!
//! The supervisor keeps two descriptors: the mount's own (`/dev/fuse`), so that the kernel does not end the
//! mount with the process, and the ledger of its open files. The next process finds both and goes on where
//! this one ended: it tells the kernel to ask again what was read and not answered (`FUSE_NOTIFY_RESEND`).
//!
//! The FUSE library begins with an INIT, which the kernel sends once in the life of a mount. So a
//! successor plays the kernel on a socket pair: it sends the INIT with what was granted then, throws the
//! answer away, and puts the real descriptor in the socket's place. One descriptor serves all threads:
//! requests belong to the descriptor that they were read from, and end with it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use fuser::{Config, InitFlags, KernelConfig, Request, Session};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use wolfdisk_client::{Estate, FRONT_END_BYTES, Ledger};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::{kept, socket};

use crate::adapter::Adapter;
use crate::numbers;

/// Names of what is kept.
const DEVICE: &str = "device";
const LEDGER: &str = "ledger";

/// From `linux/fuse.h`: the codes of two messages, the protocol's major number, the sizes of headers, and
/// the bit in the number of a request that was sent before.
const INIT: u32 = 26;
const NOTIFY_RESEND: i32 = 7;
const MAJOR: u32 = 7;
const HEADER_IN_BYTES: u32 = 40;
const HEADER_OUT_BYTES: u32 = 16;
const INIT_BYTES: u32 = 64;
const SENT_BEFORE: u64 = 1 << 63;
/// The kernel can send requests again (Linux 6.9). The library has no name for it.
const HAS_RESEND: u64 = 1 << 39;
/// Room for the answer to INIT.
const ANSWER_MAX_BYTES: usize = 256;

/// A mount that somebody keeps.
#[derive(Debug)]
pub struct Succession {
    ledger: Arc<Ledger>,
    /// The same file, to be kept.
    file: OwnedFd,
    inherited: Option<Inherited>,
}

/// What a predecessor left.
#[derive(Debug)]
struct Inherited {
    device: OwnedFd,
    estate: Estate,
}

/// What the kernel said at INIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    granted: u64,
    minor: u32,
    max_readahead: u32,
    /// The directory that is the root of the mount; 0: that of the volume.
    root: Ino,
}

impl Succession {
    /// What this process was started with. `None`: nobody keeps the mount.
    ///
    /// # Errors
    /// What is kept cannot be used.
    pub fn find() -> io::Result<Option<Succession>> {
        let Some(kept) = kept::inherited()? else {
            return Ok(None);
        };
        let (mut device, mut ledger) = (None, None);
        for (name, fd) in kept {
            match name.as_str() {
                DEVICE => device = Some(fd),
                LEDGER => ledger = Some(File::from(fd)),
                _ => {}
            }
        }
        if let (Some(device), Some(file)) = (device, ledger) {
            let copy = file.try_clone()?.into();
            let (ledger, estate) = Ledger::inherit(file)?;
            return Ok(Some(Succession {
                ledger: Arc::new(ledger),
                file: copy,
                inherited: Some(Inherited { device, estate }),
            }));
        }
        let file = File::from(memfd_create("wolfdisk-ledger", MFdFlags::MFD_CLOEXEC)?);
        let copy = file.try_clone()?.into();
        Ok(Some(Succession {
            ledger: Arc::new(Ledger::create(file)?),
            file: copy,
            inherited: None,
        }))
    }

    /// The ledger of open files.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// What a predecessor left, if there was one.
    pub fn estate(&self) -> Option<&Estate> {
        self.inherited.as_ref().map(|inherited| &inherited.estate)
    }

    /// The root of the mount that a predecessor left; 0: that of the volume, which also older releases say.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn root(&self) -> io::Result<Option<Ino>> {
        match self.inherited {
            Some(_) => {
                let negotiated = Negotiated::from_bytes(&self.ledger.front_end()?);
                Ok(Some(negotiated.root))
            }
            None => Ok(None),
        }
    }

    /// Has the mount kept from now on. Not if the kernel could not be made to ask again what is not
    /// answered: programs would wait for ever.
    ///
    /// # Errors
    /// The supervisor cannot be reached.
    pub fn keep(&self, device: BorrowedFd<'_>) -> io::Result<()> {
        let negotiated = Negotiated::from_bytes(&self.ledger.front_end()?);
        if negotiated.granted & HAS_RESEND == 0 {
            tracing::info!("before Linux 6.9 a mount ends with its process");
            return Ok(());
        }
        kept::keep(LEDGER, self.file.as_fd())?;
        kept::keep(DEVICE, device)
    }

    /// Serves the mount of a predecessor.
    ///
    /// # Errors
    /// There was none, or it cannot be taken over.
    pub fn take_over(&self, adapter: Adapter, config: &Config) -> io::Result<Session<Adapter>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "nothing to take over");
        let inherited = self.inherited.as_ref().ok_or_else(missing)?;
        let negotiated = Negotiated::from_bytes(&self.ledger.front_end()?);
        let (kernel, library) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        let mut kernel = File::from(kernel);
        kernel.write_all(&negotiated.init())?;
        let session = Session::from_fd(adapter, library, config.acl, config.clone())?;
        let mut answer = [0; ANSWER_MAX_BYTES];
        if kernel.read(&mut answer)? < HEADER_OUT_BYTES as usize {
            return Err(io::Error::other("the FUSE library did not answer"));
        }
        socket::replace(session.as_fd(), inherited.device.as_fd())?;
        resend(session.as_fd())?;
        Ok(session)
    }
}

/// Has the kernel ask again what was read and not answered.
fn resend(device: BorrowedFd<'_>) -> io::Result<()> {
    let mut message = Vec::with_capacity(HEADER_OUT_BYTES as usize);
    message.extend(HEADER_OUT_BYTES.to_ne_bytes());
    message.extend(NOTIFY_RESEND.to_ne_bytes());
    message.extend(0u64.to_ne_bytes());
    File::from(device.try_clone_to_owned()?).write_all(&message)
}

/// Whether the kernel sent this request before, to a process that did not answer.
pub fn was_sent_before(request: &Request) -> bool {
    request.unique().0 & SENT_BEFORE != 0
}

impl Negotiated {
    /// As the library tells it. `used`: the capabilities that matter here.
    pub fn new(config: &KernelConfig, used: InitFlags) -> Negotiated {
        let offered = config.capabilities();
        Negotiated {
            granted: (offered & used).bits() | (offered.bits() & HAS_RESEND),
            minor: config.kernel_abi().1,
            max_readahead: crate::limits::READ_AHEAD_KIB * 1024,
            root: numbers::root(),
        }
    }

    /// For the ledger.
    pub fn to_bytes(self) -> [u8; FRONT_END_BYTES] {
        let mut bytes = [0; FRONT_END_BYTES];
        let words = [
            self.granted.to_ne_bytes(),
            u64::from(self.minor).to_ne_bytes(),
            u64::from(self.max_readahead).to_ne_bytes(),
            self.root.0.to_ne_bytes(),
        ];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; FRONT_END_BYTES]) -> Negotiated {
        let mut words = bytes.chunks_exact(8).map(|word| {
            let word = word.try_into().unwrap_or_default();
            u64::from_ne_bytes(word)
        });
        let mut next = || words.next().unwrap_or_default();
        Negotiated {
            granted: next(),
            minor: next() as u32,
            max_readahead: next() as u32,
            root: Ino(next()),
        }
    }

    /// The request as the kernel would send it.
    fn init(self) -> Vec<u8> {
        let flags = self.granted | InitFlags::FUSE_INIT_EXT.bits();
        let mut bytes = Vec::new();
        for word in [HEADER_IN_BYTES + INIT_BYTES, INIT] {
            bytes.extend(word.to_ne_bytes());
        }
        // Its number, the node; who asks; the length of extensions.
        bytes.extend(1u64.to_ne_bytes());
        bytes.extend([0; 24]);
        let words = [
            MAJOR,
            self.minor,
            self.max_readahead,
            flags as u32,
            (flags >> 32) as u32,
        ];
        words
            .iter()
            .for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes.resize((HEADER_IN_BYTES + INIT_BYTES) as usize, 0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_negotiated_comes_back() {
        let negotiated = Negotiated {
            granted: HAS_RESEND | 5,
            minor: 41,
            max_readahead: 7,
            root: Ino(77),
        };
        let back = Negotiated::from_bytes(&negotiated.to_bytes());
        assert_eq!(back, negotiated);
        let init = back.init();
        assert_eq!(init.len(), 104);
        assert_eq!(init[..8], [104, 0, 0, 0, 26, 0, 0, 0].map(|byte: u8| byte));
        assert_eq!(
            u32::from_ne_bytes([init[52], init[53], init[54], init[55]]) & 5,
            5
        );
    }
}
