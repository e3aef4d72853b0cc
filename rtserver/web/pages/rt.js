// A small client of the Centrifuge client protocol: JSON over one WebSocket, no dependencies.
//
//   const client = new Client("wss://example.org/connection/websocket", { state(name, detail) {} });
//   client.subscribe("news", { publication(pub, recovered) {}, subscribed(recovery) {} });
//   client.connect();
//   await client.call("publish", { channel: "news", data: { text: "hello" } });
//
// `connect` may hold more of the connect command (token, data); `frame(direction, text)` hears every frame, "out" or "in".
//
// After a loss it comes back by itself, subscribes again from the last offset and epoch it saw, and tells each
// subscription what the server had kept for it in the meantime. Times are milliseconds.

export const State = Object.freeze({
  CONNECTING: "connecting",
  CONNECTED: "connected",
  DROPPED: "dropped", // comes back after `detail.wait`
  CLOSED: "closed", // stays away until connect() is called
});

const FOR_GOOD = 3500; // the first of the codes that clients do not come back after

const FIRST_DELAY = 250;
const LONGEST_DELAY = 10_000;
const ANSWER_TIME = 5_000;
const PING_GRACE = 10_000;

/** Full jitter: anything between nothing and a bound that doubles, so that many clients do not come back in step. */
export const delay = (attempt, chance = Math.random) =>
  chance() * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempt);

/** Whether a client may come back after a close code. */
const comesBack = (code) => code < FOR_GOOD || (code >= 4000 && code < 4500) || code >= 5000;

export class CallError extends Error {
  constructor({ code = 0, message, temporary = false }) {
    super(message);
    this.code = code;
    this.temporary = temporary;
  }
}

const LOST = new CallError({ code: 1, message: "the connection was lost", temporary: true });
const AWAY = new CallError({ code: 2, message: "not connected", temporary: true });

/** One channel: its position in the stream, and whom to tell. Every function of `events` may be left out. */
class Subscription {
  constructor(channel, events, more) {
    this.channel = channel;
    this.events = events;
    this.more = more;
    this.position = null;
  }

  get request() {
    const recover = this.position && { recover: true, ...this.position };
    return { channel: this.channel, recoverable: true, join_leave: true, ...this.more, ...recover };
  }

  tell(event, ...args) {
    this.events[event]?.(...args);
  }

  /** `subscribed` hears null the first time, then { recovered, first, last, count, lost, sameStream }. */
  enter({ recoverable, was_recovering, recovered, epoch = "", offset = 0, publications = [] }) {
    const before = this.position;
    const sameStream = before?.epoch === epoch;
    if (recoverable && !recovered) this.position = { offset, epoch };
    let lost = was_recovering && !recovered && sameStream ? offset - before.offset : 0;
    for (const pub of publications) lost += this.take(pub, true);
    if (!was_recovering) return this.tell("subscribed", null);
    const [first, last] = [publications.at(0)?.offset, publications.at(-1)?.offset];
    const count = publications.length;
    this.tell("subscribed", { recovered: Boolean(recovered), first, last, count, lost, sameStream });
  }

  /** Advance by one publication; how many were missing before it. */
  take(pub, recovered) {
    let missing = 0;
    if (this.position && pub.offset) {
      if (pub.offset <= this.position.offset) return 0;
      missing = pub.offset - this.position.offset - 1;
      this.position.offset = pub.offset;
    }
    this.tell("publication", pub, recovered, missing);
    return missing;
  }
}

export class Client {
  state = State.CLOSED;
  session = null; // what the server said when it let us in: client, version, ping
  #url;
  #onState;
  #onFrame;
  #connect;
  #socket = null;
  #subscriptions = new Map();
  #waiting = new Map(); // id -> { method, done, timer }
  #lastId = 0;
  #attempt = 0;
  #retry;
  #watchdog;

  constructor(url, { state = () => {}, frame = () => {}, connect = {} } = {}) {
    this.#url = url;
    this.#onState = state;
    this.#onFrame = frame;
    this.#connect = connect;
  }

  /** `more` goes into the subscribe command: data, token. */
  subscribe(channel, events, more = {}) {
    const subscription = new Subscription(channel, events, more);
    this.#subscriptions.set(channel, subscription);
    if (this.state === State.CONNECTED) this.#send([this.#entry(subscription)]);
    return subscription;
  }

