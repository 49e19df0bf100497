//! Devices of the caller. Deleting one needs the password; an application service makes and deletes those of its users (MSC4190).
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use http::StatusCode;
use ruma::{
    OwnedDeviceId,
    api::client::device::{
        Device, delete_device, delete_devices, get_device, get_devices, update_device,
    },
};

use super::{with_response::WithResponse, with_status::WithStatus};
use crate::{
    accounts::{
        devices::{DeviceWriteOutcome, IfMissing, manages_devices},
        record, uia,
    },
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    limits::DEVICES_DELETED_AT_ONCE,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(list)
        .add(get)
        .add(name)
        .add(delete)
        .add(delete_many)
}

async fn list(
    services: AppState,
    call: Call<get_devices::v3::Request>,
) -> Result<get_devices::v3::Response> {
    let devices = services.accounts.devices(&call.caller.user_id)?;
    let devices = devices.into_iter().map(|(id, device)| shown(id, device));
    Ok(get_devices::v3::Response::new(devices.collect()))
}

async fn get(
    services: AppState,
    call: Call<get_device::v3::Request>,
) -> Result<get_device::v3::Response> {
    let id = call.body.device_id;
    let device = services.accounts.device(&call.caller.user_id, &id)?;
    let device = device.ok_or_else(|| Error::not_found("You have no such device"))?;
    Ok(get_device::v3::Response::new(shown(id, device)))
}

fn shown(id: OwnedDeviceId, device: record::Device) -> Device {
    let mut shown = Device::new(id);
    // Texts, not nothing: matrix-nio misses what is not there, and the specification knows no null here.
    shown.display_name = Some(device.display_name.unwrap_or_default());
    shown.last_seen_ip = Some(device.last_seen_ip.unwrap_or_default());
    shown.last_seen_ts = device.last_seen;
    shown
}

/// A device that an application service makes is answered with 201.
async fn name(
    services: AppState,
    call: Call<WithResponse<update_device::v3::Request, WithStatus<update_device::v3::Response>>>,
) -> Result<WithStatus<update_device::v3::Response>> {
    let user = &call.caller.user_id;
    let if_missing = match &call.caller.appservice {
        Some(appservice) if manages_devices(appservice) => IfMissing::Make,
        _ => IfMissing::Refuse,
    };
    let update_device::v3::Request {
        device_id: device,
        display_name: name,
        ..
    } = call.body.request;
    let named = services
        .operations
        .name_device(user, &device, name, if_missing);
    let status = match named.await? {
        DeviceWriteOutcome::There => StatusCode::OK,
        DeviceWriteOutcome::Missing => StatusCode::CREATED,
    };
    Ok(WithStatus(status, update_device::v3::Response::new()))
}

async fn delete(
    services: AppState,
    call: Call<delete_device::v3::Request>,
) -> Result<delete_device::v3::Response> {
    may_delete(&call.caller)?;
    let shown = uia::authorize(
        &services.accounts,
        &call.caller,
        &call.facts,
        call.body.auth.as_ref(),
    )
    .await?;
    let devices = [call.body.device_id];
    services
        .operations
        .delete_devices(&call.caller.user_id, &devices, shown.as_ref())
        .await?;
    Ok(delete_device::v3::Response::new())
}

async fn delete_many(
    services: AppState,
    call: Call<delete_devices::v3::Request>,
) -> Result<delete_devices::v3::Response> {
    may_delete(&call.caller)?;
    if call.body.devices.len() > DEVICES_DELETED_AT_ONCE {
        return Err(Error::invalid(format!(
            "One request can delete {DEVICES_DELETED_AT_ONCE} devices"
        )));
    }
    let shown = uia::authorize(
        &services.accounts,
        &call.caller,
        &call.facts,
        call.body.auth.as_ref(),
    )
    .await?;
    services
        .operations
        .delete_devices(&call.caller.user_id, &call.body.devices, shown.as_ref())
        .await?;
    Ok(delete_devices::v3::Response::new())
}

fn may_delete(caller: &Caller) -> Result<()> {
    match &caller.appservice {
        Some(appservice) if !manages_devices(appservice) => Err(Error::not_found(
            "Device management not enabled for appservice.",
        )),
        _ => Ok(()),
    }
}
