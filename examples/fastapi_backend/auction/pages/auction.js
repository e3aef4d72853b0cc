// The page of the auction. What others write is shown as text, never as markup.
import { Client, State } from "../rt.js";

const OPEN_SECONDS = 120;
const HISTORY = 20;

const $ = (id) => document.getElementById(id);
const euros = new Intl.NumberFormat("en", { style: "currency", currency: "EUR", maximumFractionDigits: 0 });

let client;
let me = "";
const lots = new Map(); // id -> { lot, card }

const ask = async (path, body) => {
  const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, body && post);
  return answer.json();
};

/** `task` may fail with a sentence for the visitor. */
async function attempt(task) {
  try {
    await task();
    $("news").textContent = "";
  } catch (error) {
    $("news").textContent = error.message;
  }
}

// Connecting: the browser sends the session's cookie along, so a new session needs a new connection.

async function connect() {
  const { name, port } = await ask("api/me");
  me = name;
  $("sign-in").hidden = Boolean(me);
  $("who").hidden = !me;
  $("who").textContent = `signed in as ${me}`;
  for (const lot of await ask("api/lots")) show(lot);
  for (const each of lots.values()) allow(each);
  client?.close();
  client = new Client(`ws://${location.hostname}:${port}/connection/websocket`, { state: showState });
  client.subscribe("ticker:all", { publication: ({ data }) => showTime(data) });
  for (const id of lots.keys()) follow(client, id);
  client.connect();
}

function follow(own, id) {
  own.subscribe(`lots:${id}`, {
    publication: ({ data }) => show(data),
    subscribed: (recovery) => recovery?.recovered || fill(own, `lots:${id}`, (list) => showBids(id, list)),
  });
  own.subscribe(`talk:${id}`, {
    publication: ({ data }) => showComment(id, data),
    subscribed: (recovery) => recovery?.recovered || fill(own, `talk:${id}`, (list) => showComments(id, list)),
  });
}

/** What was published before this page came, oldest first. Should the connection be lost, the next one asks again. */
async function fill(own, channel, then) {
  try {
    const { publications = [] } = await own.call("history", { channel, limit: HISTORY, reverse: true });
    then(publications.reverse().map(({ data }) => data));
  } catch (error) {
    if (!error.temporary) throw error;
  }
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

// Lots

function makeCard(lot) {
  const card = $("lot").content.firstElementChild.cloneNode(true);
  card.id = `lot-${lot.id}`;
  card.querySelector(".title").textContent = lot.title;
  card.querySelector(".detail").textContent = lot.detail;
  for (const button of card.querySelectorAll("[data-more]")) {
    button.textContent = `+ ${euros.format(button.dataset.more)}`;
    button.onclick = () => attempt(() => bid(lot.id, Number(button.dataset.more)));
  }
  const [form, text] = [card.querySelector(".talk form"), card.querySelector(".talk input")];
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(async () => {
      await client.call("publish", { channel: `talk:${lot.id}`, data: { text: text.value } });
      text.value = "";
    });
  };
  $("lots").append(card);
  return card;
}

async function bid(id, more) {
  const { lot } = lots.get(id);
  await client.call("rpc", { method: "bid", data: { lot: id, amount: lot.price + more } });
}

/** A lot as it is now. Older news (an answer that was overtaken) changes nothing. */
function show(lot) {
  const known = lots.get(lot.id);
  if (known && known.lot.version >= lot.version) return;
  const card = known?.card ?? makeCard(lot);
  lots.set(lot.id, { lot, card });
  card.classList.toggle("sold", lot.sold);
  const price = card.querySelector(".price");
  price.textContent = euros.format(lot.price);
  if (known && lot.bids && !lot.sold) {
    price.classList.remove("new");
    void price.offsetWidth; // begins the animation anew
    price.classList.add("new");
    addBid(card, lot);
  }
  if (!lot.bids) card.querySelector(".history").replaceChildren();
  const bidder = lot.bidder === me && me ? "you" : lot.bidder;
  const none = lot.sold ? "nobody wanted it" : "no bid yet";
  card.querySelector(".bidder").textContent = bidder ? `${lot.sold ? "goes to" : "highest bid:"} ${bidder}` : none;
  card.querySelector(".left").textContent = lot.sold ? "sold" : timeLeft(lot.ends_at - Date.now() / 1000);
  allow(lots.get(lot.id));
}

/** Guests may look. */
function allow({ lot, card }) {
  for (const button of card.querySelectorAll("[data-more]")) button.disabled = lot.sold || !me;
  const text = card.querySelector(".talk input");
  text.disabled = !me;
  text.placeholder = me ? "Say something about it" : "Sign in to talk about it";
}

function showTime(left) {
  for (const [id, seconds] of Object.entries(left)) {
    const { lot, card } = lots.get(Number(id)) ?? {};
    if (!card) continue;
    if (!lot.sold) card.querySelector(".left").textContent = timeLeft(seconds);
    card.querySelector(".bar i").style.width = `${lot.sold ? 100 : Math.min(100, (100 * seconds) / OPEN_SECONDS)}%`;
  }
}

function timeLeft(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} left`;
}

function line(...texts) {
  const item = document.createElement("li");
  item.append(...texts);
  return item;
}

function strong(text) {
  const element = document.createElement("b");
  element.textContent = text;
  return element;
}

function addBid(card, lot) {
  const name = document.createElement("span");
  name.textContent = lot.bidder;
  card.querySelector(".history").prepend(line(name, euros.format(lot.price)));
}

/** The bids of the round that is open, from the history of the channel. */
function showBids(id, states) {
  if (states.length) show(states.at(-1));
  const { card } = lots.get(id);
  card.querySelector(".history").replaceChildren();
  const begins = states.findLastIndex((lot) => !lot.bids);
  for (const lot of states.slice(begins + 1)) if (!lot.sold) addBid(card, lot);
}

function showComments(id, comments) {
  lots.get(id).card.querySelector(".talk ol").replaceChildren();
  for (const each of comments) showComment(id, each);
}

function showComment(id, { author, text }) {
  const list = lots.get(id).card.querySelector(".talk ol");
  list.append(line(strong(author), text));
  list.scrollTop = list.scrollHeight;
}

$("sign-in").onsubmit = (event) => {
  event.preventDefault();
  attempt(async () => {
    await ask("api/sign-in", { name: $("name").value });
    await connect();
  });
};

connect();
