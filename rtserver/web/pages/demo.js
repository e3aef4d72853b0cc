// The page: what the client of rt.js hears, put into the document. Everything from other people goes in as text, never
// as markup.

import { Chart } from "./chart.js";
import { Client, State } from "./rt.js";

const PRICES = "demo:prices";
const CHAT = "demo:chat";
const AWAY = 3_000; // ms that a dropped connection stays away
const LOOK = 2_000; // ms between two measurements of the round trip
const LONGEST = 500; // characters of a message
const MESSAGES = 100; // lists in the page are bounded
const PEOPLE = 50;
const EVENTS = 30;

const $ = (id) => document.getElementById(id);
const chart = new Chart($("chart"));
const counts = { received: 0, recovered: 0, lost: 0 };
const mine = new Set(); // ids of this page's connections, past ones too
const people = new Map(); // client id -> its line in the list
const said = new Set(); // offsets of the messages that are shown
let price = null;
let chatRecovered = null;

const address = new URL("connection/websocket", document.baseURI).href.replace(/^http/, "ws");
const client = new Client(address, { state: show });
// The chat comes first, so that its recovery is known when that of the prices is told.
client.subscribe(CHAT, {
  publication: (pub, recovered) => (counting(recovered), takeMessage(pub, recovered)),
  subscribed: (recovery) => enterChat(recovery),
  refused: (error) => refused(CHAT, error),
});
const prices = client.subscribe(PRICES, {
  publication: takePrice,
  subscribed: (recovery) => enterPrices(recovery),
  join: (info) => arrive(info.client, info, true),
  leave: ({ client: id }) => depart(id),
  refused: (error) => refused(PRICES, error),
});

// The connection

const SHOWN = {
  [State.CONNECTING]: ["connecting", "Drop my connection"],
  [State.CONNECTED]: ["connected", "Drop my connection"],
  [State.DROPPED]: ["disconnected", "Drop my connection"],
  [State.CLOSED]: ["closed", "Connect again"],
};

function show(state, { why, wait }) {
  const [word, action] = SHOWN[state];
  document.body.dataset.state = $("state").dataset.state = state;
  $("state").textContent = word;
  $("drop").textContent = action;
  $("drop").disabled = state === State.CONNECTING || state === State.DROPPED;
  if (state === State.CONNECTED) greet(client.session);
  if (state === State.DROPPED) away(why, wait);
  if (state === State.CLOSED) shut(why);
}

function away(why, wait) {
  const had = leave(`disconnected: ${why}`);
  const text = had ? "Disconnected. Publications go on without you; back" : "No answer from the server; next attempt";
  outcome(`${text} in ${seconds(wait)}.`, "bad");
  countDown(wait);
}

function shut(why) {
  leave(`closed by the server: ${why}`);
  outcome(`The server closed the connection: ${why}.`, "bad");
}

/** Returns false when there was no connection to leave. */
function leave(text) {
  if ($("client").title === "") return false;
  chart.openHole();
  $("client").title = "";
  $("client").textContent = $("round-trip").textContent = "–";
  note(text, "bad");
  return true;
}

function greet({ client: id, version }) {
  mine.add(id);
  $("client").textContent = short(id);
  $("client").title = id;
  $("server").textContent = `rtserver ${version}`;
  note(`connected as ${short(id)}`, "good");
  look();
}

function countDown(wait) {
  const end = performance.now() + wait;
  const frame = () => {
    const left = end - performance.now();
    const over = left <= 0 || client.state !== State.DROPPED;
    $("countdown").value = over ? 0 : left / wait;
    if (!over) requestAnimationFrame(frame);
  };
  frame();
}

function refused(channel, error) {
  note(`${channel}: ${error.message}`, "bad");
  outcome(`The server refuses ${channel}: ${error.message}.`, "bad");
}

/** The round trip of a small command, and whether the list of people is still right. */
async function look() {
  const began = performance.now();
  const stats = await attempt(client.call("presence_stats", { channel: PRICES }));
  if (!stats) return;
  $("round-trip").textContent = `${(performance.now() - began).toFixed(1)} ms`;
  if ((stats.num_clients ?? 0) !== people.size) meet();
}