  unsubscribe(channel) {
    if (!this.#subscriptions.delete(channel) || this.state !== State.CONNECTED) return;
    this.#send([this.#command("unsubscribe", { channel }, () => {})]);
  }

  connect() {
    clearTimeout(this.#retry);
    const socket = (this.#socket = new WebSocket(this.#url, "centrifuge-json"));
    const current = (then) => (event) => socket === this.#socket && then(event);
    socket.onopen = current(() => this.#greet());
    socket.onmessage = current(({ data }) => this.#read(socket, data));
    socket.onclose = current(({ code, reason }) => this.#lose(`${code} ${reason}`.trim(), code));
    this.#watch(ANSWER_TIME);
    this.#become(State.CONNECTING);
  }

  /** Let the socket go without a word and come back after `pause`. */
  drop(pause) {
    this.#lose("dropped by you", 0, pause);
  }

  /** Leave and stay away. */
  close() {
    this.#lose("closed by you", FOR_GOOD);
  }

  /** One command. Rejects with a CallError: refused by the server, not answered in time, or not connected. */
  call(method, params) {
    if (this.state !== State.CONNECTED) return Promise.reject(AWAY);
    return new Promise((resolve, reject) => {
      const done = (error, result) => (error ? reject(error) : resolve(result));
      this.#send([this.#command(method, params, done)]);
    });
  }

  /** The first frame carries everything: connect, and every subscription. */
  #greet() {
    const connect = this.#command("connect", { name: "rt.js", ...this.#connect }, (error, session) => {
      if (error === LOST) return;
      if (error) return this.#lose(error.message, error.temporary ? 0 : FOR_GOOD);
      this.session = session;
      this.#attempt = 0;
      this.#become(State.CONNECTED);
    });
    this.#send([connect, ...[...this.#subscriptions.values()].map((each) => this.#entry(each))]);
  }

  #entry(subscription) {
    return this.#command("subscribe", subscription.request, (error, result) => {
      if (!error) return subscription.enter(result);
      if (error === LOST) return;
      if (!error.temporary) return subscription.tell("refused", error);
      const { session } = this;
      const again = () => session && session === this.session && this.#send([this.#entry(subscription)]);
      setTimeout(again, delay(4));
    });
  }

  /** `done` is called in the order of the wire, before the next line of the same frame is read. */
  #command(method, params, done) {
    const id = ++this.#lastId;
    const timer = setTimeout(() => this.#lose(`no answer to ${method}`), ANSWER_TIME);
    this.#waiting.set(id, { method, done, timer });
    return { id, [method]: params };
  }

  #send(commands) {
    this.#write(this.#socket, commands.map((each) => JSON.stringify(each)).join("\n"));
  }

  #write(socket, frame) {
    socket.send(frame);
    this.#onFrame("out", frame);
  }

  #read(socket, frame) {
    this.#onFrame("in", frame);
    for (const line of frame.trim().split("\n")) {
      const message = JSON.parse(line);
      if (message.id) this.#answer(message);
      else if (message.push) this.#push(message.push);
      else if (this.session?.pong) this.#write(socket, "{}");
      if (socket !== this.#socket) return;
    }
    // Only now: the answer to connect, which says how often the server pings, may have been in this frame.
    if (this.session) this.#watch(this.session.ping ? this.session.ping * 1000 + PING_GRACE : 0);
  }

  #answer({ id, error, ...results }) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    waiting.done(error && new CallError(error), results[waiting.method]);
  }

  #push({ channel, pub, join, leave, unsubscribe }) {
    const subscription = this.#subscriptions.get(channel);
    if (!subscription) return;
    if (pub) subscription.take(pub, false);
    else if (join) subscription.tell("join", join.info);
    else if (leave) subscription.tell("leave", leave.info);
    else if (unsubscribe?.code >= 2500) this.#send([this.#entry(subscription)]);
    else if (unsubscribe) subscription.tell("refused", new CallError({ ...unsubscribe, message: unsubscribe.reason }));
  }

  #watch(time) {
    clearTimeout(this.#watchdog);
    if (time) this.#watchdog = setTimeout(() => this.#lose("the server is silent"), time);
  }

  #lose(why, code = 0, pause) {
    const [socket, waiting] = [this.#socket, [...this.#waiting.values()]];
    this.#socket = null;
    this.#waiting.clear();
    this.session = null;
    clearTimeout(this.#watchdog);
    clearTimeout(this.#retry);
    socket?.close();
    for (const each of waiting) {
      clearTimeout(each.timer);
      each.done(LOST);
    }
    if (!comesBack(code)) return this.#become(State.CLOSED, { why });
    const wait = pause ?? delay(this.#attempt++);
    this.#retry = setTimeout(() => this.connect(), wait);
    this.#become(State.DROPPED, { why, wait });
  }

  #become(state, detail = {}) {
    this.state = state;
    this.#onState(state, detail);
  }
}
