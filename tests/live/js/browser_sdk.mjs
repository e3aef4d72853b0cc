// Drives the JavaScript SDK inside of Chromium, on a page that has nothing else, and prints what was seen as one JSON object.
// Environment: PAGE (origin of the page), STRANGE (the same server under a name that is not allowed), BASE (host and port that
// clients connect to, another origin), TRANSPORT, PROTOBUF ("1" or ""), TOKEN, API_KEY, CHROMIUM (program).
import { launch } from './browser.mjs';

const { PAGE, STRANGE, BASE, TRANSPORT, PROTOBUF, TOKEN, API_KEY } = process.env;
const CHANNEL = 'recover:browser';
const OPTIONS = { base: BASE, transport: TRANSPORT, protobuf: PROTOBUF === '1', token: TOKEN, channel: CHANNEL };

const seen = { errors: [] };

const browser = await launch('127.0.0.1', 'localhost');

async function api(method, request) {
  const answer = await fetch(`http://${BASE}/api/${method}`, {
    method: 'POST',
    headers: { 'X-API-Key': API_KEY },
    body: JSON.stringify(request),
  });
  const { result, error } = await answer.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/** A page with `rt`, a client that is not connected yet, and `log`, its events; `make` runs there and nowhere else. */
async function open(origin) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(15_000);
  page.on('pageerror', (error) => seen.errors.push(error.message));
  await page.goto(`${origin}/browser/page/${OPTIONS.protobuf ? 'centrifuge.protobuf.js' : 'centrifuge.js'}`);
  await page.evaluate(make, OPTIONS);
  return page;
}

function make({ base, transport, protobuf, token, channel }) {
  const endpoint = `${transport === 'websocket' ? 'ws' : 'http'}://${base}/connection/${transport}`;
  const out = (value) => (protobuf ? new TextEncoder().encode(JSON.stringify(value)) : value);
  const read = (data) => (data instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(data)) : data);
  const log = [];
  const client = new Centrifuge([{ transport, endpoint }], {
    token,
    emulationEndpoint: `http://${base}/emulation`,
    minReconnectDelay: 300,
    maxReconnectDelay: 600,
  });
  for (const name of ['connecting', 'connected', 'disconnected', 'error']) {
    client.on(name, (context) => log.push({ name, code: context.code ?? context.error?.code, transport: context.transport }));
  }
  const sub = client.newSubscription(channel, { recoverable: true, joinLeave: true });
  sub.on('subscribed', (context) => log.push({ name: 'subscribed', recovered: context.recovered }));
  sub.on('publication', (context) => log.push({ name: 'publication', data: read(context.data), offset: context.offset }));
  window.rt = { client, sub, log, out, read };
}

/** Until `count` events of a name are there. */
const until = (page, name, count = 1) =>
  page.waitForFunction(([name, count]) => rt.log.filter((each) => each.name === name).length >= count, [name, count]);

async function everyday(page) {
  await page.evaluate(() => {
    rt.sub.subscribe();
    rt.client.connect();
  });
  await until(page, 'subscribed');
  await page.evaluate(() => rt.sub.publish(rt.out({ text: 'größe ✓ 🎈' })));
  await until(page, 'publication', 1);
  await api('publish', { channel: CHANNEL, data: { text: 'x'.repeat(200_000) } });
  await until(page, 'publication', 2);
  seen.called = await page.evaluate(async () => rt.read((await rt.client.rpc('double', rt.out({ n: 21 }))).data));
  seen.users = await page.evaluate(async () => Object.values((await rt.sub.presence()).clients).map((each) => each.user));
  seen.kept = await page.evaluate(async () => (await rt.sub.history({ limit: 10 })).publications.length);
  seen.refused = await page.evaluate(() => rt.client.publish('closed:x', rt.out({})).catch((error) => error.code));
}

async function away(page) {
  await api('disconnect', { user: 'ada', disconnect: { code: 4000, reason: 'come back' } });
  for (const n of [1, 2, 3]) await api('publish', { channel: CHANNEL, data: { n } });
  await until(page, 'connected', 2);
  await until(page, 'publication', 5);
}

async function leave(page) {
  seen.log = await page.evaluate(() =>
    rt.log.map((each) => (each.data?.text?.length > 1000 ? { ...each, data: each.data.text.length } : each)),
  );
  await page.context().close();
  for (let tries = 0; tries < 100; tries++) {
    seen.left = (await api('presence_stats', { channel: CHANNEL })).num_clients;
    if (!seen.left) return;
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function stranger() {
  const page = await open(STRANGE);
  await page.evaluate(() => rt.client.connect());
  await until(page, 'error', 2);
  seen.stranger = await page.evaluate(() => ({ state: rt.client.state, connected: rt.log.some((each) => each.name === 'connected') }));
  await page.context().close();
}

try {
  const page = await open(PAGE);
  await everyday(page);
  await away(page);
  await leave(page);
  await stranger();
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
