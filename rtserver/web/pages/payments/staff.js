// What staff does to an order: settle what is held, release it, give money back, all of it or a part.

import { insist, newKey } from "./api.js";
import { act, deed, make, minus } from "./lists.js";

const release = { label: "Release", verb: "void" };
const settle = { label: "Settle", verb: "settle", most: ({ amount }) => amount, hint: "What is not settled is released." };
const refund = { label: "Refund", verb: "refund", most: ({ captured, refunded }) => minus(captured, refunded) };

/** By the state of an order. What has `most` is of an amount. */
const CAN = {
  authorized: [settle, release],
  paid: [release],
  settled: [refund],
  partly_refunded: [refund],
};

const isKnown = ({ status = 200 }) => status > 0 && status < 500;

/** Sends one wish. Until its answer is known, the same wish is the same request, however often it is pressed. */
function sender(path) {
  let [key, sent] = ["", ""];
  return async (wish) => {
    const text = JSON.stringify(wish);
    if (!key || sent !== text) [key, sent] = [newKey(), text];
    try {
      const answer = await insist(path, wish, key);
      key = "";
      return answer;
    } catch (error) {
      if (isKnown(error)) key = "";
      throw error;
    }
  };
}

/** Asks how much, with all of it filled in. */
function amountForm({ currency }, { label, hint = "" }, most, { run, close }) {
  const input = make("input", { inputmode: "decimal", autocomplete: "off", value: most });
  const form = make(
    "form",
    { class: "sum", "aria-label": label, novalidate: true },
    make("label", { class: "field" }, `${label}, at most ${most} ${currency}`, input),
    make("button", { class: "main" }, label),
    make("button", { type: "button", onclick: close }, "Cancel"),
    hint && make("p", { class: "hint" }, hint),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    input.removeAttribute("aria-invalid");
    const error = await act(form, () => run(input.value.trim()));
    if (error) input.setAttribute("aria-invalid", "true");
  });
  return { form, input };
}

/** What can be done to `order`. `taken(order)` gets it as it is then. */
export function deeds(order, name, taken) {
  const buttons = (CAN[order.state] ?? []).map((each) => button(order, name, each, taken));
  return buttons.length ? make("span", { class: "deeds" }, ...buttons) : "";
}

function button(order, name, what, taken) {
  const send = sender(`/payment/orders/${order.order}/${what.verb}`);
  const run = async (wish) => {
    const answer = await send(wish);
    taken(answer.order);
    if (answer.result === "unknown") return answer.message;
    if (answer.result !== "done") throw new Error(answer.message);
  };
  const named = `${what.label}: ${name}`;
  if (!what.most) return deed(what.label, named, () => run({}));
  const most = what.most(order);
  const opener = make("button", { type: "button", class: "plain", "aria-label": named }, what.label);
  const isAmount = (amount) => {
    if (!amount) throw new Error(`Write how much, as in ${most}.`); // nothing would mean all of it
    return amount;
  };
  opener.addEventListener("click", () => {
    const place = opener.closest(".deeds");
    const close = () => {
      form.remove();
      place.hidden = false;
      opener.focus();
    };
    const { form, input } = amountForm(order, what, most, { run: async (amount) => run({ amount: isAmount(amount) }), close });
    place.hidden = true;
    place.after(form);
    input.select();
  });
  return opener;
}
