//! The keys of one machine: in memory as `matrix-sdk-crypto` has them there, and every change on disk before it counts.
//!
//! A row holds one object as JSON, encrypted. Its name says what it is: a kind, and what tells it from others of its kind.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use matrix_sdk_common::cross_process_lock::CrossProcessLockGeneration;
use matrix_sdk_crypto::{
    Account, CryptoStoreError, DeviceData, GossipRequest, SecretInfo, UserIdentityData,
    olm::{
        InboundGroupSession, OlmMessageHash, OutboundGroupSession, PrivateCrossSigningIdentity,
        SenderDataType, Session,
    },
    store::{
        CryptoStore, MemoryStore,
        types::{
            BackupKeys, Changes, DehydratedDeviceKey, PendingChanges, RoomKeyCounts,
            RoomKeyWithheldEntry, RoomPendingKeyBundleDetails, RoomSettings,
            StoredRoomKeyBundleData, TrackedUser,
        },
    },
    vodozemac::Curve25519PublicKey,
};
use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, RoomId, TransactionId, UserId,
    events::secret::request::SecretName,
};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

mod changes;
mod load;

use crate::{
    cipher::Cipher,
    row_store::{Row, RowStore, RowStoreError},
};

/// The most hashes of received messages that are remembered, to find those that come again. One is 64 bytes.
const HASHES_MAX: usize = 10_000;

/// What a row holds: the first byte of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Account = b'a',
    CrossSigning = b'c',
    OlmSession = b's',
    InboundSession = b'i',
    OutboundSession = b'o',
    Device = b'd',
    Identity = b'u',
    Hash = b'h',
    Tracked = b't',
    Request = b'r',
    Withheld = b'w',
    RoomSettings = b'e',
    Custom = b'x',
    Bundle = b'b',
}

type Result<T> = std::result::Result<T, CryptoStoreError>;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct DurableStore {
    user: OwnedUserId,
    rows: Arc<dyn RowStore>,
    cipher: Cipher,
    memory: MemoryStore,
    cross_signing: Mutex<Option<PrivateCrossSigningIdentity>>,
    /// The names of the rows of hashes, oldest first; of those of an earlier process in any order.
    hashes: Mutex<VecDeque<Vec<u8>>>,
}

/// A row does not open with the key of the configuration.
#[derive(Debug, thiserror::Error)]
#[error(
    "a stored encryption key does not open: is `encryption.pickle_key` the one that it was written with?"
)]
struct WrongKey;

impl DurableStore {
    async fn write(&self, rows: Vec<Row>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.rows.write(&self.user, rows).await;
        written.map_err(|RowStoreError(error)| CryptoStoreError::Backend(error))
    }
}

/// The name of a row.
fn name(kind: Kind, parts: &[&str]) -> Vec<u8> {
    let mut name = vec![kind as u8];
    for part in parts {
        name.extend_from_slice(part.as_bytes());
        name.push(0);
    }
    name
}

#[async_trait]
impl CryptoStore for DurableStore {
    type Error = CryptoStoreError;

    async fn load_identity(&self) -> Result<Option<PrivateCrossSigningIdentity>> {
        Ok(self.cross_signing.lock().await.clone())
    }

    async fn save_pending_changes(&self, changes: PendingChanges) -> Result<()> {
        let Some(account) = &changes.account else {
            return Ok(());
        };
        let row = self.row(Kind::Account, &[], &account.pickle())?;
        self.write(vec![row]).await?;
        Ok(self.memory.save_pending_changes(changes).await?)
    }

    async fn save_changes(&self, changes: Changes) -> Result<()> {
        let mut rows = self.rows_of(&changes).await?;
        self.push_hashes(&mut rows, &changes.message_hashes).await?;
        self.write(rows).await?;
        if let Some(identity) = &changes.private_identity {
            *self.cross_signing.lock().await = Some(identity.clone());
        }
        Ok(self.memory.save_changes(changes).await?)
    }

    async fn save_inbound_group_sessions(
        &self,
        sessions: Vec<InboundGroupSession>,
        backed_up_to_version: Option<&str>,
    ) -> Result<()> {
        let mut rows = Vec::new();
        self.push_inbound(&mut rows, &sessions).await?;
        self.write(rows).await?;
        let saved = self
            .memory
            .save_inbound_group_sessions(sessions, backed_up_to_version);
        Ok(saved.await?)
    }

