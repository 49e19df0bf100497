// A small client on matrix-js-sdk, to see a homeserver the way a browser does: CORS, preflights and all.
import { ClientEvent, createClient, EventType, MsgType, RoomEvent } from "matrix-js-sdk";

const by = (selector) => document.querySelector(selector);
let client;
let open;

/** Shows what goes wrong, also to whoever drives this page. */
const fail = (error) => {
  by("#error").textContent = String(error?.message ?? error);
};

function listRooms() {
  const items = client.getRooms().map((room) => {
    const button = document.createElement("button");
    button.textContent = room.name;
    button.onclick = () => enter(room.roomId).catch(fail);
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  by("#rooms").replaceChildren(...items);
}

function show() {
  const events = client.getRoom(open)?.getLiveTimeline().getEvents() ?? [];
  const messages = events.filter((event) => event.getType() === EventType.RoomMessage && !event.status);
  by("#timeline").replaceChildren(
    ...messages.map((event) => {
      const who = document.createElement("b");
      who.textContent = event.sender?.name ?? event.getSender();
      const item = document.createElement("li");
      item.append(who, event.getContent().body);
      return item;
    }),
  );
}

async function enter(room) {
  if (client.getRoom(room).getMyMembership() !== "join") await client.joinRoom(room);
  open = room;
  show();
}

async function logIn(homeserver, user, password) {
  const session = await createClient({ baseUrl: homeserver }).loginRequest({
    type: "m.login.password",
    identifier: { type: "m.id.user", user },
    password,
    initial_device_display_name: "A small Matrix client",
  });
  client = createClient({
    baseUrl: homeserver,
    accessToken: session.access_token,
    userId: session.user_id,
    deviceId: session.device_id,
  });
  for (const changed of [ClientEvent.Sync, ClientEvent.Room, RoomEvent.Name, RoomEvent.MyMembership]) {
    client.on(changed, listRooms);
  }
  for (const changed of [RoomEvent.Timeline, RoomEvent.LocalEchoUpdated]) client.on(changed, show);
  await client.startClient({ initialSyncLimit: 20 });
  by("#login").hidden = true;
  by("main").hidden = false;
}

by("#login").onsubmit = (submit) => {
  submit.preventDefault();
  const given = new FormData(submit.target);
  logIn(given.get("homeserver"), given.get("user"), given.get("password")).catch(fail);
};

by("#say").onsubmit = (submit) => {
  submit.preventDefault();
  const text = new FormData(submit.target).get("text");
  submit.target.reset();
  client.sendMessage(open, { msgtype: MsgType.Text, body: text }).catch(fail);
};
