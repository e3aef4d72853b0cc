// Braintree's Drop-in. Card numbers are typed into frames of Braintree's and never reach this page or this server.

import { get } from "./api.js";

const LIMIT = 8_000;

export const UNREACHABLE = "Card form can't reach Braintree from here.";
const MISSING = "The card form is not installed on this server: its operator has to run scripts/fetch-assets.";

/** The server may not reach Braintree either, and says why. */
async function token(item) {
  try {
    return (await get(`/payment/token/?item=${encodeURIComponent(item)}`)).client_token;
  } catch (error) {
    throw new Error(`${UNREACHABLE} ${error.message}`);
  }
}

const late = (time) => new Promise((_, reject) => setTimeout(() => reject(new Error(UNREACHABLE)), time));

export class CardForm {
  #box;
  #isSecure;
  #form = null;

  constructor(box, isSecure) {
    this.#box = box;
    this.#isSecure = isSecure;
  }

  get isReady() {
    return this.#form !== null;
  }

  /** Rejects with a sentence for the person. */
  async open(item) {
    if (!window.braintree?.dropin) throw new Error(MISSING);
    await this.close();
    const authorization = await token(item);
    const container = document.createElement("div");
    this.#box.replaceChildren(container);
    const made = window.braintree.dropin.create({
      authorization,
      container,
      dataCollector: true,
      threeDSecure: this.#isSecure,
      card: { vault: { vaultCard: false } },
    });
    try {
      this.#form = await Promise.race([made, late(LIMIT)]);
    } catch (error) {
      console.warn(error.message);
      this.#box.replaceChildren();
      made.then((form) => form.teardown()).catch(() => {}); // it may be done after all: nobody waits for it any more
      throw new Error(UNREACHABLE);
    }
  }

  /** What pays: a nonce, and the device data that stands beside it. Rejects when the form is not filled. */
  async pay(amount) {
    const more = this.#isSecure ? { threeDSecure: { amount } } : undefined;
    const { nonce, deviceData } = await this.#form.requestPaymentMethod(more);
    return { nonce, device_data: deviceData ?? "" };
  }

  /** A nonce pays once: the next payment needs another one. */
  clear() {
    this.#form?.clearSelectedPaymentMethod();
  }

  async close() {
    const form = this.#form;
    this.#form = null;
    await form?.teardown();
    this.#box.replaceChildren();
  }
}
