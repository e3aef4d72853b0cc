// The AsyncAPI document of this server, as the pages need it.

const VALUES = new Set(["examples", "default", "const", "enum"]); // these hold values, not parts of the document

/** Fetch it, and say where the server is when it is where the document is. `root` is the way from the page to it. */
export async function load(root = "") {
  const answer = await fetch(new URL(`${root}asyncapi.json`, document.baseURI));
  if (!answer.ok) throw new Error(`asyncapi.json: the server answers ${answer.status}`);
  const found = await answer.json();
  const server = found.servers.websocket;
  if (server["x-as-asked"] || server.host === "{host}") {
    delete server.variables;
    delete server["x-as-asked"];
    server.host = location.host;
    server.protocol = location.protocol === "https:" ? "wss" : "ws";
  }
  return found;
}

/** Where realtime clients connect. */
export const address = ({ servers: { websocket } }) =>
  `${websocket.protocol}://${websocket.host}${websocket.pathname}`;

export const follow = (whole, reference) =>
  reference
    .slice(2)
    .split("/")
    .reduce((found, name) => found[name.replaceAll("~1", "/").replaceAll("~0", "~")], whole);

/** The document with every reference replaced by what it points to. A model that holds itself then does so here too. */
export function resolved(whole) {
  const known = new Map();
  const visit = (value, key) => {
    if (typeof value !== "object" || value === null || VALUES.has(key)) return value;
    if (typeof value.$ref === "string") return visit(follow(whole, value.$ref));
    if (known.has(value)) return known.get(value);
    const made = Array.isArray(value) ? [] : {};
    known.set(value, made);
    for (const [name, part] of Object.entries(value)) made[name] = visit(part, name);
    return made;
  };
  return visit(whole);
}
