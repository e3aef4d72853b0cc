// The list of frames: what went over the wire, when and which way; in full when one is opened. Everything goes into the
// document as text, never as markup.

const KEPT = 1_000; // frames; the oldest go first
const LONGEST = 100_000; // characters of one frame that are kept
const PREVIEW = 240; // characters of a line
const CALLS = 1_000; // commands whose replies are told by name
const NEAR = 40; // pixels from the end of the list within which it follows

const make = (name, className, text) => {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
};

const clock = (date) => `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;

const read = (line) => {
  try {
    return JSON.parse(line);
  } catch {
    return null; // cut, or no JSON: it is shown as it is
  }
};

export const pretty = (text) =>
  text
    .split("\n")
    .map((line) => {
      const value = read(line);
      return value === null ? line : JSON.stringify(value, null, 2);
    })
    .join("\n");

export class Frames {
  #list;
  #count;
  #shown = () => true;
  #secrets = new Set();
  #calls = new Map(); // id of a command -> its method
  #waiting = []; // rows for the next picture of the browser
  #rows = []; // { time, direction, text, kind, ping, element }

  constructor(list, count) {
    this.#list = list;
    this.#count = count;
    list.addEventListener("toggle", ({ target }) => this.#open(target), true);
  }

  /** A text that is never shown: the token. */
  hide(secret) {
    if (secret) this.#secrets.add(secret);
  }

  add(direction, frame) {
    let text = frame.length > LONGEST ? `${frame.slice(0, LONGEST)} … ${frame.length} characters in all` : frame;
    for (const secret of this.#secrets) text = text.replaceAll(secret, "•••");
    const row = { time: new Date(), direction, text, size: frame.length, ...this.#describe(direction, frame) };
    this.#waiting.push(row);
    if (this.#waiting.length > KEPT) this.#waiting.shift();
    if (this.#waiting.length === 1) requestAnimationFrame(() => this.#flush());
  }

  clear() {
    this.#rows = [];
    this.#waiting = [];
    this.#list.replaceChildren();
    this.#tell();
  }

  /** Show only the rows for which `shown` is true: { direction, text, ping }. */
  filter(shown) {
    this.#shown = shown;
    for (const row of this.#rows) row.element.hidden = !shown(row);
    this.#tell();
  }

  /** What is shown, as text. */
  get text() {
    const lines = this.#rows.filter(this.#shown).map((row) => `${clock(row.time)} ${row.direction} ${row.text}`);
    return lines.join("\n");
  }

  /** What a frame is about: the commands, replies or pushes of its lines. */
  #describe(direction, frame) {
    const lines = frame.trim().split("\n", 20).map(read);
    const kinds = lines.map((message) => (direction === "out" ? this.#command(message) : this.#message(message)));
    const names = [...new Set(kinds.map(({ name }) => name))];
    const many = kinds.length > 1 ? ` ×${kinds.length}${kinds.length === 20 ? "+" : ""}` : "";
    return {
      kind: names.slice(0, 2).join(", ") + (names.length > 2 ? ", …" : "") + many,
      ping: kinds.every(({ name }) => name === "ping" || name === "pong"),
      failed: kinds.some(({ failed }) => failed),
    };
  }

  #command(message) {
    const [name = "pong"] = Object.keys(message ?? {}).filter((key) => key !== "id");
    if (message?.id) {
      this.#calls.set(message.id, name);
      if (this.#calls.size > CALLS) this.#calls.delete(this.#calls.keys().next().value);
    }
    return { name };
  }

  #message(message) {
    if (message?.id) {
      const name = this.#calls.get(message.id) ?? "reply";
      return { name: message.error ? `${name} refused` : `${name} reply`, failed: Boolean(message.error) };
    }
    const [name = "ping"] = Object.keys(message?.push ?? {}).filter((key) => key !== "channel");
    return { name: name === "pub" ? "publication" : name };
  }

  #flush() {
    const list = this.#list;
    const low = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    const fresh = this.#waiting;
    this.#waiting = [];
    for (const row of fresh) row.element = this.#line(row);
    list.append(...fresh.map(({ element }) => element));
    this.#rows.push(...fresh);
    for (const row of this.#rows.splice(0, this.#rows.length - KEPT)) row.element.remove();
    this.#tell();
    if (low) list.scrollTop = list.scrollHeight;
  }

  #line(row) {
    const [line, details, summary] = [make("li", "", ""), make("details", "", ""), make("summary", "", "")];
    line.className = [row.direction, row.ping && "ping", row.failed && "failed"].filter(Boolean).join(" ");
    line.hidden = !this.#shown(row);
    const way = make("span", "way", row.direction === "out" ? "↑" : "↓");
    way.title = row.direction;
    summary.append(make("time", "", clock(row.time)), way, make("span", "kind", row.kind));
    summary.append(make("span", "text", row.text.slice(0, PREVIEW)), make("span", "size", `${row.size}`));
    details.append(summary);
    details.row = row;
    line.append(details);
    return line;
  }

  #open(details) {
    if (details.open && details.row && !details.querySelector("pre")) details.append(make("pre", "", pretty(details.row.text)));
  }

  #tell() {
    const shown = this.#rows.filter(this.#shown).length;
    this.#count.textContent = shown === this.#rows.length ? shown : `${shown} of ${this.#rows.length}`;
  }
}
