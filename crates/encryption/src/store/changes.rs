//! What the crate wants to keep, as rows.

use matrix_sdk_crypto::{
    CryptoStoreError,
    olm::{InboundGroupSession, OlmMessageHash},
    store::types::Changes,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{DurableStore, HASHES_MAX, Kind, Result, WrongKey, name};
use crate::row_store::Row;

impl DurableStore {
    pub(super) fn row(&self, kind: Kind, parts: &[&str], value: &impl Serialize) -> Result<Row> {
        let name = name(kind, parts);
        let value = serde_json::to_vec(value)?;
        let sealed = self.cipher.seal(&self.bound(&name), &value);
        let sealed = sealed.ok_or_else(|| CryptoStoreError::backend(WrongKey))?;
        Ok((name, Some(sealed)))
    }

    pub(super) fn open_row<T: DeserializeOwned>(&self, name: &[u8], sealed: &[u8]) -> Result<T> {
        let value = self.cipher.open(&self.bound(name), sealed);
        let value = value.ok_or_else(|| CryptoStoreError::backend(WrongKey))?;
        Ok(serde_json::from_slice(&value)?)
    }

    /// A row of one user does not open as one of another.
    fn bound(&self, name: &[u8]) -> Vec<u8> {
        [self.user.as_bytes(), b"\0", name].concat()
    }

    pub(super) async fn rows_of(&self, changes: &Changes) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        if let Some(identity) = &changes.private_identity {
            rows.push(self.row(Kind::CrossSigning, &[], &identity.pickle().await)?);
        }
        for session in &changes.sessions {
            let pickle = session.pickle().await;
            let parts = [&*pickle.sender_key.to_base64(), session.session_id()];
            rows.push(self.row(Kind::OlmSession, &parts, &pickle)?);
        }
        self.push_inbound(&mut rows, &changes.inbound_group_sessions)
            .await?;
        for session in &changes.outbound_group_sessions {
            let parts = [session.room_id().as_str()];
            rows.push(self.row(Kind::OutboundSession, &parts, &session.pickle().await)?);
        }
        let devices = &changes.devices;
        for device in devices.new.iter().chain(&devices.changed) {
            let parts = [device.user_id().as_str(), device.device_id().as_str()];
            rows.push(self.row(Kind::Device, &parts, device)?);
        }
        for device in &devices.deleted {
            let parts = [device.user_id().as_str(), device.device_id().as_str()];
            rows.push((name(Kind::Device, &parts), None));
        }
        let identities = &changes.identities;
        for identity in identities.new.iter().chain(&identities.changed) {
            rows.push(self.row(Kind::Identity, &[identity.user_id().as_str()], identity)?);
        }
        for request in &changes.key_requests {
            let parts = [request.request_id.as_str()];
            rows.push(self.row(Kind::Request, &parts, request)?);
        }
        for (room, sessions) in &changes.withheld_session_info {
            for (session, entry) in sessions {
                rows.push(self.row(Kind::Withheld, &[room.as_str(), session], entry)?);
            }
        }
        for (room, settings) in &changes.room_settings {
            rows.push(self.row(Kind::RoomSettings, &[room.as_str()], settings)?);
        }
        for bundle in &changes.received_room_key_bundles {
            let parts = [
                bundle.bundle_data.room_id.as_str(),
                bundle.sender_user.as_str(),
            ];
            rows.push(self.row(Kind::Bundle, &parts, bundle)?);
        }
        Ok(rows)
    }

    pub(super) async fn push_inbound(
        &self,
        rows: &mut Vec<Row>,
        sessions: &[InboundGroupSession],
    ) -> Result<()> {
        for session in sessions {
            let parts = [session.room_id().as_str(), session.session_id()];
            rows.push(self.row(Kind::InboundSession, &parts, &session.pickle().await)?);
        }
        Ok(())
    }

    /// The rows of new hashes, and of the oldest that go for them.
    pub(super) async fn push_hashes(
        &self,
        rows: &mut Vec<Row>,
        hashes: &[OlmMessageHash],
    ) -> Result<()> {
        let mut known = self.hashes.lock().await;
        for hash in hashes {
            let row = self.row(Kind::Hash, &[&hash.sender_key, &hash.hash], hash)?;
            known.push_back(row.0.clone());
            rows.push(row);
        }
        while known.len() > HASHES_MAX {
            rows.extend(known.pop_front().map(|oldest| (oldest, None)));
        }
        Ok(())
    }
}
