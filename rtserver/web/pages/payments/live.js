// News of payments over the realtime connection: the person's own channel, and the staff's.

import { Client, State } from "/auth/static/rt.js";
import { get } from "./api.js";

const AGAIN = 5_000; // until new tokens are asked for when the old ones are not taken any more

const token = async (path) => (await get(path)).token;
const tokenOf = (channel) => token(`/auth/subscription-token?channel=${encodeURIComponent(channel)}`);

export class Live {
  #websocket;
  #channels;
  #events;
  #client = null;
  #retry;

  /** `events`: news(message), state(name), missed() when something may have been missed. */
  constructor(websocket, channels, events) {
    this.#websocket = new URL(websocket, location.href);
    this.#websocket.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#channels = channels;
    this.#events = events;
  }

  get isConnected() {
    return this.#client?.state === State.CONNECTED;
  }

  /** With new tokens: they end after some minutes. */
  async start() {
    clearTimeout(this.#retry);
    try {
      const connect = { token: await token("/auth/token") };
      const wanted = await this.#wanted();
      const client = new Client(this.#websocket.href, { connect, state: (name) => this.#told(client, name) });
      this.#client = client;
      for (const [channel, more] of wanted) client.subscribe(channel, this.#listener(client), more);
      client.connect();
    } catch (error) {
      if (error.status === 401) return location.reload(); // signed out elsewhere: the page leads to the sign-in
      console.warn(error.message);
      this.#later();
    }
  }

  /** Channels that this person may not hear are left out; without the first one there is nothing to hear. */
  async #wanted() {
    const found = await Promise.allSettled(this.#channels.map(tokenOf));
    if (found[0].status === "rejected") throw found[0].reason;
    const pairs = this.#channels.map((channel, n) => [channel, found[n].value && { token: found[n].value }]);
    return pairs.filter(([, more]) => more);
  }

  #listener(client) {
    return {
      publication: ({ data }) => this.#events.news(data),
      subscribed: () => this.#events.missed(),
      refused: (error) => {
        console.warn(error.message);
        if (client === this.#client) this.#later();
      },
    };
  }

  #told(client, name) {
    if (client !== this.#client) return;
    this.#events.state(name);
    if (name === State.CLOSED) this.#later();
  }

  #later() {
    const old = this.#client;
    this.#client = null;
    old?.close();
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.start(), AGAIN);
  }
}
