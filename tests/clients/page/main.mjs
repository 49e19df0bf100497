// A page in headless Chromium as a driver: a person logs in with a password, sees rooms and a timeline, and answers.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { chromium } from "playwright-core";

import { logIn, said, signUp, start } from "../js/people.mjs";
import { PASSWORD } from "../js/register.mjs";
import { check, commandLine, fresh, quiet, Steps, until } from "../js/steps.mjs";

const VIEW = { width: 900, height: 520 };

const options = commandLine("main.mjs URL [--screenshot FILE] [--registration-token T]", {
  screenshot: { type: "string" },
  "registration-token": { type: "string" },
});
quiet();
logger.setLevel?.("silent");
const { url, "registration-token": token } = options;
const steps = new Steps("page");
const step = steps.step.bind(steps);

/** The page and its one script, on an origin of its own: to a browser the homeserver is somebody else. */
async function serve() {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("app.mjs", import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    define: { global: "globalThis" },
    nodePaths: [`${process.env.CLIENTS}/node_modules`],
    logLevel: "error",
  });
  const page = await readFile(new URL("index.html", import.meta.url));
  const server = createServer((request, response) => {
    const isScript = request.url === "/app.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html; charset=utf-8" });
    response.end(isScript ? bundle.outputFiles[0].contents : page);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

const names = { alice: fresh("alice"), bob: fresh("bob") };
for (const name of Object.values(names)) await step("register", () => signUp(url, name, token));
const bob = await step("bob logs in and syncs", async () => {
  const client = await logIn(url, names.bob);
  await start(client);
  return client;
});
if (!bob) steps.finish();
const room = await step("bob makes a room and says something", async () => {
  const alice = `@${names.alice}:${bob.getDomain()}`;
  const made = await bob.createRoom({ name: "Tea", preset: "private_chat", invite: [alice] });
  await bob.sendTextMessage(made.room_id, "Is anybody there?");
  return made.room_id;
});

const server = await step("bundle and serve the page", serve);
const browser = await step("start Chromium", () =>
  // Root has no sandbox, and the only page that is opened is our own.
  chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--no-proxy-server"] }),
);
if (!server || !browser) steps.finish();
const page = await browser.newPage({ viewport: VIEW });
const complaints = [];
page.on("pageerror", (error) => complaints.push(error.message));
// Asking for what a homeserver does not have is no mistake; being refused for the page's origin is one.
page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure().errorText}`));
page.on("console", (message) => /blocked by CORS/.test(message.text()) && complaints.push(message.text()));

await step("log in", async () => {
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.getByPlaceholder("Homeserver").fill(url);
  await page.getByPlaceholder("User name").fill(names.alice);
  await page.getByPlaceholder("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByPlaceholder("Message").waitFor();
});
await step("the room is in the list", () => page.getByRole("button", { name: "Tea" }).click());
await step("its timeline is shown", () => page.locator("#timeline li", { hasText: "Is anybody there?" }).waitFor());
await step("say something", async () => {
  await page.getByPlaceholder("Message").fill("Yes, in a browser.");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator("#timeline li", { hasText: "Yes, in a browser." }).waitFor();
});
await step("bob hears it", () => until(() => said(bob, room, "Yes, in a browser.")));
await step("an answer appears by itself", async () => {
  await bob.sendTextMessage(room, "Welcome!");
  await page.locator("#timeline li", { hasText: "Welcome!" }).waitFor();
});
await step("nothing went wrong in the page", async () => {
  const shown = await page.locator("#error").textContent();
  check(!shown && !complaints.length, [shown, ...complaints].join(" | "));
});
if (options.screenshot) await step("a screenshot", () => page.screenshot({ path: options.screenshot }));
await browser.close();
bob.stopClient();
steps.finish();