    async fn save_tracked_users(&self, users: &[(&UserId, bool)]) -> Result<()> {
        let mut rows = Vec::new();
        for (user, dirty) in users {
            rows.push(self.row(Kind::Tracked, &[user.as_str()], dirty)?);
        }
        self.write(rows).await?;
        Ok(self.memory.save_tracked_users(users).await?)
    }

    async fn delete_outgoing_secret_requests(&self, request: &TransactionId) -> Result<()> {
        let row = (name(Kind::Request, &[request.as_str()]), None);
        self.write(vec![row]).await?;
        Ok(self.memory.delete_outgoing_secret_requests(request).await?)
    }

    async fn set_custom_value(&self, key: &str, value: Vec<u8>) -> Result<()> {
        let row = self.row(Kind::Custom, &[key], &(key, &value))?;
        self.write(vec![row]).await?;
        Ok(self.memory.set_custom_value(key, value).await?)
    }

    async fn remove_custom_value(&self, key: &str) -> Result<()> {
        self.write(vec![(name(Kind::Custom, &[key]), None)]).await?;
        Ok(self.memory.remove_custom_value(key).await?)
    }

    async fn inbound_group_sessions_for_backup(
        &self,
        version: &str,
        limit: usize,
    ) -> Result<Vec<InboundGroupSession>> {
        let found = self
            .memory
            .inbound_group_sessions_for_backup(version, limit);
        Ok(found.await?)
    }

    async fn mark_inbound_group_sessions_as_backed_up(
        &self,
        version: &str,
        sessions: &[(&RoomId, &str)],
    ) -> Result<()> {
        let marked = self
            .memory
            .mark_inbound_group_sessions_as_backed_up(version, sessions);
        Ok(marked.await?)
    }

