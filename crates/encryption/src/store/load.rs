//! Opens what is on disk.

use std::{collections::VecDeque, sync::Arc};

use matrix_sdk_crypto::{
    Account, CryptoStoreError, DeviceData, GossipRequest, UserIdentityData,
    olm::{
        InboundGroupSession, OlmMessageHash, OutboundGroupSession, PickledAccount,
        PickledCrossSigningIdentity, PickledInboundGroupSession, PickledOutboundGroupSession,
        PickledSession, PrivateCrossSigningIdentity, Session,
    },
    store::{
        CryptoStore, MemoryStore,
        types::{
            Changes, DeviceChanges, IdentityChanges, PendingChanges, RoomKeyWithheldEntry,
            RoomSettings, StoredRoomKeyBundleData,
        },
    },
};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use tokio::sync::Mutex;

use super::{DurableStore, Kind, Result};
use crate::{
    cipher::Cipher,
    row_store::{RowStore, RowStoreError, StoredRows},
};

/// The rows of one kind: what tells each from the others, and what it holds.
type Found = Vec<(Vec<String>, Vec<u8>, Vec<u8>)>;

/// All rows of a user, by kind.
struct Sorted(Vec<(Kind, Found)>);

impl DurableStore {
    /// The keys of a user, as they are on disk.
    pub(crate) async fn open(
        user: OwnedUserId,
        rows: Arc<dyn RowStore>,
        cipher: Cipher,
    ) -> Result<Self> {
        let found = rows
            .load(&user)
            .map_err(|RowStoreError(error)| CryptoStoreError::Backend(error))?;
        let mut store = Self {
            user,
            rows,
            cipher,
            memory: MemoryStore::new(),
            cross_signing: Mutex::new(None),
            hashes: Mutex::new(VecDeque::new()),
        };
        let mut sorted = Sorted::new(found);
        if let Some((_, name, value)) = sorted.take(Kind::Account).pop() {
            store.fill(&mut sorted, &name, &value).await?;
        }
        Ok(store)
    }

    async fn fill(&mut self, sorted: &mut Sorted, name: &[u8], value: &[u8]) -> Result<()> {
        let pickle: PickledAccount = self.open_row(name, value)?;
        let account = Account::from_pickle(pickle)?;
        let changes = self.changes(sorted, &account)?;
        self.hashes = Mutex::new(
            changes
                .message_hashes
                .iter()
                .map(|hash| super::name(Kind::Hash, &[&hash.sender_key, &hash.hash]))
                .collect(),
        );
        for (_, name, value) in sorted.take(Kind::CrossSigning) {
            let pickle: PickledCrossSigningIdentity = self.open_row(&name, &value)?;
            let identity = PrivateCrossSigningIdentity::from_pickle(pickle)
                .map_err(|_| CryptoStoreError::UnpicklingError)?;
            self.cross_signing = Mutex::new(Some(identity));
        }
        self.memory.save_changes(changes).await?;
        self.memory
            .save_pending_changes(PendingChanges {
                account: Some(account),
            })
            .await?;
        for (parts, name, value) in sorted.take(Kind::Tracked) {
            let dirty: bool = self.open_row(&name, &value)?;
            if let Some(user) = parts
                .first()
                .and_then(|user| <&UserId>::try_from(&**user).ok())
            {
                self.memory.save_tracked_users(&[(user, dirty)]).await?;
            }
        }
        for (_, name, value) in sorted.take(Kind::Custom) {
            let (key, value): (String, Vec<u8>) = self.open_row(&name, &value)?;
            self.memory.set_custom_value(&key, value).await?;
        }
        Ok(())
    }