/** A call whose failure says nothing new: the state of the connection is shown anyhow. */
async function attempt(call) {
  try {
    return await call;
  } catch (error) {
    if (!error.temporary) note(error.message, "bad");
    return null;
  }
}

// Prices

async function enterPrices(recovery) {
  chart.closeHole();
  if (recovery) tellRecovery(recovery);
  if (recovery && !recovery.sameStream) chart.clear();
  meet();
  if (recovery?.recovered) return;
  const past = await attempt(client.call("history", { channel: PRICES, limit: -1 }));
  const known = past?.publications.filter(isPrice) ?? [];
  for (const pub of known) chart.add({ ...pub.data, offset: pub.offset });
  if (known.length && price === null) showPrice(known.at(-1));
  showChange();
}

/** Every visitor may publish here; a publication of the server itself has no `info`. */
const isPrice = ({ data, info }) => !info && Number.isFinite(data?.price) && Number.isFinite(data?.at);

function tellRecovery({ recovered, first, last, count, lost, sameStream }) {
  const span = count > 1 ? `offsets ${first}–${last}` : `offset ${first}`;
  const also = chatRecovered > 0 ? ` And ${plural(chatRecovered, "message")} of the chat.` : "";
  let text = `Back. Nothing was published meanwhile, none lost.${also}`;
  let line = "nothing to recover";
  if (!sameStream) {
    text = "Back. The server began a new stream (it was started anew): there was nothing to recover.";
    line = "a new stream began";
  } else if (!recovered) {
    text = `Back, but too late: the server no longer keeps ${plural(lost, "publication")}.`;
    line = `${lost} no longer kept`;
  } else if (count) {
    text = `${plural(count, "publication")} recovered, ${span}, ${lost || "none"} lost.${also}`;
    line = `${count} recovered, ${span}, ${lost || "none"} lost`;
  }
  counts.lost += lost;
  $("lost").textContent = counts.lost;
  outcome(text, recovered && !lost ? "good" : "bad");
  note(line, lost ? "bad" : "recovered");
}

function takePrice(pub, recovered, missing) {
  counting(recovered);
  if (missing && !recovered) {
    counts.lost += missing;
    $("lost").textContent = counts.lost;
  }
  if (!isPrice(pub)) return;
  chart.add({ ...pub.data, offset: pub.offset, recovered });
  showPrice(pub);
  showChange();
}

function showPrice({ data, offset }) {
  if (price === null) {
    const after = Math.round(performance.now());
    $("first-data").textContent = `after ${after} ms`;
    document.documentElement.dataset.firstData = after;
  }
  const element = $("price");
  element.textContent = data.price.toFixed(5);
  element.dataset.move = price === null || data.price === price ? "none" : data.price > price ? "up" : "down";
  price = data.price;
  const { epoch = "" } = prices.position ?? {};
  $("position").textContent = `${offset.toLocaleString("en")} in ${epoch || "–"}`;
}

function showChange() {
  const [first, last] = chart.ends;
  if (!first) return;
  const part = (last.price / first.price - 1) * 100;
  const time = Math.round((last.at - first.at) / 1000);
  $("change").dataset.move = part < 0 ? "down" : "up";
  $("change").textContent = `${part < 0 ? "▼" : "▲"} ${Math.abs(part).toFixed(2)} % in ${time} s`;
}

function counting(recovered) {
  counts.received += 1;
  $("received").textContent = counts.received.toLocaleString("en");
  if (!recovered) return;
  counts.recovered += 1;
  $("recovered").textContent = counts.recovered.toLocaleString("en");
}

function outcome(text, kind) {
  if ($("outcome").textContent !== text) $("outcome").textContent = text;
  $("outcome").dataset.kind = kind;
}

// People

async function meet() {
  const answer = await attempt(client.call("presence", { channel: PRICES }));
  if (!answer) return;
  for (const id of people.keys()) if (!(id in answer.presence)) depart(id);
  for (const [id, info] of Object.entries(answer.presence)) arrive(id, info, false);
}

/** What people are called: by their account, if they are signed in. */
const called = (id, info) => info?.conn_info?.name ?? short(id);

