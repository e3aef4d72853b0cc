// The departures board: the flights came with the page, what changes comes live. Texts are shown as text, never as markup.
import { Client, State } from "/rt.js";

const CALLS = "calls:hall";
const STAFF = "staff:room";
const DELAYS = [5, 15];

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const withSeconds = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const shown = (formatter, seconds) => formatter.format(seconds * 1000);

const facts = JSON.parse($("facts").textContent);
const flights = new Map(facts.flights.map((flight) => [flight.id, flight]));
const client = new Client(`ws://${location.hostname}:${facts.port}/connection/websocket`, { state: showState });

function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

function showState(state, { why, wait } = {}) {
  const words = {
    [State.CONNECTING]: "connecting …",
    [State.CONNECTED]: "live",
    [State.DROPPED]: `connection lost, again in ${Math.ceil((wait ?? 0) / 1000)} s`,
    [State.CLOSED]: why,
  };
  $("state").textContent = words[state];
  $("state").dataset.state = state;
}

/** `task` may fail with a sentence for the visitor. */
async function attempt(task) {
  try {
    await task();
    $("news").textContent = "";
  } catch (error) {
    $("news").textContent = error.message;
  }
}

// Flights

function row(flight, isNew) {
  const { id, number, destination, scheduled, expected, gate, status } = flight;
  const time = make("td", "time", shown(clock, expected));
  if (expected !== scheduled) time.prepend(make("s", "", shown(clock, scheduled)));
  const word = status === "on time" && expected > scheduled ? "delayed" : status;
  const label = make("span", "status", word);
  label.dataset.is = word;
  const cells = [
    time,
    make("td", "destination", destination),
    make("td", "number", number),
    make("td", "gate", gate),
    make("td", "", label),
  ];
  if (facts.staff) cells.push(make("td", "more", ...DELAYS.map((minutes) => delayButton(number, minutes))));
  const line = make("tr", isNew ? "new" : "", ...cells);
  line.id = `flight-${id}`;
  return line;
}

function delayButton(number, minutes) {
  const button = make("button", "", `+${minutes} min`);
  button.onclick = () => attempt(() => client.call("rpc", { method: "flights:delay", data: { number, minutes } }));
  return button;
}

/** All lines in the order of their times; the one that changed lights up. */
function showFlights(changed) {
  const sorted = [...flights.values()].sort((a, b) => a.scheduled - b.scheduled || a.id - b.id);
  $("flights").replaceChildren(...sorted.map((flight) => row(flight, flight.id === changed)));
}

let whileLooking = null; // what changed while all flights were asked for

function change(flight) {
  whileLooking?.push(flight);
  if (flight.gone) flights.delete(flight.id);
  else flights.set(flight.id, flight);
  showFlights(flight.id);
}

/** All flights anew: what changed between the making of the page and the subscription came to nobody. */
async function lookAtAll() {
  whileLooking = [];
  const all = await (await fetch("/flights")).json();
  const [missed, later] = [all.flights, whileLooking];
  whileLooking = null;
  flights.clear();
  for (const flight of missed) flights.set(flight.id, flight);
  showFlights();
  later.forEach(change);
}

// Calls, and who of the staff is here

function showCall({ text, at }) {
  const time = make("time", "", at ? shown(clock, at) : "");
  $("calls").prepend(make("li", "", time, text));
  while ($("calls").children.length > 5) $("calls").lastChild.remove();
}

async function readCalls() {
  const { publications = [] } = await client.call("history", { channel: CALLS, limit: 5 });
  $("calls").replaceChildren();
  for (const { data } of publications) showCall(data);
}

async function showStaff() {
  const { presence = {} } = await client.call("presence", { channel: STAFF });
  const names = new Set(Object.values(presence).map(({ conn_info }) => conn_info.name));
  $("here").textContent = `At the desk: ${[...names].sort().join(", ")}`;
}

client.subscribe("board:departures", {
  publication: ({ data }) => change(data),
  subscribed: (recovery) => recovery?.recovered || attempt(lookAtAll),
});
client.subscribe(CALLS, {
  publication: ({ data }) => showCall(data),
  subscribed: (recovery) => recovery?.recovered || attempt(readCalls),
});
client.subscribe("clock:airport", {
  publication: ({ data }) => ($("clock").textContent = shown(withSeconds, data.at)),
});
if (facts.staff) {
  const look = () => attempt(showStaff);
  client.subscribe(STAFF, { subscribed: look, join: look, leave: look });
  $("call").onsubmit = (event) => {
    event.preventDefault();
    attempt(async () => {
      await client.call("publish", { channel: CALLS, data: { text: $("text").value } });
      $("text").value = "";
    });
  };
}

showFlights();
client.connect();
