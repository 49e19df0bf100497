// End-to-end encryption: cross-signing, key backup, and the day on which Alice has nothing left but her recovery key.
import { logIn, start } from "./people.mjs";
import { interactive, PASSWORD } from "./register.mjs";
import { check, until } from "./steps.mjs";

/** What a homeserver may ask before it takes new cross-signing keys: the password. */
const withPassword = (client) => (ask) => {
  const identifier = { type: "m.id.user", user: client.getUserId() };
  return interactive((auth) => ask(auth ?? null), { "m.login.password": { identifier, password: PASSWORD } });
};

/** Cross-signing for both; secret storage and key backup for Alice. */
export async function encryption({ alice, bob, step }) {
  for (const client of [alice, bob]) {
    await step("set up cross-signing", async () => {
      const crypto = client.getCrypto();
      await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(client) });
      await until(() => crypto.isCrossSigningReady());
      const status = await crypto.getDeviceVerificationStatus(client.getUserId(), client.getDeviceId());
      check(status.signedByOwner, "the device is not signed by its owner");
    });
  }
  await step("set up secret storage and key backup", async () => {
    const crypto = alice.getCrypto();
    await crypto.bootstrapSecretStorage({
      createSecretStorageKey: () => crypto.createRecoveryKeyFromPassphrase(),
      setupNewSecretStorage: true,
      setupNewKeyBackup: true,
    });
    check(await crypto.isSecretStorageReady(), "secret storage is not ready");
    await until(() => crypto.getActiveSessionBackupVersion());
  });
  await step("others see the cross-signing keys", async () => {
    const crypto = alice.getCrypto();
    return until(() => crypto.userHasCrossSigningKeys(bob.getUserId(), true));
  });
}

/** Alice on a new device: her recovery key gives her back her identity and what was said before. */
export async function restore({ url, alice, bob, names, room, hello, secrets, step }) {
  await step("the room's keys are in the backup", () =>
    // Alice's own session and Bob's.
    until(async () => (await alice.getCrypto().getKeyBackupInfo())?.count >= 2),
  );
  const again = await step("log in on a new device", async () => {
    const client = await logIn(url, names.alice, { secrets });
    await client.initRustCrypto({ useIndexedDB: false });
    await start(client);
    return client;
  });
  const crypto = again?.getCrypto();
  await step("the new device is nobody's yet", async () => {
    const event = await until(() => again.getRoom(room)?.findEventById(hello));
    await until(() => event.isDecryptionFailure());
    const status = await crypto.getDeviceVerificationStatus(again.getUserId(), again.getDeviceId());
    return !status.signedByOwner;
  });
  await step("the recovery key makes it Alice's", async () => {
    await crypto.bootstrapCrossSigning({});
    const status = await crypto.getDeviceVerificationStatus(again.getUserId(), again.getDeviceId());
    return status.signedByOwner;
  });
  await step("others see that it is Alice's", () =>
    until(async () => {
      await bob.getCrypto().getUserDeviceInfo([again.getUserId()], true);
      const status = await bob.getCrypto().getDeviceVerificationStatus(again.getUserId(), again.getDeviceId());
      return status?.signedByOwner;
    }),
  );
  await step("the backup gives back the keys", async () => {
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const { imported, total } = await crypto.restoreKeyBackup();
    check(imported === total && total >= 2, `${imported} of ${total} keys`);
  });
  await step("what was said before is readable again", () =>
    until(() => again.getRoom(room).findEventById(hello)?.getContent().body === "hello bob"),
  );
  await step("log out the new device", async () => {
    again.stopClient();
    await again.logout();
  });
}
