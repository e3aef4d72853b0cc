// Shows times in the words and the zone of the reader.

const words = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

for (const each of document.querySelectorAll("time")) each.textContent = words.format(new Date(each.dateTime));
