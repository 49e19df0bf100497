//! Devices of our own users, by which they take part in encrypted rooms.
//!
//! They are made and deleted without a login ([MSC4190], in v1.17 of the specification), and named in requests by `device_id` ([MSC4326]).
//!
//! [MSC4190]: https://github.com/matrix-org/matrix-spec-proposals/pull/4190
//! [MSC4326]: https://github.com/matrix-org/matrix-spec-proposals/pull/4326

use std::collections::BTreeMap;

use ruma::{
    DeviceId, TransactionId, UserId,
    api::client::{
        device::{delete_device, update_device},
        to_device::send_event_to_device,
    },
    events::ToDeviceEventType,
    serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde_json::json;

use super::client::{Actor, Homeserver, MatrixError};

impl Homeserver {
    /// Makes a device of a user of ours, or gives it this name if it is there.
    pub async fn make_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        name: &str,
    ) -> Result<(), MatrixError> {
        let mut request = update_device::v3::Request::new(device.to_owned());
        request.display_name = Some(name.to_owned());
        self.call(Actor::Ghost(user), request).await?;
        Ok(())
    }

    /// Deletes a device of a user of ours. Nothing happens if it is gone.
    pub async fn delete_device(&self, user: &UserId, device: &DeviceId) -> Result<(), MatrixError> {
        let request = delete_device::v3::Request::new(device.to_owned());
        match self.call(Actor::Ghost(user), request).await {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Sends a device of a user of ours a message of a type that means something to us only.
    pub async fn send_to_own_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        event_type: &str,
    ) -> Result<(), MatrixError> {
        let content =
            Raw::new(&json!({})).map_err(|error| MatrixError::Request(error.to_string()))?;
        let to = BTreeMap::from([(
            DeviceIdOrAllDevices::DeviceId(device.to_owned()),
            content.cast_unchecked(),
        )]);
        let request = send_event_to_device::v3::Request::new_raw(
            ToDeviceEventType::from(event_type),
            TransactionId::new(),
            BTreeMap::from([(user.to_owned(), to)]),
        );
        self.call(Actor::Device(user, device), request).await?;
        Ok(())
    }
}
