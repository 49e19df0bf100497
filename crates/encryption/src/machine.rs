//! One device of one user.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use async_trait::async_trait;
use matrix_sdk_crypto::{
    CollectStrategy, CryptoStoreError, DecryptionSettings, EncryptionSettings,
    EncryptionSyncChanges, MegolmError, OlmError, OlmMachine, OlmMachineBuilder, TrustRequirement,
    types::requests::{
        AnyOutgoingRequest, OutgoingRequest, ToDeviceRequest, UploadSigningKeysRequest,
    },
    vodozemac::megolm::DecryptionError,
};
use ruma::{
    OneTimeKeyAlgorithm, OwnedDeviceId, OwnedRoomId, OwnedTransactionId, OwnedUserId, RoomId, UInt,
    UserId,
    api::client::{
        keys::{claim_keys, get_keys, upload_keys, upload_signatures, upload_signing_keys},
        sync::sync_events::DeviceLists,
        to_device::send_event_to_device,
    },
    events::{
        AnyToDeviceEvent,
        room::{encryption::RoomEncryptionEventContent, history_visibility::HistoryVisibility},
    },
    serde::Raw,
};
use serde_json::value::RawValue;
use tracing::{debug, warn};

use crate::{
    cipher::Cipher,
    error::{CannotDecrypt, EncryptionError},
    row_store::RowStore,
    store::DurableStore,
};

/// The most rounds of requests that one step makes. More would mean that an answer changes nothing.
const ROUNDS_MAX: usize = 10;

/// What a machine asks of its homeserver, as its user and its device.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Why the homeserver did not answer as it should.
    type Error: std::error::Error + Send + Sync + 'static;

    /// `POST /keys/upload`
    async fn upload_keys(
        &self,
        request: upload_keys::v3::Request,
    ) -> Result<upload_keys::v3::Response, Self::Error>;
    /// `POST /keys/query`
    async fn query_keys(
        &self,
        request: get_keys::v3::Request,
    ) -> Result<get_keys::v3::Response, Self::Error>;
    /// `POST /keys/claim`
    async fn claim_keys(
        &self,
        request: claim_keys::v3::Request,
    ) -> Result<claim_keys::v3::Response, Self::Error>;
    /// `PUT /sendToDevice/{type}/{txnId}`
    async fn send_to_device(
        &self,
        request: send_event_to_device::v3::Request,
    ) -> Result<send_event_to_device::v3::Response, Self::Error>;
    /// `POST /keys/device_signing/upload`
    async fn upload_signing_keys(
        &self,
        request: upload_signing_keys::v3::Request,
    ) -> Result<(), Self::Error>;
    /// `POST /keys/signatures/upload`
    async fn upload_signatures(
        &self,
        request: upload_signatures::v3::Request,
    ) -> Result<upload_signatures::v3::Response, Self::Error>;
}

/// What a transaction brings for one device. What it does not name is not told, which never means that there is none.
#[derive(Debug, Default)]
pub struct EncryptionChanges {
    /// To-device messages, in their order.
    pub to_device: Vec<Raw<AnyToDeviceEvent>>,
    /// People whose devices have changed.
    pub changed: Vec<OwnedUserId>,
    /// How many one-time keys are left.
    pub one_time_keys: BTreeMap<OneTimeKeyAlgorithm, UInt>,
    /// The fallback keys that nobody has used.
    pub unused_fallback_keys: Option<Vec<OneTimeKeyAlgorithm>>,
}

/// Who reads what is encrypted in a room, and for how long one key serves.
#[derive(Debug)]
pub struct Recipients<'a> {
    /// The room.
    pub room: &'a RoomId,
    /// Everybody who may read it: who is in it and, where the history is shown to them, who is invited.
    pub users: Vec<OwnedUserId>,
    /// The content of the room's `m.room.encryption`.
    pub encryption: RoomEncryptionEventContent,
    /// The room's history visibility.
    pub history: HistoryVisibility,
}

/// An event as its sender wrote it.
#[derive(Debug)]
pub struct Decrypted {
    /// The event with its own type and content in place of the encrypted ones.
    pub event: Box<RawValue>,
}

/// See the module's documentation. Steps of one machine must not run at the same time.
#[derive(Clone, Debug)]
pub struct Machine {
    olm: OlmMachine,
    decryption: DecryptionSettings,
}

type BoxFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;
type MachineResult<T, R> = Result<T, EncryptionError<<R as Requests>::Error>>;

