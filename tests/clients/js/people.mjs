// The persons of the js-sdk driver: registered, logged in, syncing.
import * as sdk from "matrix-js-sdk";

import { PASSWORD, register } from "./register.mjs";
import { until } from "./steps.mjs";

/** Registers `name` through the SDK. */
export async function signUp(url, name, token) {
  await register(sdk.createClient({ baseUrl: url }), name, token);
}

/**
 * Logs in on a device of its own. Secret storage asks `secrets` for its key, and tells it a new one, the way an app
 * keeps what the person typed; a second device given the same `secrets` is the person typing the recovery key.
 */
export async function logIn(url, name, { password = PASSWORD, secrets = new Map() } = {}) {
  const session = await sdk.createClient({ baseUrl: url }).loginRequest({
    type: "m.login.password",
    identifier: { type: "m.id.user", user: name },
    password,
    initial_device_display_name: "js-sdk driver",
  });
  return sdk.createClient({
    baseUrl: url,
    accessToken: session.access_token,
    userId: session.user_id,
    deviceId: session.device_id,
    timelineSupport: true,
    cryptoCallbacks: {
      getSecretStorageKey: async ({ keys }) => {
        const known = Object.keys(keys).find((id) => secrets.has(id));
        return known ? [known, secrets.get(known)] : null;
      },
      cacheSecretStorageKey: (id, _info, key) => secrets.set(id, key),
    },
  });
}

/** Starts to sync and waits for the end of the first sync. */
export async function start(client) {
  await client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true, threadSupport: true });
  await until(() => client.isInitialSyncComplete());
}

/** What `client` has in the room's live timeline and nobody is still sending, found by its text. */
export const said = (client, room, body) =>
  client
    .getRoom(room)
    ?.getLiveTimeline()
    .getEvents()
    .find((event) => event.getContent().body === body && !event.status);
