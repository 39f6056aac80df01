//! How a daemon holds memory: little, and no longer than it is used.
//!
//! glibc gives each thread that allocates an arena of its own. Such arenas grow page by page with a system
//! call each time, keep apart what was freed in them, and give almost nothing back: a mount that had
//! written for a minute kept 240 MB, of which it used a third. So there is one arena for all threads, which
//! have caches of their own for small allocations, and what is free goes back to the system now and then.
//!
//! The one file of this crate that tells the allocator what to do; with another C library it does nothing.

#[cfg(target_env = "gnu")]
use std::time::Duration;

/// How often free memory goes back. It takes milliseconds at most, in which threads that allocate more than
/// their caches hold wait.
#[cfg(target_env = "gnu")]
const GIVE_BACK_EVERY: Duration = Duration::from_secs(5);

/// Makes this process hold little memory from now on. To be called before threads are started.
#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "the allocator's settings are behind C functions"
)]
pub fn hold_little() {
    // SAFETY: mallopt takes two numbers and may be called at any time; it changes from where later
    // allocations are served, not what they promise. 1 is a valid number of arenas.
    let set = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    let trim = || {
        loop {
            std::thread::sleep(GIVE_BACK_EVERY);
            // SAFETY: malloc_trim gives whole free pages back, under the locks of the allocator; nothing
            // that is allocated moves or changes.
            unsafe { libc::malloc_trim(0) };
        }
    };
    let thread = std::thread::Builder::new().name("memory".to_owned());
    if let (0, _) | (_, Err(_)) = (set, thread.spawn(trim)) {
        tracing::warn!("memory that is not used stays with this process");
    }
}

/// Makes this process hold little memory from now on.
#[cfg(not(target_env = "gnu"))]
pub fn hold_little() {}
