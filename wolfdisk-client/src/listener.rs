//! Who must be told when somebody else changed something: the kernel, through the front-end.

use wolfdisk_common::ids::Ino;

/// A cache above this library that it cannot reach by itself.
///
/// Called on the session's notification thread only, which holds no lock, and never for mutations of
/// this session: the kernel's invalidations wait for locks that requests in flight hold. That of
/// attributes alone waits for nothing, and a request also calls it that changed some which the cache
/// expects to stay. An error, or a call that takes longer than two seconds, leaves the invalidation
/// unconfirmed, and whoever caused it waits until this session's lease has run out. A thing that is not
/// cached is no error.
pub trait CacheListener: Send + Sync {
    /// Forgets what `name` in `parent` means, present or missing.
    ///
    /// # Errors
    /// The cache may still hold it.
    fn invalidate_entry(&self, parent: Ino, name: &[u8]) -> std::io::Result<()>;

    /// Takes answers that are on their way for old: none that was asked for before is kept once this
    /// returns. It waits for nothing.
    fn overtake(&self);

    /// Forgets the attributes (and ACLs) of `ino`, and with `data` its pages or its listing too.
    ///
    /// # Errors
    /// The cache may still hold them.
    fn invalidate_inode(&self, ino: Ino, data: bool) -> std::io::Result<()>;
}
