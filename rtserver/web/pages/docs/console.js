// The console: rt.js driven by hand, with every frame in sight. Names and example payloads come from the AsyncAPI document.
// Whatever comes from the server or from other people goes in as text, never as markup.

import { address, load, resolved } from "./asyncapi-document.js";
import { Frames, pretty } from "./frames.js";
import { Client, State } from "./rt.js";
import { sample } from "./samples.js";

const HISTORY = 20; // publications that are asked for
const NOTHING = Symbol("no data");

const $ = (id) => document.getElementById(id);
const frames = new Frames($("frames"), $("count"));
const subscriptions = new Map(); // channel -> its line in the list, with what was heard
const known = { publish: [], rpc: [], subscribe: [] }; // { pattern, name, summary, payload }
let client = null;
let met = false; // whether this client ever got an answer
let example = ""; // the payload that was put in for the user
let command = ""; // the one that is chosen
const drafts = {}; // command -> the payload that the user wrote for it

const COMMANDS = {
  publish: { label: "Channel", takes: true, params: (channel, data) => ({ channel, data }) },
  rpc: { label: "Method", takes: true, params: (method, data) => ({ method, ...(data === NOTHING ? {} : { data }) }) },
  presence: { label: "Channel", params: (channel) => ({ channel }) },
  history: { label: "Channel", params: (channel) => ({ channel, limit: HISTORY, reverse: true }) },
};

const SHOWN = {
  [State.CONNECTING]: ["connecting", "Cancel"],
  [State.CONNECTED]: ["connected", "Disconnect"],
  [State.DROPPED]: ["waiting", "Cancel"],
  [State.CLOSED]: ["not connected", "Connect"],
};

const UNREACHED =
  "No WebSocket there: the server is not reached, or client.allowed_origins does not list the origin of this page";

const say = (id, text, kind = "") => {
  $(id).textContent = text;
  $(id).dataset.kind = kind;
};

/** JSON of a field; `NOTHING` when it is empty. Throws an Error that says what is wrong with it. */
function json(id, what) {
  const text = $(id).value.trim();
  if (!text) return NOTHING;
  try {
    return JSON.parse(text);
  } catch (error) {
    $(id).focus();
    throw new Error(`${what} is no JSON: ${error.message}`);
  }
}

// The connection

function toggle(event) {
  event.preventDefault();
  if (client && client.state !== State.CLOSED) return client.close();
  try {
    const token = $("token").value.trim();
    const data = json("connect-data", "The data");
    frames.hide(token);
    const connect = { name: "console", ...(token && { token }), ...(data === NOTHING ? {} : { data }) };
    const heard = (direction, text) => frames.add(direction, text);
    client = new Client($("url").value.trim(), { state: show, frame: heard, connect });
    met = false;
    for (const channel of subscriptions.keys()) listen(channel);
    client.connect();
  } catch (error) {
    client = null;
    say("connection-note", error.message, "bad");
  }
}

function show(state, { why = "", wait }) {
  const [word, action] = SHOWN[state];
  $("state").textContent = word;
  $("state").dataset.state = state;
  $("toggle").textContent = action;
  if (state === State.CONNECTED) say("connection-note", `as ${client.session.client}`);
  met ||= state === State.CONNECTED;
  if (state === State.DROPPED) {
    const reason = why === "1006" && !met ? UNREACHED : why;
    say("connection-note", `${reason}; again in ${(wait / 1000).toFixed(1)} s`, "bad");
  }
  if (state === State.CLOSED) say("connection-note", why, why === "closed by you" ? "" : "bad");
  if (state !== State.CONNECTED) for (const each of subscriptions.values()) each.line.dataset.state = "waiting";
}

// Channels

function subscribe(event) {
  event.preventDefault();
  const channel = $("channel").value.trim();
  if (!channel || subscriptions.has(channel)) return;
  subscriptions.set(channel, { line: line(channel), heard: 0 });
  if (client) listen(channel);
  $("channel").value = "";
  if (!$("name").value) setName(channel);
}

function listen(channel) {
  const entry = subscriptions.get(channel);
  const become = (state, note = "") => {
    entry.line.dataset.state = state;
    entry.line.title = note;
    entry.line.querySelector(".heard").textContent = note || count(entry.heard);
  };
  client.subscribe(channel, {
    subscribed: () => become("subscribed"),
    refused: (error) => become("refused", error.message),
    publication: () => {
      entry.heard += 1;
      entry.line.querySelector(".heard").textContent = count(entry.heard);
    },
  });
}

function leave(channel) {
  client?.unsubscribe(channel);
  subscriptions.get(channel).line.remove();
  subscriptions.delete(channel);
}

function line(channel) {
  const [item, name, heard, button] = ["li", "code", "span", "button"].map((kind) => document.createElement(kind));
  name.textContent = name.title = channel;
  heard.className = "heard";
  button.type = "button";
  button.textContent = "Unsubscribe";
  button.addEventListener("click", () => leave(channel));
  item.dataset.state = "waiting";
  item.append(name, heard, button);
  $("subscriptions").append(item);
  return item;
}

