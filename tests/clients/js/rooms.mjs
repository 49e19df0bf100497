// Life in a room, from its creation to the day everybody has left.
import { NotificationCountType } from "matrix-js-sdk";

import { picture } from "./picture.mjs";
import { said } from "./people.mjs";
import { check, until } from "./steps.mjs";

const ENCRYPTION = {
  type: "m.room.encryption",
  state_key: "",
  content: { algorithm: "m.megolm.v1.aes-sha2" },
};

const membership = (client, room) => client.getRoom(room)?.getMyMembership();

/** Alice makes a room and invites Bob; they say hello. Leaves `world.room` and `world.hello`. */
export async function meeting(world) {
  const { alice, bob, step, encrypted } = world;
  world.room = await step("create a room", async () => {
    const made = await alice.createRoom({
      name: "the room",
      topic: "where they meet",
      preset: "private_chat",
      invite: [bob.getUserId()],
      initial_state: encrypted ? [ENCRYPTION] : [],
    });
    return made.room_id;
  });
  const { room } = world;
  await step("the invitation arrives", () => until(() => membership(bob, room) === "invite"));
  await step("join", () => bob.joinRoom(room));
  await step("the join is seen", () =>
    until(() => alice.getRoom(room)?.getMember(bob.getUserId())?.membership === "join"),
  );
  world.hello = await step("send a message", async () => (await alice.sendTextMessage(room, "hello bob")).event_id);
  await step("the message arrives", async () => {
    const event = await until(() => said(bob, room, "hello bob"));
    check(event.getId() === world.hello, "it has another event id");
    check(event.isEncrypted() === Boolean(encrypted), `encrypted: ${event.isEncrypted()}`);
    check(!encrypted || !("body" in event.getWireContent()), "its text was readable for the homeserver");
  });
  await step("unread messages are counted", () =>
    until(() => bob.getRoom(room).getUnreadNotificationCount(NotificationCountType.Total) >= 1),
  );
  await step("reading sets the count to nothing", async () => {
    await bob.sendReadReceipt(said(bob, room, "hello bob"));
    await until(() => bob.getRoom(room).getUnreadNotificationCount(NotificationCountType.Total) === 0);
  });
  await step("the receipt is seen", () =>
    until(() => alice.getRoom(room).hasUserReadEvent(bob.getUserId(), world.hello)),
  );
  await step("an answer comes back", async () => {
    await bob.sendTextMessage(room, "hello alice");
    await until(() => said(alice, room, "hello alice"));
  });
}

/** Everything one does with messages. */
export async function life(world) {
  await relations(world);
  await history(world);
  await media(world);
  await settings(world);
}

async function relations({ alice, bob, room, hello, step, encrypted }) {
  await step("react", () =>
    bob.sendEvent(room, "m.reaction", {
      "m.relates_to": { rel_type: "m.annotation", event_id: hello, key: "👍" },
    }),
  );
  await step("relations: the reaction", async () => {
    const { events } = await alice.relations(room, hello, "m.annotation", "m.reaction");
    return events.length === 1 && events[0].getRelation().key === "👍";
  });
  await step("edit", async () => {
    await alice.sendEvent(room, "m.room.message", {
      msgtype: "m.text",
      body: "* hello, bob",
      "m.new_content": { msgtype: "m.text", body: "hello, bob" },
      "m.relates_to": { rel_type: "m.replace", event_id: hello },
    });
    await until(() => said(bob, room, "hello, bob"));
  });
  await step("reply in a thread", () =>
    bob.sendEvent(room, hello, "m.room.message", { msgtype: "m.text", body: "in the thread" }),
  );
  await step("the thread is seen", () => until(() => alice.getRoom(room).getThread(hello)?.length === 1));
  await step("list the threads", async () => {
    const { chunk } = await alice.createThreadListMessagesRequest(room, null, 20);
    return chunk.some((event) => event.event_id === hello);
  });
  await step("a second message is redacted for both", async () => {
    const { event_id: slip } = await alice.sendTextMessage(room, "a slip");
    await until(() => said(bob, room, "a slip"));
    await alice.redactEvent(room, slip, undefined, { reason: "a slip" });
    await until(() => bob.getRoom(room).findEventById(slip)?.isRedacted());
  });
  await step("search finds the answer", async () => {
    const found = await alice.searchRoomEvents({ term: "alice" });
    // Of an encrypted room a homeserver can search only what is in the clear there, such as its name or a request to verify.
    const isClear = (event) => event.getWireType() !== "m.room.encrypted" && event.getContent().body !== "hello alice";
    if (encrypted) return found.results.every((result) => isClear(result.context.getEvent()));
    return found.results.some((result) => result.context.getEvent().getContent().body === "hello alice");
  });
}

