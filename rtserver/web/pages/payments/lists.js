// What the lists of the page look like. Everything that the server says is text, never HTML.

const TONES = {
  open: "",
  checking: "waiting",
  authorized: "good",
  paid: "good",
  settled: "good",
  voided: "",
  partly_refunded: "",
  refunded: "",
  disputed: "bad",
  failed: "bad",
  active: "good",
  pending: "waiting",
  past_due: "bad",
};

export const WORDS = {
  open: "not paid",
  checking: "checking…",
  authorized: "held",
  paid: "paid",
  settled: "paid, settled",
  voided: "released",
  partly_refunded: "partly refunded",
  refunded: "refunded",
  disputed: "disputed",
  failed: "failed",
  past_due: "past due",
};

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** An element: `make("p", { class: "soft" }, "text", other)`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((each) => each !== ""));
  return element;
}

export const money = ({ amount, price, currency }) => `${amount ?? price} ${currency}`;

export const describe = ({ brand, kind, last4, expires }) =>
  [brand || kind.replaceAll("_", " "), last4 && `ending in ${last4}`, expires && `(${expires})`].filter(Boolean).join(" ");

const test = () => make("strong", { class: "test" }, "TEST");

/** A row that can be chosen. */
export function choice(name, value, { title, text = "", price = "", isTest = false, checked = false }) {
  const heading = make("span", { class: "title" }, title, isTest ? " " : "", isTest ? test() : "");
  return make(
    "label",
    { class: "choice" },
    make("input", { type: "radio", name, value, checked }),
    make("span", { class: "words" }, heading, text && make("span", { class: "soft" }, text)),
    price && make("span", { class: "price" }, price),
  );
}

const chip = (state) =>
  make("span", { class: "chip", "data-tone": TONES[state] ?? "" }, WORDS[state] ?? state.replaceAll("_", " "));

/** Does something once at a time, and says in `place`, within its row, what went wrong; that error is returned. */
export async function act(place, run) {
  const row = place.closest("li");
  for (const each of row.querySelectorAll(".mistake, .said")) each.remove();
  const buttons = row.querySelectorAll("button");
  for (const each of buttons) each.disabled = true;
  try {
    const said = await run();
    if (said) place.append(make("p", { class: "said soft", role: "status" }, said));
    return null;
  } catch (error) {
    place.append(make("p", { class: "mistake", role: "alert" }, error.message));
    return error;
  } finally {
    for (const each of buttons) each.disabled = false;
  }
}

/** A button that does something. */
export function deed(label, named, run) {
  const button = make("button", { type: "button", class: "plain", "aria-label": named }, label);
  button.addEventListener("click", () => act(button.closest("li"), run));
  return button;
}

const deedsOf = (name, deeds) => {
  const buttons = deeds.map(([label, run]) => deed(label, `${label}: ${name}`, run));
  return buttons.length ? make("span", { class: "deeds" }, ...buttons) : "";
};

/** The exact difference of two amounts of one currency: "10.00" and "3.00" make "7.00". */
export function minus(one, other) {
  const digits = (one.split(".")[1] ?? "").length;
  const whole = (text) => BigInt(text.replace(".", ""));
  const text = String(whole(one) - whole(other)).padStart(digits + 1, "0");
  return digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text;
}

/** How much of it, when it is not all; "" else. */
export function part({ state, amount, captured, refunded, currency }) {
  if (state === "partly_refunded") return `${refunded} of ${captured} ${currency} given back`;
  const isPart = ["paid", "settled"].includes(state) && captured !== amount;
  return isPart ? `${captured} of ${amount} ${currency} charged` : "";
}

/** `deeds`: what can be done to it, an element or "". */
export function orderRow(order, name, deeds, person = "") {
  const about = [person, when.format(order.created_at), part(order)].filter(Boolean).join(", ");
  const said = order.state === "open" && order.message ? make("span", { class: "soft" }, order.message) : "";
  return make(
    "li",
    { "data-order": order.order, "data-state": order.state },
    make("p", {}, `${name} `, make("span", { class: "price" }, money(order)), make("span", { class: "soft" }, about), said),
    chip(order.state),
    deeds,
  );
}

/** A list of orders. A row stays as it is, with what is being typed there, until its order changes. */
export class Orders {
  #list;
  #rowOf;
  #made = new Map(); // order -> { mark, row }

  constructor(list, rowOf) {
    this.#list = list;
    this.#rowOf = rowOf;
  }

  show(orders) {
    for (const [n, each] of orders.entries()) {
      const row = this.#row(each);
      if (this.#list.children[n] !== row) this.#list.insertBefore(row, this.#list.children[n] ?? null);
    }
  }

  #row(order) {
    const [mark, known] = [JSON.stringify(order), this.#made.get(order.order)];
    if (known?.mark === mark) return known.row;
    const row = this.#rowOf(order);
    known?.row.replaceWith(row);
    this.#made.set(order.order, { mark, row });
    return row;
  }
}

export function methodRow(method, { choose, remove }) {
  const name = describe(method);
  return make(
    "li",
    { "data-method": method.token },
    make("p", {}, name),
    method.is_default ? chip("default") : deed("Use by default", `Use ${name} by default`, choose),
    deed("Delete", `Delete ${name}`, remove),
  );
}

export function subscriptionRow(subscription, name, deeds) {
  const until = subscription.paid_through ? `paid through ${subscription.paid_through}` : "";
  return make(
    "li",
    { "data-subscription": subscription.subscription, "data-state": subscription.state },
    make("p", {}, `${name} `, make("span", { class: "price" }, money(subscription)), make("span", { class: "soft" }, until)),
    chip(subscription.state),
    deedsOf(name, deeds),
  );
}
