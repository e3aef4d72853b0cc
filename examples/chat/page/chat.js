// The page of the chat. Everything that people write is shown as text, never as markup.
import { Client, State } from "./rt.js";

const PULSE = "live:pulse";
const HISTORY = 50;

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });

let client;
let me = "";
let room = null; // the name of the room that is open
let topics = new Map();
let people = new Map(); // connection -> { user, colour, since }

/** An element with a class and children; strings become text. */
function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

function face(name, colour) {
  const circle = make("span", "face", name.slice(0, 2).toUpperCase());
  circle.style.setProperty("--colour", colour);
  circle.ariaHidden = "true";
  return circle;
}

// Coming in

function comeIn(name) {
  me = name;
  sessionStorage.setItem("name", name);
  const url = new URL("connection/websocket", location.href.replace(/^http/, "ws"));
  client = new Client(url, { state: showState, connect: { data: { name } } });
  client.subscribe(PULSE, { publication: ({ data }) => showPulse(data) });
  enter(decodeURIComponent(location.hash.slice(1)) || "lobby");
  client.connect();
}

function showState(state, { why, wait } = {}) {
  const words = {
    [State.CONNECTING]: "connecting …",
    [State.CONNECTED]: `connected as ${me}`,
    [State.DROPPED]: `connection lost, again in ${Math.ceil((wait ?? 0) / 1000)} s`,
    [State.CLOSED]: why ?? "disconnected",
  };
  $("state").textContent = words[state];
  $("state").dataset.state = state;
  for (const each of $("say").elements) each.disabled = state !== State.CONNECTED;
}

// Rooms

function enter(name) {
  if (room) client.unsubscribe(`chat:${room}`);
  room = name;
  people = new Map();
  history.replaceState(null, "", `#${name}`);
  $("room").textContent = `# ${name}`;
  $("topic").textContent = topics.get(name) ?? "";
  $("messages").replaceChildren();
  $("say-error").textContent = "";
  showPeople();
  markRoom();
  const here = (then) => (...args) => room === name && then(...args);
  client.subscribe(`chat:${name}`, {
    publication: here((pub, recovered, missing) => {
      if (missing) note(`${missing} messages are lost`);
      showMessage(pub.data);
    }),
    subscribed: here((recovery) => lookAround(name, recovery)),
    join: here(({ client, ...info }) => arrive(client, info)),
    leave: here(({ client }) => depart(client)),
    refused: here((error) => note(error.message)),
  });
}

/** Should the connection be lost meanwhile, the next one looks again. */
async function lookAround(name, recovery) {
  try {
    await look(name, recovery);
  } catch (error) {
    if (!error.temporary) note(error.message);
  }
}

/** After the first subscribe: what was said before. After each: who is here. */
async function look(name, recovery) {
  const channel = `chat:${name}`;
  if (recovery && !recovery.recovered) note("the server was started anew: what was said before is gone");
  if (!recovery) {
    const { publications = [] } = await client.call("history", { channel, limit: HISTORY, reverse: true });
    if (room !== name) return;
    $("messages").replaceChildren();
    publications.reverse().forEach((pub) => showMessage(pub.data));
    if (!publications.length) note("Nothing was said here yet.");
  }
  const { presence = {} } = await client.call("presence", { channel });
  if (room !== name) return;
  people = new Map();
  for (const [id, info] of Object.entries(presence)) people.set(id, person(info));
  showPeople();
  $("text").focus();
}

function markRoom() {
  for (const button of $("rooms").querySelectorAll("button"))
    button.toggleAttribute("aria-current", button.dataset.room === room);
}

function showPulse({ at, people, last_minute, rooms }) {
  const spoken = last_minute === 1 ? "1 message" : `${last_minute} messages`;
  $("pulse").textContent = `${clock.format(at * 1000)} · ${people} online · ${spoken} in the last minute`;
  topics = new Map(rooms.map(({ name, topic }) => [name, topic]));
  $("topic").textContent = topics.get(room) ?? "";
  const shown = new Map([...$("rooms").children].map((item) => [item.firstChild.dataset.room, item]));
  for (const each of rooms) {
    const item = shown.get(each.name) ?? addRoom(each.name);
    item.querySelector(".people").textContent = each.people || "";
  }
  markRoom();
}

function addRoom(name) {
  const button = make("button", "", make("span", "", `# ${name}`), make("span", "people"));
  button.type = "button";
  button.dataset.room = name;
  button.onclick = () => name !== room && enter(name);
  const item = make("li", "", button);
  $("rooms").append(item);
  return item;
}

// Messages

function showMessage({ id, text, author, colour, at }) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const time = make("time", "", clock.format(at * 1000));
  time.dateTime = new Date(at * 1000).toISOString();
  const bubble = make("div", "bubble", make("div", "who", author, time), make("div", "text", text));
  const item = make("li", author === me ? "mine" : "", face(author, colour), bubble);
  item.dataset.id = id;
  list.querySelector(".note.empty")?.remove();
  list.append(item);
  while (list.children.length > 500) list.firstChild.remove();
  if (atEnd || author === me) list.scrollTop = list.scrollHeight;
}

function note(text) {
  const list = $("messages");
  list.append(make("li", list.children.length ? "note" : "note empty", text));
  list.scrollTop = list.scrollHeight;
}

// People

const person = ({ user, conn_info, chan_info }) => ({ user, colour: conn_info?.colour ?? 0, since: chan_info?.since });

function arrive(id, info) {
  people.set(id, person(info));
  showPeople();
}

function depart(id) {
  people.delete(id);
  showPeople();
}

/** One line for each user, however many windows they have open. */
function showPeople() {
  const users = new Map();
  for (const each of people.values()) {
    const known = users.get(each.user);
    if (!known || each.since < known.since) users.set(each.user, each);
  }
  const lines = [...users.values()].sort((a, b) => a.user.localeCompare(b.user));
  $("count").textContent = lines.length || "";
  $("people").replaceChildren(
    ...lines.map(({ user, colour, since }) => {
      const name = make("span", "name", user === me ? `${user} (you)` : user);
      return make("li", "", face(user, colour), name, make("small", "", since ? clock.format(since * 1000) : ""));
    }),
  );
}

// What the visitor does

$("say").onsubmit = async (event) => {
  event.preventDefault();
  const text = $("text").value;
  try {
    await client.call("publish", { channel: `chat:${room}`, data: { text } });
    if ($("text").value === text) $("text").value = "";
    $("say-error").textContent = "";
  } catch (error) {
    $("say-error").textContent = error.message;
  }
};

$("create").onsubmit = async (event) => {
  event.preventDefault();
  const name = $("room-name").value.trim().toLowerCase();
  try {
    await client.call("rpc", { method: "rooms.create", data: { name } });
    $("create").reset();
    $("create-error").textContent = "";
    enter(name);
  } catch (error) {
    $("create-error").textContent = error.message;
  }
};

$("hello").onsubmit = () => comeIn($("name").value.trim());
$("welcome").oncancel = (event) => event.preventDefault();

const known = sessionStorage.getItem("name");
if (known) comeIn(known);
else $("welcome").showModal();
