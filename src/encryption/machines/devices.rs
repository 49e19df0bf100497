//! Devices: made when one is needed, never used twice.

use std::sync::Arc;

use encryption::Machine;
use rand::{Rng, distr::Alphanumeric};
use ruma::{OwnedDeviceId, UserId};
use tracing::debug;

use super::{JournalRowStore, Machines, Opened, from_journal, to_matrix_error};
use crate::{
    journal::{DeviceRecord, JournalError},
    matrix::MatrixError,
};

/// What people see of a device of ours.
const DEVICE_NAME: &str = "Letta bridge";
/// How long the part of a device id is that is made up, in characters.
const DEVICE_ID_CHARS: usize = 10;

impl Machines {
    /// The machine of a user, made if there is none.
    pub(super) async fn open_machine(&self, user: &UserId) -> Result<Opened, MatrixError> {
        let mut slot = self.slot(user).lock_owned().await;
        if let Some((machine, device)) = slot.open.clone() {
            return Ok((slot, machine, device));
        }
        let record = self
            .device_of(user)
            .await
            .map_err(|error| from_journal(&error))?;
        let (device, rows) = (record.device, JournalRowStore(self.journal.clone()));
        let machine = Machine::open(user, device.clone(), Arc::new(rows), self.cipher.clone());
        let machine = machine.await.map_err(to_matrix_error)?;
        if !record.published {
            self.publish(user, &device, &machine).await?;
        }
        slot.open = Some((machine.clone(), device.clone()));
        Ok((slot, machine, device))
    }

    /// The device of a user. A new one is on disk before anybody hears of it.
    async fn device_of(&self, user: &UserId) -> Result<DeviceRecord, JournalError> {
        if let Some(known) = self.journal.device(user)? {
            return Ok(known);
        }
        let record = new_device();
        self.journal.set_device(user, &record)?;
        self.journal.durable().await?;
        Ok(record)
    }

    async fn publish(
        &self,
        user: &UserId,
        device: &OwnedDeviceId,
        machine: &Machine,
    ) -> Result<(), MatrixError> {
        let published = async {
            self.homeserver
                .make_device(user, device, DEVICE_NAME)
                .await?;
            let requests = self.as_device(user, device);
            machine.publish(&requests).await.map_err(to_matrix_error)
        };
        if let Err(failure) = published.await {
            if failure.is_permanent() {
                // Half a device helps nobody, and its id is not used again.
                self.replace_device(user, device).await?;
            }
            return Err(failure);
        }
        debug!(user.id = %user, device.id = %device, "made a device for encrypted rooms");
        let record = DeviceRecord {
            device: device.clone(),
            published: true,
            receives: false,
        };
        self.set_device(user, &record).await
    }

    /// The device of a user has received a to-device message.
    pub(super) async fn note_receives(
        &self,
        user: &UserId,
        device: OwnedDeviceId,
    ) -> Result<(), MatrixError> {
        let record = DeviceRecord {
            device,
            published: true,
            receives: true,
        };
        self.set_device(user, &record).await
    }

    /// Deletes the device of a user, whom nobody can send keys. Another one is made when it is needed.
    pub(super) async fn discard_device(&self, user: &UserId) -> Result<(), MatrixError> {
        let mut slot = self.slot(user).lock_owned().await;
        if let Some((_, device)) = slot.open.take() {
            self.replace_device(user, &device).await?;
        }
        Ok(())
    }

    async fn replace_device(
        &self,
        user: &UserId,
        device: &OwnedDeviceId,
    ) -> Result<(), MatrixError> {
        if let Err(error) = self.homeserver.delete_device(user, device).await {
            debug!(user.id = %user, device.id = %device, %error, "could not delete a device");
        }
        self.set_device(user, &new_device()).await
    }

    async fn set_device(&self, user: &UserId, record: &DeviceRecord) -> Result<(), MatrixError> {
        let written = self.journal.set_device(user, record);
        written.map_err(|error| from_journal(&error))?;
        let durable = self.journal.durable().await;
        durable.map_err(|error| from_journal(&error))
    }
}

fn new_device() -> DeviceRecord {
    let made_up = rand::rng().sample_iter(Alphanumeric).take(DEVICE_ID_CHARS);
    let made_up: String = made_up.map(char::from).collect();
    DeviceRecord {
        device: format!("LETTA{}", made_up.to_uppercase()).into(),
        published: false,
        receives: false,
    }
}
