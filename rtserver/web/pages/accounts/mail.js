// The window that asked for a letter waits here until it is confirmed, and then goes on by itself.
//
// It hears of it over WebSocket: the connection token subscribes it to the channel of the letter. Whatever it may have
// missed it asks for: after each connect, and every ten seconds while there is no connection.

import { Client, State } from "./rt.js";

const ASK_EVERY = 10_000;
const YOUNG = 30_000; // a page that was just loaded has a fresh token: loading it anew would not help

const place = document.getElementById("state");
const form = document.getElementById("continue");
const { proof, token, websocket, next } = place.dataset;
const born = performance.now();
let isLeaving = false;

const json = async (path) => {
  const answer = await fetch(path, { headers: { accept: "application/json" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
};

/** Of the session that this browser has now: another tab may have signed in meanwhile. While it does so there is none. */
async function csrfNow() {
  for (let tries = 0; tries < 5; tries += 1) {
    const { csrf } = await json("/auth/session");
    if (csrf) return csrf;
    await new Promise((done) => setTimeout(done, 500));
  }
  return "";
}

async function go() {
  if (isLeaving) return;
  isLeaving = true;
  place.dataset.state = "confirmed";
  place.textContent = "Confirmed. Going on…";
  try {
    form.elements.csrf.value = await csrfNow();
  } finally {
    form.submit();
  }
}

async function leave() {
  if (isLeaving) return;
  isLeaving = true;
  const { user } = await json("/auth/session");
  if (user) location.assign(next);
  else location.reload();
}

const STEPS = { confirmed: go, redeemed: leave, expired: () => location.reload(), waiting: () => {} };

/** Returns whether the letter still waits; a server that cannot be reached is asked again later. */
async function ask() {
  try {
    const { state } = await json(`/auth/proofs/${encodeURIComponent(proof)}`);
    await STEPS[state]?.();
    return state === "waiting";
  } catch (error) {
    console.warn(error.message);
    return false;
  }
}

/** The token is too old, or the server wants no connection. */
async function shut() {
  const stillWaits = await ask();
  if (stillWaits && performance.now() - born > YOUNG) location.reload();
}

function hear(direction, frame) {
  if (direction === "out") return;
  for (const line of frame.trim().split("\n")) {
    const { push } = JSON.parse(line);
    if (push?.channel === `rt_auth:${proof}` && push.pub?.data?.confirmed) go();
  }
}

const TOLD = { [State.CONNECTED]: ask, [State.CLOSED]: shut };

let client = null;
if (token && websocket) {
  const url = new URL(websocket, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  client = new Client(url.href, { connect: { token }, state: (name) => TOLD[name]?.(), frame: hear });
  client.connect();
}

setInterval(() => client?.state !== State.CONNECTED && ask(), ASK_EVERY);
// Digits that are on their way may confirm: the push would be faster than their answer, with its cookie of the new session.
document.addEventListener("submit", () => (isLeaving = true));
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