    async fn get_inbound_group_sessions_for_device_batch(
        &self,
        key: Curve25519PublicKey,
        data: SenderDataType,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<InboundGroupSession>> {
        let found = self
            .memory
            .get_inbound_group_sessions_for_device_batch(key, data, after, limit);
        Ok(found.await?)
    }

    async fn try_take_leased_lock(
        &self,
        lease_ms: u32,
        key: &str,
        holder: &str,
    ) -> Result<Option<CrossProcessLockGeneration>> {
        Ok(self
            .memory
            .try_take_leased_lock(lease_ms, key, holder)
            .await?)
    }

    // What follows is for the memory alone to say.

    async fn load_account(&self) -> Result<Option<Account>> {
        Ok(self.memory.load_account().await?)
    }

    async fn get_sessions(&self, sender_key: &str) -> Result<Option<Vec<Session>>> {
        Ok(self.memory.get_sessions(sender_key).await?)
    }

    async fn get_inbound_group_session(
        &self,
        room: &RoomId,
        session: &str,
    ) -> Result<Option<InboundGroupSession>> {
        Ok(self.memory.get_inbound_group_session(room, session).await?)
    }

    async fn get_withheld_info(
        &self,
        room: &RoomId,
        session: &str,
    ) -> Result<Option<RoomKeyWithheldEntry>> {
        Ok(self.memory.get_withheld_info(room, session).await?)
    }

    async fn get_withheld_sessions_by_room_id(
        &self,
        room: &RoomId,
    ) -> Result<Vec<RoomKeyWithheldEntry>> {
        Ok(self.memory.get_withheld_sessions_by_room_id(room).await?)
    }

    async fn get_inbound_group_sessions(&self) -> Result<Vec<InboundGroupSession>> {
        Ok(self.memory.get_inbound_group_sessions().await?)
    }

    async fn inbound_group_session_counts(&self, version: Option<&str>) -> Result<RoomKeyCounts> {
        Ok(self.memory.inbound_group_session_counts(version).await?)
    }

    async fn get_inbound_group_sessions_by_room_id(
        &self,
        room: &RoomId,
    ) -> Result<Vec<InboundGroupSession>> {
        Ok(self
            .memory
            .get_inbound_group_sessions_by_room_id(room)
            .await?)
    }

    async fn reset_backup_state(&self) -> Result<()> {
        Ok(self.memory.reset_backup_state().await?)
    }

    async fn load_backup_keys(&self) -> Result<BackupKeys> {
        Ok(self.memory.load_backup_keys().await?)
    }

    async fn load_dehydrated_device_pickle_key(&self) -> Result<Option<DehydratedDeviceKey>> {
        Ok(self.memory.load_dehydrated_device_pickle_key().await?)
    }

    async fn delete_dehydrated_device_pickle_key(&self) -> Result<()> {
        Ok(self.memory.delete_dehydrated_device_pickle_key().await?)
    }

    async fn get_outbound_group_session(
        &self,
        room: &RoomId,
    ) -> Result<Option<OutboundGroupSession>> {
        Ok(self.memory.get_outbound_group_session(room).await?)
    }

    async fn load_tracked_users(&self) -> Result<Vec<TrackedUser>> {
        Ok(self.memory.load_tracked_users().await?)
    }

    async fn get_device(&self, user: &UserId, device: &DeviceId) -> Result<Option<DeviceData>> {
        Ok(self.memory.get_device(user, device).await?)
    }

    async fn get_user_devices(&self, user: &UserId) -> Result<HashMap<OwnedDeviceId, DeviceData>> {
        Ok(self.memory.get_user_devices(user).await?)
    }

    async fn get_own_device(&self) -> Result<DeviceData> {
        Ok(self.memory.get_own_device().await?)
    }

    async fn get_user_identity(&self, user: &UserId) -> Result<Option<UserIdentityData>> {
        Ok(self.memory.get_user_identity(user).await?)
    }

    async fn is_message_known(&self, hash: &OlmMessageHash) -> Result<bool> {
        Ok(self.memory.is_message_known(hash).await?)
    }

    async fn get_outgoing_secret_requests(
        &self,
        request: &TransactionId,
    ) -> Result<Option<GossipRequest>> {
        Ok(self.memory.get_outgoing_secret_requests(request).await?)
    }

    async fn get_secret_request_by_info(&self, info: &SecretInfo) -> Result<Option<GossipRequest>> {
        Ok(self.memory.get_secret_request_by_info(info).await?)
    }

    async fn get_unsent_secret_requests(&self) -> Result<Vec<GossipRequest>> {
        Ok(self.memory.get_unsent_secret_requests().await?)
    }

    async fn get_secrets_from_inbox(&self, name: &SecretName) -> Result<Vec<Zeroizing<String>>> {
        Ok(self.memory.get_secrets_from_inbox(name).await?)
    }

    async fn delete_secrets_from_inbox(&self, name: &SecretName) -> Result<()> {
        Ok(self.memory.delete_secrets_from_inbox(name).await?)
    }

    async fn get_room_settings(&self, room: &RoomId) -> Result<Option<RoomSettings>> {
        Ok(self.memory.get_room_settings(room).await?)
    }

    async fn get_received_room_key_bundle_data(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<Option<StoredRoomKeyBundleData>> {
        Ok(self
            .memory
            .get_received_room_key_bundle_data(room, user)
            .await?)
    }

    async fn get_pending_key_bundle_details_for_room(
        &self,
        room: &RoomId,
    ) -> Result<Option<RoomPendingKeyBundleDetails>> {
        Ok(self
            .memory
            .get_pending_key_bundle_details_for_room(room)
            .await?)
    }

    async fn get_all_rooms_pending_key_bundles(&self) -> Result<Vec<RoomPendingKeyBundleDetails>> {
        Ok(self.memory.get_all_rooms_pending_key_bundles().await?)
    }

    async fn has_downloaded_all_room_keys(&self, room: &RoomId) -> Result<bool> {
        Ok(self.memory.has_downloaded_all_room_keys(room).await?)
    }

    async fn get_custom_value(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.memory.get_custom_value(key).await?)
    }

    async fn next_batch_token(&self) -> Result<Option<String>> {
        Ok(self.memory.next_batch_token().await?)
    }

    async fn close(&self) -> Result<()> {
        Ok(self.memory.close().await?)
    }

    async fn reopen(&self) -> Result<()> {
        Ok(self.memory.reopen().await?)
    }

    async fn get_size(&self) -> Result<Option<usize>> {
        Ok(self.memory.get_size().await?)
    }
}
