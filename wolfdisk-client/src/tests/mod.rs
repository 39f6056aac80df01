//! The volume against daemons that a test plays itself: what they say and when is the test's choice.

mod answers;
mod closing;
mod failures;
mod fake;
mod fake_far;
mod fake_objects;
mod feed;
mod hostile;
mod locks;
mod objects;
mod remote;
