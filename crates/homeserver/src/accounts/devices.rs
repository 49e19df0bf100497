//! Devices: listed, named, made by application services, and deleted with everything that is theirs.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::{Accounts, record::Device};
use crate::{
    appservices::Appservice,
    error::{Error, Result},
    limits::{DEVICE_NAME_MAX_BYTES, DEVICES_PER_USER},
    store::tables,
};

/// Whether a device was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceWriteOutcome {
    /// It has a new name.
    There,
    /// It was made.
    Missing,
}

/// Whether a device that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// It is made.
    Make,
    /// That is 404.
    Refuse,
}

/// Whether the application service makes and deletes the devices of its users itself, without a login (MSC4190).
pub fn manages_devices(appservice: &Appservice) -> bool {
    appservice.registration().file().device_management
}

/// Refuses a name that is too long for a device.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM`.
pub fn check_name(name: Option<&str>) -> Result<()> {
    if name.is_none_or(|name| name.len() <= DEVICE_NAME_MAX_BYTES) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Device name too long (max {DEVICE_NAME_MAX_BYTES} bytes)"
    )))
}

impl Accounts {
    /// A device of a user.
    pub fn device(&self, user: &UserId, device: &DeviceId) -> Result<Option<Device>> {
        Ok(self.store.get::<tables::Devices>((user, device))?)
    }

    /// Refuses one device more than a user can have. The caller holds `changing`.
    ///
    /// # Errors
    ///
    /// 403 `M_FORBIDDEN`.
    pub(crate) fn check_device_count(&self, user: &UserId) -> Result<()> {
        let devices = self.store.scan::<tables::Devices>((user,)).keys();
        if devices.take(DEVICES_PER_USER).count() < DEVICES_PER_USER {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "Too many devices (max {DEVICES_PER_USER} per user): log out on some first"
        )))
    }

    /// All devices of a user.
    pub fn devices(&self, user: &UserId) -> Result<Vec<(OwnedDeviceId, Device)>> {
        let rows = self.store.scan::<tables::Devices>((user,));
        rows.map(|row| {
            row.map(|((_, id), device)| (id, device))
                .map_err(Error::from)
        })
        .collect()
    }
}
