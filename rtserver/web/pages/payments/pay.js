// The page of payments: choose, pay, and see what becomes of it without loading anything anew.

import { get, insist, newKey, post, remove, setToken } from "./api.js";
import { CardForm } from "./card.js";
import { choice, describe, methodRow, money, orderRow, Orders, part, subscriptionRow, WORDS } from "./lists.js";
import { Live } from "./live.js";
import { deeds } from "./staff.js";

const ASK_EVERY = 5_000; // while an outcome is not known and there is no connection

const SAVED_AFTER = [700, 2_500, 8_000];

const NAMED_BY = 8; // characters of the id of a person

const $ = (id) => document.getElementById(id);
const form = $("buy");
const { csrf, mode, channel, staffChannel, websocket, testPrefix, staff, secure } = form.dataset;
const [isStaff, isTest] = [staff === "yes", mode === "simulator"];

const items = new Map(); // id -> item
const orders = new Map(); // id -> one's own order
const others = new Map(); // id -> an order of anybody, for staff
let shown = ""; // the order that the page tells of
let isPaying = false;

setToken(csrf);
const card = isTest ? null : new CardForm($("card"), secure === "yes");

// What

const chosen = (name) => form.querySelector(`input[name="${name}"]:checked`)?.value ?? "";
const nameOf = (id) => items.get(id)?.name ?? id;

const isSample = ({ id }) => id.startsWith(testPrefix);
const goodsFirst = (one, other) => isSample(one) - isSample(other) || one.price - other.price;

async function loadItems() {
  const found = (await get("/payment/items")).items.sort(goodsFirst);
  for (const each of found) items.set(each.id, each);
  const rows = found.map((each, n) =>
    choice("item", each.id, {
      title: each.name,
      text: each.is_subscription ? `${each.description} (subscription)` : each.description,
      price: money(each),
      isTest: isSample(each),
      checked: n === 0,
    }),
  );
  $("items").replaceChildren(...(rows.length ? rows : ["Nothing is for sale yet."]));
  ready();
}

function ready() {
  const item = items.get(chosen("item"));
  const canPay = isTest ? chosen("way") !== "" : card.isReady;
  const button = $("pay");
  button.disabled = isPaying || !item || !canPay;
  button.textContent = item ? `${item.is_subscription ? "Subscribe for" : "Pay"} ${money(item)}` : "Pay";
}

// How

async function openCard() {
  const [state, again] = [$("card-state"), $("card-again")];
  [state.hidden, again.hidden] = [false, true];
  state.dataset.state = "";
  state.textContent = "Loading the card form…";
  try {
    await card.open(chosen("item"));
    state.hidden = true;
  } catch (error) {
    state.dataset.state = "bad";
    state.textContent = error.message;
    again.hidden = false;
  }
  ready();
}

async function loadMethods() {
  const { methods } = await get("/payment/methods");
  $("methods-section").hidden = methods.length === 0;
  $("methods").replaceChildren(...methods.map((each) => methodRow(each, methodDeeds(each))));
  if (!isTest) return; // the card form shows them itself
  const before = chosen("way");
  $("saved").hidden = methods.length === 0;
  const rows = methods.map((each) =>
    choice("way", `method:${each.token}`, { title: describe(each), text: "saved", checked: before === `method:${each.token}` }),
  );
  $("saved").replaceChildren(...rows);
  ready();
}

const methodDeeds = ({ token }) => ({
  choose: () => post(`/payment/methods/${encodeURIComponent(token)}/default`).then(loadMethods),
  remove: () => remove(`/payment/methods/${encodeURIComponent(token)}`).then(loadMethods),
});

/** What pays: a nonce or a saved method. */
async function way(item) {
  if (!isTest) return card.pay(item.price);
  const value = chosen("way");
  return value.startsWith("method:") ? { method: value.slice("method:".length) } : { nonce: value };
}

// Paying

function tell(state, text) {
  const place = $("outcome");
  place.hidden = false;
  place.dataset.state = state;
  place.textContent = text;
}

const SENTENCES = {
  checking: ["", "Checking… We do not know yet whether it went through. Do not pay again: this line changes by itself."],
  authorized: ["good", "The money is held."],
  paid: ["good", "Paid. Thank you!"],
  settled: ["good", "Paid and settled. Thank you!"],
  voided: ["over", "The payment was released: you are not charged."],
  partly_refunded: ["over", ""],
  refunded: ["over", "The money was given back."],
  disputed: ["bad", "This payment is disputed."],
  failed: ["bad", "The payment failed when it was settled."],
};

/** How the order stands that the page tells of. */
function tellOrder(order) {
  shown = order.order;
  const [tone, text] = SENTENCES[order.state] ?? ["bad", order.message || `This order is ${WORDS[order.state]}.`];
  tell(tone, [text, part(order) && `${part(order)}.`].filter(Boolean).join(" "));
  $("outcome").dataset.order = order.state;
}

async function pay(event) {
  event.preventDefault();
  const item = items.get(chosen("item"));
  if (isPaying || !item) return;
  isPaying = true;
  shown = "";
  ready();
  tell("", "Paying…");
  for (const name of ["order", "result"]) delete $("outcome").dataset[name];
  try {
    const paid = await way(item);
    if (item.is_subscription) await subscribe(item, paid);
    else await buy(item, paid);
  } catch (error) {
    tell("bad", error.message);
  } finally {
    isPaying = false;
    card?.clear();
    ready();
  }
}