function arrive(id, info, fresh) {
  if (people.has(id)) return;
  const me = mine.has(id);
  const line = make("li", me ? "me" : "");
  line.append(avatar(id), make("code", "", called(id, info)), make("span", "note", me ? "you" : fresh ? "joined" : ""));
  line.title = id;
  people.set(id, line);
  if (me) $("present").prepend(line);
  else $("present").append(line);
  countPeople();
}

function depart(id) {
  people.get(id)?.remove();
  people.delete(id);
  countPeople();
}

function countPeople() {
  $("count").textContent = people.size;
  let row = 0;
  for (const line of $("present").children) line.hidden = row++ >= PEOPLE;
}

// Chat

async function enterChat(recovery) {
  chatRecovered = recovery?.count ?? 0;
  if (recovery && !recovery.sameStream) said.clear();
  if (recovery?.recovered) return;
  const past = await attempt(client.call("history", { channel: CHAT, limit: MESSAGES, reverse: true }));
  for (const pub of past?.publications.reverse() ?? []) takeMessage(pub, false);
}

function takeMessage({ data, info, offset }, recovered) {
  if (said.has(offset)) return;
  said.add(offset);
  const id = info?.client;
  const me = mine.has(id);
  const words = data?.text ?? data;
  const text = typeof words === "string" ? words : `${JSON.stringify(data)}`;
  const line = make("li", me ? "me" : "");
  const who = me ? "you" : id ? short(id) : "from elsewhere";
  const body = make("p");
  body.append(make("span", "who", who), make("span", "text", text.slice(0, LONGEST)));
  line.append(avatar(id ?? ""), body, make("span", recovered ? "tag recovered" : "tag", `#${offset}`));
  if (recovered) line.title = "recovered after the connection came back";
  const list = $("messages");
  const low = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(line);
  line.dataset.offset = offset;
  while (list.children.length > MESSAGES) {
    said.delete(Number(list.firstElementChild.dataset.offset));
    list.firstElementChild.remove();
  }
  if (low || me) list.scrollTop = list.scrollHeight;
  $("no-messages").hidden = true;
}

async function say(event) {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  try {
    await client.call("publish", { channel: CHAT, data: { text } });
    if ($("text").value.trim() === text) $("text").value = "";
    $("refusal").textContent = "";
  } catch (error) {
    $("refusal").textContent = `Not sent: ${error.message}. Your text is still here; publish it again.`;
  }
}

// Small things

function note(text, kind) {
  const line = make("li", kind);
  line.append(make("time", "", new Date().toLocaleTimeString("en-GB")), make("span", "", text));
  $("log").prepend(line);
  while ($("log").children.length > EVENTS) $("log").lastElementChild.remove();
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

function avatar(id) {
  const element = make("span", id ? "avatar" : "avatar server");
  element.style.setProperty("--hue", parseInt(id.slice(0, 4), 16) % 360 || 0);
  element.setAttribute("aria-hidden", "true");
  return element;
}

async function copy({ currentTarget: button }) {
  const source = $(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source); // only a page of a secure origin may write the clipboard
    button.textContent = "Ctrl+C";
  }
  setTimeout(() => (button.textContent = "Copy"), 1_500);
}

const seconds = (time) => `${Math.max(0.1, time / 1000).toFixed(1)} s`;
const short = (id) => id.slice(0, 8);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

$("drop").addEventListener("click", () => (client.state === State.CLOSED ? client.connect() : client.drop(AWAY)));
$("say").addEventListener("submit", say);
for (const button of document.querySelectorAll("[data-copies]")) button.addEventListener("click", copy);
$("curl").textContent = $("curl").textContent.replace("http://127.0.0.1:8000", location.origin);
setInterval(() => client.state === State.CONNECTED && !document.hidden && look(), LOOK);
client.connect();

// The account: only a server with accounts has one to show

async function account() {
  const answer = await attempt(fetch("auth/session", { headers: { accept: "application/json" } }));
  if (!answer?.ok) return;
  const { user } = await answer.json();
  $("account").textContent = user ? user.username : "Sign in";
  $("account").href = user ? "auth/profile" : `auth/sign-in?next=${encodeURIComponent(location.pathname)}`;
  $("account").classList.remove("unknown");
}

account();