impl Machine {
    /// Opens the machine of a device, or makes it. A new one is on disk when this returns.
    pub async fn open<E: std::error::Error + 'static>(
        user: &UserId,
        device: OwnedDeviceId,
        rows: Arc<dyn RowStore>,
        cipher: Cipher,
    ) -> Result<Self, EncryptionError<E>> {
        let store = DurableStore::open(user.to_owned(), rows, cipher).await?;
        let olm = OlmMachineBuilder::new(user, &device)
            .with_crypto_store(store)
            .build()
            .await?;
        Ok(Self {
            olm,
            decryption: DecryptionSettings {
                sender_device_trust_requirement: TrustRequirement::Untrusted,
            },
        })
    }

    /// Uploads the keys of the device, and the identity of its user that signs it. May be done twice.
    pub async fn publish<R: Requests>(&self, requests: &R) -> MachineResult<(), R> {
        self.flush(requests).await?;
        let bootstrap = self.olm.bootstrap_cross_signing(false).await?;
        if let Some(upload) = &bootstrap.upload_keys_req {
            self.send(upload, requests).await?;
        }
        requests
            .upload_signing_keys(signing_keys(&bootstrap.upload_signing_keys_req))
            .await
            .map_err(EncryptionError::Homeserver)?;
        requests
            .upload_signatures(bootstrap.upload_signatures_req)
            .await
            .map_err(EncryptionError::Homeserver)?;
        self.flush(requests).await
    }

    /// Applies what a transaction brings, and sends the requests that follow from it. Answers the rooms for which keys have come.
    pub async fn receive_changes<R: Requests>(
        &self,
        changes: EncryptionChanges,
        requests: &R,
    ) -> MachineResult<Vec<OwnedRoomId>, R> {
        let mut changed_devices = DeviceLists::default();
        changed_devices.changed = changes.changed;
        let changes = EncryptionSyncChanges {
            to_device_events: changes.to_device,
            changed_devices: &changed_devices,
            one_time_keys_counts: &changes.one_time_keys,
            unused_fallback_keys: changes.unused_fallback_keys.as_deref(),
            next_batch_token: None,
        };
        // This form takes a count that is absent for unknown, and not for none.
        let (_, keys) = self
            .olm
            .receive_sync_changes_msc4186(changes, &self.decryption)
            .await?;
        // The keys are on disk; that a request of ours fails must not hide them.
        if let Err(error) = self.flush(requests).await {
            warn!(user.id = %self.olm.user_id(), error = &error as &dyn std::error::Error, "could not send requests of encryption; the next step sends them");
        }
        let mut rooms: Vec<OwnedRoomId> = keys.into_iter().map(|key| key.room_id).collect();
        rooms.sort_unstable();
        rooms.dedup();
        Ok(rooms)
    }

    /// Opens an event of a room.
    pub async fn decrypt(
        &self,
        room: &RoomId,
        event: &RawValue,
    ) -> Result<Decrypted, CannotDecrypt> {
        let raw = Raw::from_json(event.to_owned());
        match self
            .olm
            .decrypt_room_event(&raw, room, &self.decryption)
            .await
        {
            Ok(decrypted) => Ok(Decrypted {
                event: decrypted.event.into_json(),
            }),
            // Also where the session is known from a later message on: an earlier one may still come.
            Err(
                MegolmError::MissingRoomKey(None)
                | MegolmError::Decryption(DecryptionError::UnknownMessageIndex(..)),
            ) => Err(CannotDecrypt::NoKey),
            Err(MegolmError::MissingRoomKey(Some(code))) => {
                Err(CannotDecrypt::Withheld(code.to_string()))
            }
            Err(MegolmError::Store(error)) => Err(CannotDecrypt::Store(error)),
            Err(error) => Err(CannotDecrypt::Damaged(error.to_string())),
        }
    }

    /// Encrypts an event content for a room: gives everybody the key who lacks it, and answers the content of `m.room.encrypted`.
    pub async fn encrypt<R: Requests>(
        &self,
        recipients: Recipients<'_>,
        event_type: &str,
        content: &RawValue,
        requests: &R,
    ) -> MachineResult<Box<RawValue>, R> {
        self.track(&recipients.users).await?;
        self.flush(requests).await?;
        if let Some((id, claim)) = self.missing_sessions(&recipients.users).await? {
            let answer = requests
                .claim_keys(claim)
                .await
                .map_err(EncryptionError::Homeserver)?;
            self.olm.mark_request_as_sent(&id, &answer).await?;
        }
        let settings = EncryptionSettings::new(
            recipients.encryption,
            recipients.history,
            CollectStrategy::default(),
        );
        let shares = self
            .share(recipients.room, &recipients.users, settings)
            .await?;
        for share in shares {
            self.send_to_device(&share, requests).await?;
        }
        let content = Raw::from_json(content.to_owned());
        let encrypted = self
            .olm
            .encrypt_room_event_raw(recipients.room, event_type, &content)
            .await?;
        Ok(encrypted.content.into_json())
    }

    // Boxed, or the compiler does not see that what holds these iterators can move to another thread.
    fn track<'a>(&'a self, users: &'a [OwnedUserId]) -> BoxFuture<'a, (), CryptoStoreError> {
        Box::pin(
            self.olm
                .update_tracked_users(users.iter().map(AsRef::as_ref)),
        )
    }

    fn missing_sessions<'a>(
        &'a self,
        users: &'a [OwnedUserId],
    ) -> BoxFuture<'a, Option<(OwnedTransactionId, claim_keys::v3::Request)>, CryptoStoreError>
    {
        Box::pin(
            self.olm
                .get_missing_sessions(users.iter().map(AsRef::as_ref)),
        )
    }

    fn share<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [OwnedUserId],
        settings: EncryptionSettings,
    ) -> BoxFuture<'a, Vec<Arc<ToDeviceRequest>>, OlmError> {
        let users = users.iter().map(AsRef::as_ref);
        Box::pin(self.olm.share_room_key(room, users, settings))
    }

    /// Sends what waits to be sent, until nothing does.
    async fn flush<R: Requests>(&self, requests: &R) -> MachineResult<(), R> {
        for _ in 0..ROUNDS_MAX {
            let outgoing = self.olm.outgoing_requests().await?;
            if outgoing.is_empty() {
                return Ok(());
            }
            for request in outgoing {
                self.send(&request, requests).await?;
            }
        }
        debug!(user.id = %self.olm.user_id(), "more requests of encryption wait; the next step sends them");
        Ok(())
    }

    async fn send<R: Requests>(
        &self,
        outgoing: &OutgoingRequest,
        requests: &R,
    ) -> MachineResult<(), R> {
        let id = outgoing.request_id();
        let failed = EncryptionError::Homeserver;
        match outgoing.request() {
            AnyOutgoingRequest::KeysUpload(request) => {
                let answer = requests
                    .upload_keys(request.clone())
                    .await
                    .map_err(failed)?;
                self.olm.mark_request_as_sent(id, &answer).await?;
            }
            AnyOutgoingRequest::KeysQuery(query) => {
                let mut request = get_keys::v3::Request::new();
                request.timeout = query.timeout;
                request.device_keys = query.device_keys.clone();
                let answer = requests.query_keys(request).await.map_err(failed)?;
                self.olm.mark_request_as_sent(id, &answer).await?;
            }
            AnyOutgoingRequest::KeysClaim(request) => {
                let answer = requests.claim_keys(request.clone()).await.map_err(failed)?;
                self.olm.mark_request_as_sent(id, &answer).await?;
            }
            AnyOutgoingRequest::ToDeviceRequest(request) => {
                self.send_to_device(request, requests).await?;
            }
            AnyOutgoingRequest::SignatureUpload(request) => {
                let answer = requests
                    .upload_signatures(request.clone())
                    .await
                    .map_err(failed)?;
                self.olm.mark_request_as_sent(id, &answer).await?;
            }
            // A verification in a room, which nobody here begins.
            AnyOutgoingRequest::RoomMessage(_) => {}
        }
        Ok(())
    }

    async fn send_to_device<R: Requests>(
        &self,
        request: &ToDeviceRequest,
        requests: &R,
    ) -> MachineResult<(), R> {
        let to_send = send_event_to_device::v3::Request::new_raw(
            request.event_type.clone(),
            request.txn_id.clone(),
            request.messages.clone(),
        );
        let answer = requests
            .send_to_device(to_send)
            .await
            .map_err(EncryptionError::Homeserver)?;
        self.olm
            .mark_request_as_sent(&request.txn_id, &answer)
            .await?;
        Ok(())
    }
}

fn signing_keys(keys: &UploadSigningKeysRequest) -> upload_signing_keys::v3::Request {
    let raw = |key: &Option<_>| {
        key.as_ref()
            .and_then(|key| Raw::new(key).ok().map(Raw::cast_unchecked))
    };
    let mut request = upload_signing_keys::v3::Request::new();
    request.master_key = raw(&keys.master_key);
    request.self_signing_key = raw(&keys.self_signing_key);
    request.user_signing_key = raw(&keys.user_signing_key);
    request
}
