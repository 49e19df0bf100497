// A chat with an agent: from the space, through its hierarchy, to an answer in the agent's room.
import * as sdk from "matrix-js-sdk";

import { logIn, signUp, start } from "./people.mjs";
import { fresh, until } from "./steps.mjs";

/** `--agent-room` names the space of the agents or one agent's room; `--login` somebody who may enter. */
export async function agent(step, url, options) {
  let [name, password] = options.login?.split(":") ?? [];
  if (!name) {
    name = fresh("guest");
    await step("register", () => signUp(url, name, options["registration-token"]));
  }
  const person = await step("log in", () => logIn(url, name, { password }));
  await step("first sync", () => start(person));
  const entry = await step("enter", async () => (await person.joinRoom(options["agent-room"])).roomId);
  const room = await step("find the agent's room in the hierarchy", () =>
    // A bridge that has just started makes the rooms one after another.
    until(async () => {
      const { rooms } = await person.getRoomHierarchy(entry);
      return rooms.find((one) => one.room_type !== "m.space")?.room_id;
    }),
  );
  await step("join the agent's room", async () => {
    await person.joinRoom(room);
    await until(() => person.getRoom(room)?.getMyMembership() === "join");
  });
  const question = await step("say hello", async () => (await person.sendTextMessage(room, "hello")).event_id);
  await step("the agent has read it", () =>
    until(() => {
      const readers = person.getRoom(room).getUsersReadUpTo(person.getRoom(room).findEventById(question));
      return readers.some((user) => user.startsWith("@agent_"));
    }),
  );
  await step("the agent answers", () =>
    until(() => {
      const events = person.getRoom(room).getLiveTimeline().getEvents();
      const asked = events.findIndex((event) => event.getId() === question);
      return events
        .slice(asked + 1)
        .some((event) => event.getType() === sdk.EventType.RoomMessage && event.getSender().startsWith("@agent_"));
    }),
  );
  person.stopClient();
}
