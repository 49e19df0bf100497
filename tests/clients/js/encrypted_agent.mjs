// A direct chat with an agent that is encrypted from its first message on, the way Element X begins every chat.
import { OnlySignedDevicesIsolationMode } from "matrix-js-sdk/lib/crypto-api/index.js";
import * as sdk from "matrix-js-sdk";

import { withPassword } from "./encryption.mjs";
import { logIn, start } from "./people.mjs";
import { check, until } from "./steps.mjs";

/** What an event shows at last: the newest edit, if there is one. */
const shown = (event) => event.getContent()["m.new_content"]?.body ?? event.getContent().body ?? "";

/** `--agent-room` is the id of one agent's room, whose agent is invited; `--login` who invites it. */
export async function encryptedAgent(step, url, options) {
  const [name, password] = options.login.split(":");
  const person = await step("log in", () => withCryptography(url, name, password));
  const ghost = await step("find the agent", () => agentOf(person, options["agent-room"]));
  await step("set up cross-signing, and talk to signed devices only", async () => {
    const crypto = person.getCrypto();
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(person, password) });
    crypto.setDeviceIsolationMode(new OnlySignedDevicesIsolationMode());
  });
  const room = await step("begin an encrypted chat", () => begin(person, ghost));
  const answers = (client) =>
    client
      .getRoom(room)
      .getLiveTimeline()
      .getEvents()
      .filter((event) => event.getSender() === ghost && event.getWireType() === "m.room.encrypted");
  const answer = (client, text) => until(() => answers(client).find((event) => shown(event).includes(text)));

  await step("the agent answers, encrypted, and no client warns", async () => {
    await person.sendTextMessage(room, "say: hello");
    const event = await answer(person, "hello");
    const { shieldColour } = await person.getCrypto().getEncryptionInfoForEvent(event);
    check(shieldColour === 0, `shield ${shieldColour}`);
  });
  await step("a streamed answer is readable to its end", async () => {
    await person.sendTextMessage(room, "slow: 12");
    await until(() => {
      const events = answers(person);
      check(!events.some((event) => event.isDecryptionFailure()), "something cannot be read");
      return events.some((event) => shown(event).endsWith("w11"));
    });
  });
  await step("a thread is answered in the thread", async () => {
    const root = (await person.sendTextMessage(room, "say: root")).event_id;
    await answer(person, "root");
    await person.sendTextMessage(room, root, "say: in the thread");
    await until(() => {
      const thread = person.getRoom(room).getThread(root);
      return thread?.events.some((event) => event.getSender() === ghost && shown(event).includes("in the thread"));
    });
  });
  await step("a reaction approves a tool", async () => {
    await person.sendTextMessage(room, "approve: launch {}");
    const card = await answer(person, "May I use");
    await person.sendEvent(room, sdk.EventType.Reaction, {
      "m.relates_to": { rel_type: "m.annotation", event_id: card.getId(), key: "✅" },
    });
    await answer(person, "tool launch returned");
  });
  const second = await step("a second device of the person reads what comes next", async () => {
    const client = await withCryptography(url, name, password);
    await until(() => client.getRoom(room));
    // It is not signed, so it is no device that the first one shares with; the agent's keys go to all.
    await until(async () => {
      await person.sendTextMessage(room, "say: for both");
      const events = answers(client).filter((event) => !event.isDecryptionFailure());
      return events.some((event) => shown(event).includes("for both"));
    });
    return client;
  });
  await step("the agent reads the second device", async () => {
    await second.sendTextMessage(room, "say: from the second");
    await answer(person, "from the second");
  });
  for (const client of [person, second]) client?.stopClient();
}

async function withCryptography(url, name, password) {
  const client = await logIn(url, name, { password });
  await client.initRustCrypto({ useIndexedDB: false });
  await start(client);
  return client;
}

async function agentOf(person, room) {
  const members = await person.getJoinedRoomMembers(room);
  return Object.keys(members.joined).find((user) => user.startsWith("@agent_"));
}

async function begin(person, ghost) {
  const { room_id: room } = await person.createRoom({
    preset: "trusted_private_chat",
    is_direct: true,
    invite: [ghost],
    initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
  });
  await until(() => person.getRoom(room)?.getMember(ghost)?.membership === "join");
  return room;
}