async function buy(item, paid) {
  const body = { item: item.id, ...paid, save: $("keep").checked && !paid.method };
  const answer = await insist("/payment/process/", body, newKey(), (text) => tell("", text));
  take(answer.order);
  if (answer.result === "done" || answer.result === "unknown") tellOrder(orders.get(answer.order.order));
  else tell("bad", saidOf(answer));
  $("outcome").dataset.result = answer.result;
  if (body.save && answer.result === "done") awaitMethods();
}

/** The gateway saves it with the payment, and is asked for it a moment later. */
function awaitMethods() {
  for (const time of SAVED_AFTER) setTimeout(() => loadMethods().catch(complain), time);
}

const unique = (text, n, all) => text && all.indexOf(text) === n;
const saidOf = ({ message, errors }) => [message, ...errors.map((each) => each.message)].filter(unique).join(" ");

async function subscribe(item, paid) {
  const body = { item: item.id, method: paid.method ?? "", nonce: paid.nonce ?? "" };
  const answer = await insist("/payment/subscriptions", body, newKey(), (text) => tell("", text));
  $("outcome").dataset.result = answer.result;
  if (answer.result === "done") tell("good", "Your subscription has begun: see below.");
  else tell(answer.result === "unknown" ? "" : "bad", saidOf(answer));
  await Promise.all([loadSubscriptions(), loadMethods()]);
}

async function loadSubscriptions() {
  const { subscriptions } = await get("/payment/subscriptions");
  $("subscriptions-section").hidden = subscriptions.length === 0;
  $("subscriptions").replaceChildren(
    ...subscriptions.map((each) => subscriptionRow(each, nameOf(each.item), subscriptionDeeds(each))),
  );
}

const LIVE = ["pending", "active", "past_due"];

function subscriptionDeeds({ subscription, state }) {
  const path = `/payment/subscriptions/${encodeURIComponent(subscription)}`;
  const again = state === "past_due" ? [["Pay now", () => post(`${path}/retry`).then(loadSubscriptions)]] : [];
  const end = LIVE.includes(state) ? [["Cancel", () => post(`${path}/cancel`).then(loadSubscriptions)]] : [];
  return [...again, ...end];
}

// Orders

/** News may come twice and late: what was changed later counts. */
function put(book, order) {
  const known = book.get(order.order);
  if (known && known.changed_at > order.changed_at) return false;
  book.set(order.order, { ...known, ...order });
  return !known || known.state !== order.state;
}

function take(order) {
  const isNew = put(orders, order);
  showOrders();
  if (order.order === shown && !isPaying) tellOrder(orders.get(order.order));
  if (isNew) document.querySelector(`#orders [data-order="${CSS.escape(order.order)}"]`)?.classList.add("new");
  if (isStaff && others.has(order.order)) {
    put(others, order);
    showOthers();
  }
}

const latest = (book) => [...book.values()].sort((one, other) => other.created_at - one.created_at);

const deedsOf = (order) => (isStaff ? deeds(order, nameOf(order.item), changed) : "");
const ownList = new Orders($("orders"), (each) => orderRow(each, nameOf(each.item), deedsOf(each)));
const allList = new Orders($("all-orders"), (each) =>
  orderRow(each, nameOf(each.item), deedsOf(each), `person ${each.user.slice(0, NAMED_BY)}`),
);

function showOrders() {
  $("no-orders").hidden = orders.size > 0;
  ownList.show(latest(orders));
}

const showOthers = () => allList.show(latest(others));

/** By staff. */
function changed(order) {
  for (const book of [orders, others]) if (book.has(order.order)) put(book, order);
  showOrders();
  showOthers();
}

async function loadOrders() {
  for (const each of (await get("/payment/orders")).orders) put(orders, each);
  showOrders();
  if (shown && !isPaying) tellOrder(orders.get(shown));
  if (!isStaff) return;
  for (const each of (await get("/payment/staff/orders")).orders) put(others, each);
  showOthers();
}

// News

function hear({ record = {}, user = "" }) {
  if (record.subscription) loadSubscriptions().catch(complain);
  if (!record.order) return;
  if (user && isStaff) {
    put(others, { ...record, user });
    showOthers();
  }
  if (!user || orders.has(record.order)) take(record);
}

const STATES = { connected: "live", connecting: "connecting…", dropped: "connecting…", closed: "connecting…" };

function showLive(state) {
  $("live").dataset.state = state;
  $("live").textContent = STATES[state];
}

const complain = (error) => console.warn(error.message);

const live = new Live(websocket, [channel, staffChannel].filter(Boolean), {
  news: hear,
  state: showLive,
  missed: () => loadOrders().catch(complain),
});

form.addEventListener("submit", pay);
form.addEventListener("change", ready);
$("card-again")?.addEventListener("click", openCard);
setInterval(() => {
  const isOpen = [...orders.values()].some((each) => each.state === "checking");
  if (isOpen && !live.isConnected) loadOrders().catch(complain);
}, ASK_EVERY);
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

try {
  await loadItems();
} catch (error) {
  $("items").replaceChildren(error.message);
}
live.start();
const started = [loadMethods(), loadSubscriptions(), loadOrders(), isTest ? null : openCard()];
for (const { reason } of await Promise.allSettled(started)) if (reason) complain(reason);
