// The AsyncAPI viewer. Its parser, half a megabyte that makes code from text, is not used: the document is this server's
// own, is checked when the server is tested, and has its references resolved here.

import { load, resolved } from "./asyncapi-document.js";

function named(whole) {
  const found = resolved(whole);
  for (const [name, schema] of Object.entries(found.components.schemas)) schema["x-parser-schema-id"] = name;
  for (const kind of ["channels", "operations"])
    for (const [name, each] of Object.entries(found[kind])) each["x-parser-unique-object-id"] = name;
  for (const channel of Object.values(found.channels))
    for (const [name, message] of Object.entries(channel.messages)) {
      message["x-parser-unique-object-id"] = name;
      message["x-parser-message-name"] = message.name;
    }
  return { ...found, "x-parser-spec-parsed": true, "x-parser-api-version": 3 };
}

const viewer = document.getElementById("viewer");
try {
  const config = { show: { sidebar: true, errors: false }, sidebar: { useChannelAddressAsIdentifier: true } };
  AsyncApiStandalone.render({ schema: named(await load()), config }, viewer);
} catch (error) {
  viewer.textContent = `The document cannot be shown: ${error.message}`;
}
