// The tools of an agent, called by the official MCP SDK.
//
//   scripts/clients.sh mcp URL --token T --room ID --event ID --foreign ID
//
// With `--stdio BINARY` it talks to that program on standard input and output. ROOM is a room of the agent, EVENT a message of somebody else in it, FOREIGN a room that the agent is not in.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { commandLine, Steps } from "../js/steps.mjs";

const text = { type: "string" };
const { url, token, room, event, foreign, stdio } = commandLine("scripts/clients.sh mcp URL --token T --room ID --event ID --foreign ID [--stdio BINARY]", {
  token: text,
  room: text,
  event: text,
  foreign: text,
  stdio: text,
});
const steps = new Steps("mcp");
const address = new URL(url);

async function connected(headers) {
  const client = new Client({ name: "a client", version: "1" });
  if (stdio) {
    const env = { ...process.env, MATRIX_AGENT_TOKEN: headers.Authorization?.slice("Bearer ".length) ?? "" };
    await client.connect(new StdioClientTransport({ command: stdio, args: ["mcp", "--url", url], env }));
    return client;
  }
  await client.connect(new StreamableHTTPClientTransport(address, { requestInit: { headers } }));
  return client;
}

async function fails(promise, what) {
  try {
    await promise;
  } catch (error) {
    if (String(error).includes(what)) return true;
    throw new Error(`was told something else: ${error}`);
  }
  return false;
}

const shown = { Authorization: `Bearer ${token}` };
await steps.step("nobody comes in without a token", () => fails(connected({}), "Show the token of an agent"));
await steps.step("nor with another one", () => fails(connected({ Authorization: "Bearer mal_0000" }), "not valid"));
if (!stdio) {
  await steps.step("a token is that of one agent", () =>
    fails(connected({ ...shown, "X-Agent-Id": "agent-somebody-else" }), "another agent"),
  );
}
const client = await steps.step("connects", () => connected(shown));

async function call(name, given = {}) {
  const result = await client.callTool({ name, arguments: given });
  if (result.isError) throw new Error(result.content[0].text);
  return result.structuredContent;
}

const read = async () => (await call("matrix_read", { room_id: room, limit: 50 })).messages;
const tools = await steps.step("lists the tools", async () => {
  const { tools } = await client.listTools();
  return tools.map((tool) => tool.name);
});
await steps.step("which are those that are allowed", () => tools.includes("matrix_send") && !tools.includes("matrix_join"));
await steps.step("lists agents", async () => (await call("list_agents")).agents.length > 0);
await steps.step("finds agents by name", async () => (await call("list_agents", { filter: "no such" })).total === 0);
await steps.step("lists its rooms", async () => (await call("matrix_rooms")).rooms.some((one) => one.room_id === room));
await steps.step("lists members", async () => (await call("matrix_members", { room_id: room })).total >= 2);
const said = await steps.step("says something", async () => (await call("matrix_send", { room_id: room, text: "**hello**" })).event_id);
await steps.step("which is read as it was said", async () =>
  (await read()).some((one) => one.event_id === said && one.text === "**hello**"),
);
await steps.step("says something in a thread", async () => {
  const { event_id } = await call("matrix_send", { room_id: room, text: "aside", thread: event });
  return (await read()).some((one) => one.event_id === event_id && one.thread === event);
});
await steps.step("replies", async () => {
  const { event_id } = await call("matrix_reply", { room_id: room, event_id: event, text: "to that" });
  return (await read()).some((one) => one.event_id === event_id && one.reply_to === event);
});
await steps.step("reacts", async () => {
  await call("matrix_react", { room_id: room, event_id: event, key: "👍" });
  return (await read()).some((one) => one.reaction === "👍" && one.to === event);
});
await steps.step("edits what it has said", async () => {
  await call("matrix_edit", { room_id: room, event_id: said, text: "good bye" });
  return (await read()).some((one) => one.edits === said && one.text === "good bye");
});
await steps.step("edits nothing of others", () =>
  fails(call("matrix_edit", { room_id: room, event_id: event, text: "forged" }), "only edit and redact what you have sent"),
);
await steps.step("takes nothing of others back", () =>
  fails(call("matrix_redact", { room_id: room, event_id: event }), "only edit and redact what you have sent"),
);
await steps.step("takes back what it has said", async () => {
  await call("matrix_redact", { room_id: room, event_id: said });
  return !(await read()).some((one) => one.event_id === said);
});
await steps.step("reads nothing of a room that it is not in", () =>
  fails(call("matrix_read", { room_id: foreign }), "not in its room"),
);
await steps.step("says nothing there", () => fails(call("matrix_send", { room_id: foreign, text: "hello?" }), "not in its room"));
await steps.step("is told which argument does not fit", () => fails(call("matrix_send", { room_id: room, words: "x" }), "unknown field `words`"));
await steps.step("is told that a text is missing", () => fails(call("matrix_send", { room_id: room, text: "  " }), "empty"));
await steps.step("is told what is not allowed", () => fails(call("matrix_join", { room: foreign }), "tools.allow"));
await steps.step("is told what a tool is called", () => fails(call("matrix_sent", {}), "did you mean matrix_send?"));
await steps.step("acts 30 times a minute and no more", async () => {
  const calls = Array.from({ length: 40 }, () => call("list_agents").then(() => "done", (error) => error.message));
  const outcomes = await Promise.all(calls);
  const late = outcomes.filter((outcome) => outcome !== "done");
  return late.length > 0 && late.every((why) => why.includes("too often"));
});
await client?.close();
steps.finish();
