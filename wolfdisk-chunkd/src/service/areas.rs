//! The shared areas of connections: one each, gone with the connection.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use crate::area::Area;
use crate::limits;

/// See the module.
#[derive(Default)]
pub struct Areas(Mutex<HashMap<u64, Arc<Area>>>);

impl Areas {
    /// Maps the memfd that came with a call; it replaces an earlier one.
    pub(super) fn attach(&self, call: &mut Call, length: u64) -> Result<v1::Empty, Failure> {
        let received = std::mem::take(&mut call.received);
        let [descriptor] = received.as_slice() else {
            let text = format!("an area comes with one descriptor, not {}", received.len());
            return Err(Failure::Invalid(text));
        };
        let mut areas = self.0.lock();
        if areas.len() >= limits::AREAS_MAX && !areas.contains_key(&call.connection) {
            return Err(Failure::Unavailable(format!(
                "{} areas are attached",
                limits::AREAS_MAX
            )));
        }
        let area = Area::map(descriptor, length)?;
        areas.insert(call.connection, Arc::new(area));
        Ok(v1::Empty {})
    }

    /// The area of a connection.
    pub(super) fn of(&self, connection: u64) -> Result<Arc<Area>, Failure> {
        let area = self.0.lock().get(&connection).cloned();
        area.ok_or_else(|| Failure::Invalid("this connection has attached no area".to_owned()))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Forgets the area of a connection; puts that still copy from it keep it mapped.
    pub(super) fn remove(&self, connection: u64) {
        self.0.lock().remove(&connection);
    }
}
