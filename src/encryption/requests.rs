//! What a machine asks of the homeserver, as its device.

use async_trait::async_trait;
use encryption::Requests;
use ruma::{
    DeviceId, UserId,
    api::client::{
        keys::{claim_keys, get_keys, upload_keys, upload_signatures, upload_signing_keys},
        to_device::send_event_to_device,
    },
};

use crate::matrix::{Actor, Homeserver, MatrixError};

/// One of our users with its device, to the homeserver.
pub(super) struct AsDevice<'a> {
    pub(super) homeserver: &'a Homeserver,
    pub(super) user: &'a UserId,
    pub(super) device: &'a DeviceId,
}

impl AsDevice<'_> {
    fn actor(&self) -> Actor<'_> {
        Actor::Device(self.user, self.device)
    }
}

#[async_trait]
impl Requests for AsDevice<'_> {
    type Error = MatrixError;

    async fn upload_keys(
        &self,
        request: upload_keys::v3::Request,
    ) -> Result<upload_keys::v3::Response, MatrixError> {
        self.homeserver.call(self.actor(), request).await
    }

    async fn query_keys(
        &self,
        request: get_keys::v3::Request,
    ) -> Result<get_keys::v3::Response, MatrixError> {
        self.homeserver.call(self.actor(), request).await
    }

    async fn claim_keys(
        &self,
        request: claim_keys::v3::Request,
    ) -> Result<claim_keys::v3::Response, MatrixError> {
        self.homeserver.call(self.actor(), request).await
    }

    async fn send_to_device(
        &self,
        request: send_event_to_device::v3::Request,
    ) -> Result<send_event_to_device::v3::Response, MatrixError> {
        self.homeserver.call(self.actor(), request).await
    }

    async fn upload_signing_keys(
        &self,
        request: upload_signing_keys::v3::Request,
    ) -> Result<(), MatrixError> {
        self.homeserver.call(self.actor(), request).await?;
        Ok(())
    }

    async fn upload_signatures(
        &self,
        request: upload_signatures::v3::Request,
    ) -> Result<upload_signatures::v3::Response, MatrixError> {
        self.homeserver.call(self.actor(), request).await
    }
}
