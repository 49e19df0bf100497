// matrix-js-sdk as a driver: what Element Web and Cinny stand on.
import { logger } from "matrix-js-sdk/lib/logger.js";
import * as sdk from "matrix-js-sdk";

import { accounts } from "./accounts.mjs";
import { agent } from "./agent.mjs";
import { encryptedAgent } from "./encrypted_agent.mjs";
import { encryption, restore, verification } from "./encryption.mjs";
import { logIn, signUp, start } from "./people.mjs";
import { leaving, life, meeting } from "./rooms.mjs";
import { commandLine, fresh, quiet, Steps } from "./steps.mjs";

const options = commandLine(
  "main.mjs URL [--registration-token T] [--encrypted] [--agent-room ALIAS [--login NAME:PASSWORD]]",
  {
    "registration-token": { type: "string" },
    encrypted: { type: "boolean" },
    "agent-room": { type: "string" },
    login: { type: "string" },
  },
);
quiet();
logger.setLevel?.("silent");
const { url, encrypted, "registration-token": token } = options;
const steps = new Steps(encrypted ? "js-encrypted" : "js");
const step = steps.step.bind(steps);

await step("discover the homeserver", async () => {
  const found = await sdk.AutoDiscovery.fromDiscoveryConfig({ "m.homeserver": { base_url: url } });
  if (found["m.homeserver"].state !== "SUCCESS") throw new Error(found["m.homeserver"].error);
});
await step("login with a password is offered", async () => {
  const { flows } = await sdk.createClient({ baseUrl: url }).loginFlows();
  return flows.some((flow) => flow.type === "m.login.password");
});

if (options["agent-room"]) {
  await (encrypted ? encryptedAgent : agent)(step, url, options);
  steps.finish();
}

const names = { alice: fresh("alice"), bob: fresh("bob") };
const secrets = new Map();
for (const name of Object.values(names)) await step(`register ${name.slice(0, -8)}`, () => signUp(url, name, token));
if (token) {
  await step("nobody registers without the token", () =>
    signUp(url, fresh("mallory")).then(
      () => false,
      () => true,
    ),
  );
}
const alice = await step("log in alice", () => logIn(url, names.alice, { secrets }));
const bob = await step("log in bob", () => logIn(url, names.bob));
if (!alice || !bob) steps.finish();
const world = { url, encrypted, alice, bob, names, secrets, step };

if (encrypted) {
  for (const client of [alice, bob]) {
    await step("start cryptography", () => client.initRustCrypto({ useIndexedDB: false }));
  }
}
await step("first sync of alice", () => start(alice));
await step("first sync of bob", () => start(bob));
if (encrypted) await encryption(world);
await meeting(world);
if (encrypted) {
  await verification(world);
  await restore(world);
}
await life(world);
await accounts(world);
await leaving(world);
for (const client of [alice, bob]) client.stopClient();
steps.finish();
