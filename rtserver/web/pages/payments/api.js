// Endpoints of the server. A refusal is an `ApiError` with the words for the person, and the code and status for the program.

const PAUSES = [1000, 2000, 4000];
const MOST_TRIES = 10;

let csrf = "";

export const setToken = (token) => (csrf = token);

export class ApiError extends Error {
  constructor(status, { code = "", message, answer = null, wait = 0 }) {
    super(message);
    this.status = status;
    this.code = code;
    this.answer = answer;
    this.wait = wait;
  }
}

const AWAY = "The server cannot be reached. Look at your connection: this goes on by itself when it is back.";

const pause = (time) => new Promise((done) => setTimeout(done, time));

/** A name that nobody else gives. There is no randomUUID on plain HTTP. */
export const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function once(method, path, body, key) {
  const headers = { accept: "application/json", "x-csrf-token": csrf };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const answer = await fetch(path, { method, headers, body: text, cache: "no-store" });
  const found = await answer.json().catch(() => null);
  // Outcomes of payments are answers too, whatever their status is.
  if (answer.ok || found?.result) return found;
  const [first] = Array.isArray(found?.detail) ? found.detail : [{ msg: found?.detail }];
  throw new ApiError(answer.status, {
    code: first?.type,
    message: first?.msg || `The server answers ${answer.status}: try again.`,
    wait: 1000 * Number(answer.headers.get("retry-after") || 0),
  });
}

/** Signing in or out in another tab gives this browser another token. */
async function withToken(...call) {
  try {
    return await once(...call);
  } catch (error) {
    if (error.code !== "csrf") throw error;
    setToken((await once("GET", "/auth/session")).csrf);
    return once(...call);
  }
}

export const get = (path) => withToken("GET", path);
export const post = (path, body = {}) => withToken("POST", path, body);
export const remove = (path) => withToken("DELETE", path);

/** Until there is an answer: the same key makes it one and the same request, however often it arrives. */
export async function insist(path, body, key, tell = () => {}) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await withToken("POST", path, body, key);
    } catch (error) {
      const isUnderWay = error.code === "in_progress";
      const isSaid = error instanceof ApiError;
      const isLost = !isSaid || (error.status >= 502 && error.code !== "gateway_away");
      if (!isUnderWay && !isLost) throw error;
      if (tries >= MOST_TRIES) throw isSaid ? error : new ApiError(0, { message: AWAY });
      if (isLost) tell(isSaid ? error.message : AWAY);
      await pause(error.wait || PAUSES[Math.min(tries, PAUSES.length - 1)]);
    }
  }
}