    fn changes(&self, sorted: &mut Sorted, account: &Account) -> Result<Changes> {
        let devices: Vec<DeviceData> = self.all(sorted, Kind::Device)?;
        let own = devices
            .iter()
            .find(|device| {
                device.user_id() == account.user_id() && device.device_id() == account.device_id()
            })
            .map(|device| device.as_device_keys().clone());
        let mut changes = Changes::default();
        for pickle in self.all::<PickledSession>(sorted, Kind::OlmSession)? {
            let own = own.clone().ok_or(CryptoStoreError::AccountUnset)?;
            let session = Session::from_pickle(own, pickle);
            changes
                .sessions
                .push(session.map_err(|_| CryptoStoreError::UnpicklingError)?);
        }
        for pickle in self.all::<PickledInboundGroupSession>(sorted, Kind::InboundSession)? {
            let session = InboundGroupSession::from_pickle(pickle)?;
            changes.inbound_group_sessions.push(session);
        }
        let keys = Arc::new(account.identity_keys());
        for pickle in self.all::<PickledOutboundGroupSession>(sorted, Kind::OutboundSession)? {
            let device = account.device_id().to_owned();
            let session = OutboundGroupSession::from_pickle(device, keys.clone(), pickle)?;
            changes.outbound_group_sessions.push(session);
        }
        changes.devices = DeviceChanges {
            new: devices,
            ..DeviceChanges::default()
        };
        changes.identities = IdentityChanges {
            new: self.all::<UserIdentityData>(sorted, Kind::Identity)?,
            ..IdentityChanges::default()
        };
        changes.message_hashes = self.all::<OlmMessageHash>(sorted, Kind::Hash)?;
        changes.key_requests = self.all::<GossipRequest>(sorted, Kind::Request)?;
        changes.received_room_key_bundles =
            self.all::<StoredRoomKeyBundleData>(sorted, Kind::Bundle)?;
        for (parts, name, value) in sorted.take(Kind::Withheld) {
            let entry: RoomKeyWithheldEntry = self.open_row(&name, &value)?;
            if let Some((room, session)) = room_and_rest(parts) {
                let sessions = changes.withheld_session_info.entry(room).or_default();
                sessions.insert(session, entry);
            }
        }
        for (parts, name, value) in sorted.take(Kind::RoomSettings) {
            let settings: RoomSettings = self.open_row(&name, &value)?;
            if let Some((room, _)) = room_and_rest(parts) {
                changes.room_settings.insert(room, settings);
            }
        }
        Ok(changes)
    }

    fn all<T: serde::de::DeserializeOwned>(
        &self,
        sorted: &mut Sorted,
        kind: Kind,
    ) -> Result<Vec<T>> {
        sorted
            .take(kind)
            .iter()
            .map(|(_, name, value)| self.open_row(name, value))
            .collect()
    }
}

fn room_and_rest(parts: Vec<String>) -> Option<(OwnedRoomId, String)> {
    let mut parts = parts.into_iter();
    let room = OwnedRoomId::try_from(parts.next()?).ok()?;
    Some((room, parts.next().unwrap_or_default()))
}

impl Sorted {
    fn new(rows: StoredRows) -> Self {
        const KINDS: [Kind; 14] = [
            Kind::Account,
            Kind::CrossSigning,
            Kind::OlmSession,
            Kind::InboundSession,
            Kind::OutboundSession,
            Kind::Device,
            Kind::Identity,
            Kind::Hash,
            Kind::Tracked,
            Kind::Request,
            Kind::Withheld,
            Kind::RoomSettings,
            Kind::Custom,
            Kind::Bundle,
        ];
        let mut sorted = Self(KINDS.map(|kind| (kind, Vec::new())).into());
        for (name, value) in rows {
            let kind = name.first().copied();
            let found = sorted
                .0
                .iter_mut()
                .find(|(known, _)| Some(*known as u8) == kind);
            if let Some((_, found)) = found {
                let parts = String::from_utf8_lossy(&name[1..]);
                let parts = parts.split_terminator('\0').map(str::to_owned).collect();
                found.push((parts, name, value));
            }
        }
        sorted
    }

    fn take(&mut self, kind: Kind) -> Found {
        let found = self.0.iter_mut().find(|(known, _)| *known == kind);
        found
            .map(|(_, rows)| std::mem::take(rows))
            .unwrap_or_default()
    }
}
