// Shows times in the words and the zone of the reader.

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

for (const each of document.querySelectorAll("time")) {
  each.textContent = ("day" in each.dataset ? day : moment).format(new Date(each.dateTime));
}
