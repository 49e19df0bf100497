//! Cross-signing, recovery, and the day on which a person has nothing left but the recovery key.

use anyhow::{Context as _, Result, ensure};
use matrix_sdk::ruma::api::client::uiaa::{
    AuthData, MatrixUserIdentifier, Password, UserIdentifier,
};
use matrix_sdk::{Room, RoomState};
use matrix_sdk_ui::timeline::RoomExt;

use crate::Options;
use crate::history::find;
use crate::person::{PASSWORD, Person};
use crate::steps::{Steps, until};

/// Cross-signing keys for both, seen by the other.
pub async fn cross_signing(steps: &mut Steps, alice: &Person, bob: &Person) {
    for person in [alice, bob] {
        steps.step("set up cross-signing", set_up(person)).await;
    }
    steps
        .step("others see the cross-signing keys", async {
            let identity = alice
                .client
                .encryption()
                .request_user_identity(&bob.id)
                .await?;
            let identity = identity.context("Bob has none")?;
            ensure!(identity.user_id() == bob.id, "it is somebody else's");
            Ok(())
        })
        .await;
}

/// The homeserver may ask for the password before it takes the keys.
async fn set_up(person: &Person) -> Result<()> {
    let encryption = person.client.encryption();
    if let Err(error) = encryption.bootstrap_cross_signing(None).await {
        let asked = error.as_uiaa_response().context(error.to_string())?;
        let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(person.id.to_string()));
        let mut password = Password::new(user, PASSWORD.to_owned());
        password.session = asked.session.clone();
        encryption
            .bootstrap_cross_signing(Some(AuthData::Password(password)))
            .await?;
    }
    // The SDK asks the homeserver for its own keys before it believes in them.
    until(|| async { signed(person).await.ok().filter(|signed| *signed) }).await?;
    Ok(())
}

async fn signed(person: &Person) -> Result<bool> {
    let device = person.client.encryption().get_own_device().await?;
    Ok(device
        .context("the own device is unknown")?
        .is_cross_signed_by_owner())
}

/// Key backup and secret storage; gives the recovery key.
pub async fn recovery(steps: &mut Steps, alice: &Person) -> Option<String> {
    steps
        .step("set up recovery: key backup and secret storage", async {
            let encryption = alice.client.encryption();
            let key = encryption.recovery().enable().await?;
            ensure!(encryption.backups().are_enabled().await, "no backup");
            ensure!(
                encryption.secret_storage().is_enabled().await?,
                "no secret storage"
            );
            Ok(key)
        })
        .await
}

/// Alice on a new device, with her recovery key and nothing else.
pub async fn new_device(
    steps: &mut Steps,
    options: &Options,
    name: &str,
    room: &Room,
    key: &str,
) -> Option<()> {
    steps
        .step("the room's keys are in the backup", async {
            let backups = room.client().encryption().backups();
            backups.wait_for_steady_state().await?;
            Ok(())
        })
        .await;
    let again = steps
        .step("log in on a new device", async {
            let again = Person::log_in(options, name).await?;
            again.start().await?;
            again.wait_for(room.room_id(), RoomState::Joined).await?;
            again.look_at(room.room_id()).await;
            Ok(again)
        })
        .await?;
    steps
        .step("the new device is nobody's yet", async {
            ensure!(!signed(&again).await?, "it is signed already");
            Ok(())
        })
        .await;
    let encryption = again.client.encryption();
    steps
        .step("the recovery key makes it Alice's", async {
            encryption.recovery().recover(key).await?;
            ensure!(encryption.backups().are_enabled().await, "no backup");
            until(|| async { signed(&again).await.ok().filter(|signed| *signed) }).await
        })
        .await;
    steps
        .step("what was said before is readable again", async {
            let here = again.room(room.room_id())?;
            encryption
                .backups()
                .download_room_keys_for_room(here.room_id())
                .await?;
            let timeline = here.timeline().await?;
            timeline.paginate_backwards(50).await?;
            until(|| find(&timeline, "hello alice")).await
        })
        .await;
    again.stop().await;
    steps.step("log out the new device", again.log_out()).await
}
