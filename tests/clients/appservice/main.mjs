// matrix-bot-sdk's Appservice class as another appservice, not ours: an echo bot with ghosts.
import { Appservice, LogLevel, LogService, MemoryStorageProvider, SimpleRetryJoinStrategy } from "matrix-bot-sdk";
import { readFileSync } from "node:fs";

import { MatrixHttp } from "./matrix-http.mjs";
import { check, commandLine, fresh, Steps, until } from "../js/steps.mjs";

const options = commandLine("main.mjs URL --registration FILE --domain NAME [--registration-token T]", {
  registration: { type: "string" },
  domain: { type: "string" },
  "registration-token": { type: "string" },
});
LogService.setLevel(LogLevel.ERROR);
LogService.muteModule("MatrixHttpClient");
const { url, domain } = options;
// JSON is YAML: the homeserver and this program read the same file.
const registration = JSON.parse(readFileSync(options.registration, "utf8"));
const listen = new URL(registration.url);
const ghost = `@echo_one:${domain}`;
const steps = new Steps("appservice");
const step = steps.step.bind(steps);

const appservice = new Appservice({
  port: Number(listen.port),
  bindAddress: listen.hostname,
  homeserverName: domain,
  homeserverUrl: url,
  registration,
  storage: new MemoryStorageProvider(),
  joinStrategy: new SimpleRetryJoinStrategy(),
});
const heard = [];
appservice.on("query.user", (user, create) => create({ display_name: `Ghost ${user}` }));
appservice.on("query.room", (_alias, create) => create({ name: "by alias", preset: "public_chat" }));
appservice.on("room.invite", (room, event) => appservice.getIntentForUserId(event.state_key).joinRoom(room));
appservice.on("room.message", async (room, event) => {
  heard.push(event.content.body);
  if (event.sender === person.userId) await one.sendText(room, `echo ${event.content.body}`);
});
await step("listen", () => appservice.begin().then(() => true));
const one = appservice.getIntent("echo_one");
const person = new MatrixHttp(url);
const bot = new MatrixHttp(url, registration.as_token);

await step("register a person", () => person.register(fresh("user"), options["registration-token"]));
await step("register a ghost", () => one.ensureRegistered().then(() => true));
await step("name the ghost", async () => {
  await one.underlyingClient.setDisplayName("One");
  return (await one.underlyingClient.getUserProfile(ghost)).displayname === "One";
});
await step("act as the ghost", async () => {
  const who = await bot.ok("GET", `/v3/account/whoami?user_id=${encodeURIComponent(ghost)}`);
  check(who.user_id === ghost, `it is ${who.user_id}`);
});
const room = await step("invite the ghost", async () => {
  const made = await person.ok("POST", "/v3/createRoom", { preset: "private_chat", invite: [ghost] });
  return made.room_id;
});
await step("the ghost joins", () =>
  until(async () => ghost in (await person.ok("GET", `/v3/rooms/${room}/joined_members`)).joined),
);
await step("a message comes in a transaction, once", async () => {
  await person.ok("PUT", `/v3/rooms/${room}/send/m.room.message/1`, { msgtype: "m.text", body: "ping" });
  await until(() => heard.includes("ping"));
});
await step("the ghost's echo is in the person's sync", async () => {
  let since = "";
  await until(async () => {
    const sync = await person.ok("GET", `/v3/sync?timeout=1000${since && `&since=${since}`}`);
    since = sync.next_batch;
    const events = sync.rooms?.join?.[room]?.timeline?.events ?? [];
    return events.some((event) => event.sender === ghost && event.content.body === "echo ping");
  });
  check(heard.filter((body) => body === "ping").length === 1, `heard ${heard.length} times: ${heard}`);
});
await step("an image from the ghost", async () => {
  const uri = await one.underlyingClient.uploadContent(Buffer.from("dot"), "image/png", "dot.png");
  const got = await one.underlyingClient.downloadContent(uri);
  return Buffer.from(got.data).equals(Buffer.from("dot"));
});
await step("an unknown alias is asked for", async () => {
  const alias = encodeURIComponent(`#echo_${fresh("room")}:${domain}`);
  return Boolean((await person.ok("POST", `/v3/join/${alias}`, {})).room_id);
});
await step("the namespace is exclusive", async () => {
  const stranger = new MatrixHttp(url);
  const refused = await stranger.register(fresh("echo_"), options["registration-token"]).catch((error) => error);
  return refused.data?.errcode === "M_EXCLUSIVE";
});
await step("ping", async () => {
  // bot-sdk 0.8 does not answer a ping; that the homeserver came and says how it was answered is what counts.
  const answer = await bot.call("POST", `/v1/appservice/${registration.id}/ping`, { transaction_id: "1" });
  return answer.status === 200 || (answer.status === 502 && answer.body.errcode === "M_BAD_STATUS");
});
await step("nobody outside the namespace can be acted as", async () => {
  const answer = await bot.call("POST", `/v3/createRoom?user_id=${encodeURIComponent(person.userId)}`, {});
  // Synapse says the first, Tuwunel the second.
  const said = [`${answer.status} ${answer.body.errcode}`];
  return said.some((one) => ["403 M_FORBIDDEN", "400 M_EXCLUSIVE"].includes(one));
});
appservice.stop();
steps.finish();
