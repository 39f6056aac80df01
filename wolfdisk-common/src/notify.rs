//! What a daemon tells whoever started it, by the protocol of sd_notify(3): systemd, or our own
//! supervisor, which speaks it too. Without `NOTIFY_SOCKET` nobody listens and nothing is said.

use sd_notify::NotifyState;

/// The daemon answers calls (the mount is usable).
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The daemon is ending, in order.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for people about what it does just now.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        // It may be gone, which is why this process is ending; nothing follows from its not hearing.
        tracing::debug!(%error, "cannot tell the service manager");
    }
}
