// What belongs to a person and not to a room: account data, profile, devices, directory, spaces.
import { check, until } from "./steps.mjs";

export async function accounts(world) {
  await person(world);
  await server(world);
  await spaces(world);
}

async function person({ alice, bob, step, encrypted }) {
  await step("push rules are there", async () => (await alice.getPushRules()).global.override.length > 0);
  await step("account data", async () => {
    await alice.setAccountData("org.test", { x: 1 });
    return (await alice.getAccountDataFromServer("org.test")).x === 1;
  });
  await step("display name", async () => {
    await alice.setDisplayName("Alice J");
    return (await bob.getProfileInfo(alice.getUserId())).displayname === "Alice J";
  });
  await step("devices", async () => {
    const { devices } = await alice.getDevices();
    return devices.some((device) => device.device_id === alice.getDeviceId());
  });
  await step("rename a device", async () => {
    await alice.setDeviceDetails(alice.getDeviceId(), { display_name: "renamed" });
    return (await alice.getDevice(alice.getDeviceId())).display_name === "renamed";
  });
  await step("a message to a device", async () => {
    const arrived = new Promise((resolve) => {
      bob.on("toDeviceEvent", (event) => event.getType() === "org.test" && resolve(event.getContent().x === 1));
      bob.on("receivedToDeviceMessage", ({ message }) => message.type === "org.test" && resolve(message.content.x === 1));
    });
    const content = new Map([[bob.getUserId(), new Map([[bob.getDeviceId(), { x: 1 }]])]]);
    await alice.sendToDevice("org.test", content);
    return arrived;
  });
  await step("an OpenID token", async () => Boolean((await alice.getOpenIdToken()).access_token));
  await step("presence", () => alice.setPresence({ presence: "online" }));
}

async function server({ alice, bob, names, room, step }) {
  await step("capabilities", async () => Boolean((await alice.getCapabilities())["m.room_versions"].default));
  await step("TURN server", () => alice.turnServer());
  await step("third-party protocols", () => alice.getThirdpartyProtocols());
  await step("public rooms", async () => Array.isArray((await alice.publicRooms({ limit: 5 })).chunk));
  await step("user directory", async () => {
    // Whoever shares a room with me is in my directory, as soon as the homeserver has got round to it.
    await until(async () => {
      const { results } = await alice.searchUserDirectory({ term: names.bob, limit: 5 });
      return results.some((one) => one.user_id === bob.getUserId());
    });
  });
  await step("an alias leads to the room", async () => {
    const alias = `#${names.alice}:${alice.getDomain()}`;
    await alice.createAlias(alias, room);
    return (await bob.getRoomIdForAlias(alias)).room_id === room;
  });
}

async function spaces({ alice, room, step }) {
  const space = await step("create a space", async () => {
    const made = await alice.createRoom({ name: "the space", creation_content: { type: "m.space" } });
    return made.room_id;
  });
  await step("the hierarchy of the space", async () => {
    await alice.sendStateEvent(space, "m.space.child", { via: [alice.getDomain()] }, room);
    const { rooms } = await alice.getRoomHierarchy(space);
    check(rooms[0].room_id === space && rooms[0].room_type === "m.space", "the space does not come first");
    check(rooms[0].children_state.length === 1, "the space does not name its child");
    return rooms[1].room_id === room;
  });
}