const count = (heard) => (heard === 0 ? "" : `${heard.toLocaleString("en")} received`);

// Commands

async function send(event) {
  event.preventDefault();
  const { takes, params } = COMMANDS[command];
  try {
    const data = takes ? json("payload", "The data") : NOTHING;
    if (command === "publish" && data === NOTHING) throw new Error("There is nothing to publish: write some JSON");
    if (!client) throw new Error("Not connected: connect first");
    const began = performance.now();
    const result = await client.call(command, params($("name").value.trim(), data));
    say("outcome", `answered in ${(performance.now() - began).toFixed(1)} ms`, "good");
    tell(result?.data ?? result);
  } catch (error) {
    say("outcome", error.code ? `${error.code}: ${error.message}` : error.message, "bad");
    tell(undefined);
  }
}

function tell(value) {
  const empty = value === undefined || (value !== null && typeof value === "object" && !Object.keys(value).length);
  $("answer").hidden = empty;
  $("answer").textContent = empty ? "" : pretty(JSON.stringify(value));
  if (!empty) $("answer").scrollIntoView({ block: "nearest" });
}

/** The command was changed: what it takes, and which names are known for it. */
function choose() {
  if ($("payload").value !== example) drafts[command] = $("payload").value;
  command = document.querySelector("[name=command]:checked").value;
  const { label, takes = false } = COMMANDS[command];
  $("name-label").textContent = label;
  $("payload").hidden = $("payload-label").hidden = !takes;
  $("payload").value = example = "";
  const names = takes ? known[command] : known.subscribe;
  suggest("names", names);
  say("outcome", "");
  tell(undefined);
  const [joined] = subscriptions.keys();
  setName((takes ? "" : joined) || (names[0]?.name ?? ""));
  if (drafts[command]) $("payload").value = drafts[command];
}

function setName(name) {
  $("name").value = name;
  describe();
}

/** What the document says of the name, and an example of its payload unless the user has written one. */
function describe() {
  const found = known[command]?.find(({ pattern }) => pattern.test($("name").value.trim()));
  $("about").textContent = found?.summary ?? "";
  const untouched = $("payload").value === example || !$("payload").value.trim();
  if (!COMMANDS[command].takes || !untouched) return;
  example = found?.payload ? JSON.stringify(sample(found.payload), null, 2) : "";
  $("payload").value = example;
}

// The document

function learn(whole) {
  for (const { "x-command": command, channel, messages, summary } of Object.values(whole.operations)) {
    const list = known[command === "publication" ? "subscribe" : command];
    if (!list || channel.address === null) continue;
    const payload = messages[0].examples ? { examples: [messages[0].examples[0].payload] } : messages[0].payload;
    const said = command === "publication" ? (channel.summary ?? summary) : summary;
    list.push({ ...names(channel), summary: said, payload });
  }
  suggest("channel-names", known.subscribe);
  $("channel").value = known.subscribe[0]?.name ?? "";
}

/** A name that fits the address of a channel, and a pattern for all of them. */
function names({ address, parameters = {} }) {
  const parts = address.split(/\{(\w+)\}/);
  const literal = (text) => text.replace(/[.*+?^$()|[\]\\{}]/g, "\\$&");
  const fill = (name) => String(parameters[name]?.examples?.[0] ?? parameters[name]?.enum?.[0] ?? name);
  return {
    pattern: new RegExp(`^${parts.map((part, i) => (i % 2 ? ".+" : literal(part))).join("")}$`),
    name: parts.map((part, i) => (i % 2 ? fill(part) : part)).join(""),
  };
}

function suggest(id, entries) {
  const options = entries.map(({ name, summary }) => new Option(summary ?? "", name));
  $(id).replaceChildren(...options);
}

// Frames

function filter() {
  const text = $("filter").value.trim().toLowerCase();
  const ways = { in: $("show-in").checked, out: $("show-out").checked };
  const pings = $("show-pings").checked;
  const found = (row) => !text || row.text.toLowerCase().includes(text) || row.kind.includes(text);
  frames.filter((row) => ways[row.direction] && (pings || !row.ping) && found(row));
}

async function copy() {
  try {
    await navigator.clipboard.writeText(frames.text);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("frames")); // only a page of a secure origin may write the clipboard
    $("copy").textContent = "Ctrl+C";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 1_500);
}

$("connection").addEventListener("submit", toggle);
$("subscribe").addEventListener("submit", subscribe);
$("command").addEventListener("submit", send);
$("command").addEventListener("change", ({ target }) => target.name === "command" && choose());
$("name").addEventListener("input", describe);
$("payload").addEventListener("keydown", (event) => event.key === "Enter" && event.ctrlKey && send(event));
for (const id of ["filter", "show-in", "show-out", "show-pings"]) $(id).addEventListener("input", filter);
$("copy").addEventListener("click", copy);
$("clear").addEventListener("click", () => frames.clear());

filter();
try {
  const whole = await load("../");
  $("url").value = address(whole);
  learn(resolved(whole));
} catch (error) {
  say("connection-note", `No names and no examples: ${error.message}`, "bad");
}
choose();