async function history({ alice, bob, room, hello, step }) {
  await step("scroll back", () => alice.scrollback(alice.getRoom(room), 30));
  await step("the context of an event", async () => {
    const around = await alice.getEventTimeline(alice.getRoom(room).getUnfilteredTimelineSet(), hello);
    return around.getEvents().some((event) => event.getId() === hello);
  });
  await step("typing is seen", async () => {
    await bob.sendTyping(room, true, 20_000);
    await until(() => alice.getRoom(room).getMember(bob.getUserId()).typing);
    await bob.sendTyping(room, false, 0);
    await until(() => !alice.getRoom(room).getMember(bob.getUserId()).typing);
  });
  await step("set the read marker", async () => {
    await bob.setRoomReadMarkers(room, hello);
    await until(() => bob.getRoom(room).getAccountData("m.fully_read")?.getContent().event_id === hello);
  });
}

async function media({ alice, bob, room, step }) {
  const image = await step("upload an image", async () => {
    const sent = await alice.uploadContent(picture, { name: "dot.png", type: "image/png" });
    return sent.content_uri;
  });
  const load = async (client, ...size) => {
    const at = client.mxcUrlToHttp(image, ...(size.length ? size : [undefined, undefined, undefined]), false, true, true);
    const got = await fetch(at, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } });
    check(got.status === 200, `status ${got.status}`);
    return got;
  };
  await step("send the image", async () => {
    await alice.sendImageMessage(room, image, { mimetype: "image/png", w: 1, h: 1, size: picture.length }, "dot.png");
    await until(() => said(bob, room, "dot.png")?.getContent().url === image);
  });
  await step("download the image", async () =>
    Buffer.from(await (await load(bob)).arrayBuffer()).equals(picture),
  );
  await step("a thumbnail of the image", async () =>
    (await load(bob, 32, 32, "crop")).headers.get("content-type").startsWith("image/"),
  );
  await step("an image is not for strangers", async () => {
    const got = await fetch(alice.mxcUrlToHttp(image, undefined, undefined, undefined, false, true, true));
    return got.status === 401;
  });
  await step("how large an upload may be", async () => (await alice.getMediaConfig(true))["m.upload.size"] > 0);
}

async function settings({ alice, bob, room, step }) {
  await step("rename the room", async () => {
    await alice.setRoomName(room, "renamed");
    await until(() => bob.getRoom(room).name === "renamed");
  });
  await step("give power", async () => {
    await alice.setPowerLevel(room, bob.getUserId(), 50);
    await until(() => bob.getRoom(room).getMember(bob.getUserId()).powerLevel === 50);
  });
  await step("mute the room", async () => {
    await alice.setRoomMutePushRule("global", room, true);
    await until(() => alice.getRoomPushRule("global", room));
  });
  await step("tag the room", async () => {
    await alice.setRoomTag(room, "m.favourite", { order: 0.1 });
    await until(() => alice.getRoom(room).tags["m.favourite"]?.order === 0.1);
  });
}

/** Kick, invite again, ban, upgrade, leave. */
export async function leaving({ alice, bob, room, step, encrypted }) {
  const him = bob.getUserId();
  await step("kick", async () => {
    await alice.kick(room, him, "out");
    await until(() => membership(bob, room) === "leave");
  });
  await step("invite again", async () => {
    await alice.invite(room, him);
    await until(() => membership(bob, room) === "invite");
    await bob.joinRoom(room);
    await until(() => membership(bob, room) === "join");
  });
  await step("ban and unban", async () => {
    await alice.ban(room, him, "out");
    await until(() => membership(bob, room) === "ban");
    await alice.unban(room, him);
    await until(() => alice.getRoom(room).getMember(him).membership === "leave");
  });
  await step("upgrade the room", async () => {
    const versions = (await alice.getCapabilities())["m.room_versions"];
    const { replacement_room: next } = await alice.upgradeRoom(room, versions.default);
    const tombstone = await until(() => alice.getRoom(room).currentState.getStateEvents("m.room.tombstone", ""));
    check(tombstone.getContent().replacement_room === next, "the tombstone points elsewhere");
    const successor = await until(() => alice.getRoom(next)?.currentState.getStateEvents("m.room.create", ""));
    check(successor.getContent().predecessor?.room_id === room, "the new room does not know where it came from");
    check(alice.getRoom(next).name === "renamed", "the name was lost");
    check(alice.getRoom(next).hasEncryptionStateEvent() === Boolean(encrypted), "the encryption was lost");
  });
  await step("leave", async () => {
    await alice.leave(room);
    await until(() => membership(alice, room) === "leave");
  });
  await step("forget", () => alice.forget(room));
  await step("log out", async () => {
    await bob.logout(true);
    const after = await bob.whoami().then(
      () => "still welcome",
      (error) => error.errcode,
    );
    check(after === "M_UNKNOWN_TOKEN", `whoami said ${after}`);
  });
}
