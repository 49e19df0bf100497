// End-to-end encryption: cross-signing, key backup, and the day on which Alice has nothing left but her recovery key.
import { CryptoEvent, VerificationPhase, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";

import { logIn, start } from "./people.mjs";
import { interactive, PASSWORD } from "./register.mjs";
import { check, until } from "./steps.mjs";

/** What a homeserver may ask before it takes new cross-signing keys: the password. */
export const withPassword = (client, password = PASSWORD) => (ask) => {
  const identifier = { type: "m.id.user", user: client.getUserId() };
  return interactive((auth) => ask(auth ?? null), { "m.login.password": { identifier, password } });
};

/** Cross-signing for both; secret storage and key backup for Alice. */
export async function encryption({ alice, bob, step }) {
  for (const client of [alice, bob]) {
    await step("set up cross-signing", async () => {
      const crypto = client.getCrypto();
      await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(client) });
      await until(() => crypto.isCrossSigningReady());
      // The client believes it once it has asked for its own keys again, which a sync makes it do.
      await until(async () => {
        const status = await crypto.getDeviceVerificationStatus(client.getUserId(), client.getDeviceId());
        return status.signedByOwner;
      });
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

/** Alice and Bob compare emoji, in the room: each then knows that the other is who they seem to be. */
export async function verification({ alice, bob, room, step }) {
  await step("verify each other by emoji", async () => {
    const received = new Promise((resolve) => bob.once(CryptoEvent.VerificationRequestReceived, resolve));
    const ours = await alice.getCrypto().requestVerificationDM(bob.getUserId(), room);
    const theirs = await received;
    await theirs.accept();
    await until(() => ours.phase === VerificationPhase.Ready);
    const verifiers = [await ours.startVerification("m.sas.v1"), await until(() => theirs.verifier)];
    const shown = verifiers.map(
      (verifier) =>
        new Promise((resolve) => {
          const already = verifier.getShowSasCallbacks();
          if (already) resolve(already);
          else verifier.once(VerifierEvent.ShowSas, resolve);
        }),
    );
    const over = verifiers.map((verifier) => verifier.verify());
    const [mine, yours] = await Promise.all(shown);
    check(JSON.stringify(mine.sas.emoji) === JSON.stringify(yours.sas.emoji), "they see different emoji");
    await Promise.all([mine.confirm(), yours.confirm(), ...over]);
  });
  for (const [client, other] of [[alice, bob], [bob, alice]]) {
    await step("the other is verified", () =>
      until(async () => {
        const status = await client.getCrypto().getUserVerificationStatus(other.getUserId());
        return status.isCrossSigningVerified();
      }),
    );
  }
}

/** Alice on a new device: her recovery key gives her back her identity and what was said before. */
export async function restore({ url, alice, bob, names, room, hello, secrets, step }) {
  await step("the room's keys are in the backup", () =>
    // Alice's own session and Bob's. The SDK remembers the count of long ago, so the homeserver is asked.
    until(async () => {
      const version = await alice.http.authedRequest("GET", "/room_keys/version", undefined, undefined, {
        prefix: "/_matrix/client/v3",
      });
      return version.count >= 2;
    }),
  );
  const again = await step("log in on a new device", async () => {
    const client = await logIn(url, names.alice, { secrets });
    await client.initRustCrypto({ useIndexedDB: false });
    await start(client);
    return client;
  });
  const crypto = again?.getCrypto();
  const signed = async (client) => {
    const status = await client.getCrypto().getDeviceVerificationStatus(again.getUserId(), again.getDeviceId());
    return status?.signedByOwner;
  };
  await step("the new device is nobody's yet", async () => {
    const event = await until(() => again.getRoom(room)?.findEventById(hello));
    await until(() => event.isDecryptionFailure());
    return !(await signed(again));
  });
  await step("the recovery key makes it Alice's", async () => {
    // The private keys are of use only to a device that knows the public ones.
    await crypto.userHasCrossSigningKeys(again.getUserId(), true);
    await crypto.bootstrapCrossSigning({});
    await until(() => signed(again));
  });
  await step("others see that it is Alice's", () => until(() => signed(bob)));
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
