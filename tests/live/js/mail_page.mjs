// Opens the page that waits for a letter in Chromium, with a server that is played here, and prints what happened as one JSON
// object. Environment: FOLDER (mail.html and the files of /auth/static), POLICY (its content security policy), CHROMIUM.
import { readFileSync } from 'node:fs';
import { launch } from './browser.mjs';

const { FOLDER, POLICY } = process.env;
const ORIGIN = 'http://127.0.0.1:9'; // nothing listens there: all is answered below
const KINDS = { css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
const PUSH = '{"push":{"channel":"rt_auth:p1","pub":{"data":{"confirmed":true}}}}';
const OTHER_PUSH = '{"push":{"channel":"rt_auth:p2","pub":{"data":{"confirmed":true}}}}';

const browser = await launch();

/** What a server that knows one letter answers. `world.state` is that of the letter; `world.user` is signed in; `world.csrfs`
 *  are the first tokens of its session. */
function answer(world, request) {
  const { pathname } = new URL(request.url());
  world.asked.push(`${request.method()} ${pathname}`);
  if (pathname === '/auth/proofs/p1/continue') {
    world.sent = request.postData();
    return { contentType: 'text/html', body: '<h1>on</h1>' };
  }
  if (pathname === '/auth/proofs/p1') {
    if (world.isAway) return { status: 503, body: '{}' };
    return { contentType: 'application/json', body: JSON.stringify({ state: world.state }) };
  }
  if (pathname === '/auth/session')
    return { contentType: 'application/json', body: JSON.stringify({ user: world.user, csrf: world.csrfs?.shift() ?? 'fresh' }) };
  if (pathname.startsWith('/auth/static/')) {
    const name = pathname.slice('/auth/static/'.length);
    return { contentType: KINDS[name.split('.').pop()], body: readFileSync(`${FOLDER}/${name}`) };
  }
  if (pathname === '/auth/mail') {
    world.loads += 1;
    return {
      contentType: 'text/html; charset=utf-8',
      headers: { 'content-security-policy': POLICY },
      body: readFileSync(`${FOLDER}/mail.html`),
    };
  }
  return { contentType: 'text/html', body: '<h1>elsewhere</h1>' };
}

/** `greet(socket, command)` plays the server of the WebSocket. */
async function visit(greet, world, act) {
  Object.assign(world, { asked: [], loads: 0, pongs: 0, errors: [], tokens: [] });
  world.state ??= 'waiting';
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  await page.clock.install();
  page.on('console', (message) => message.type() === 'error' && world.errors.push(message.text()));
  page.on('pageerror', (error) => world.errors.push(error.message));
  await context.route('**/*', (route) => route.fulfill(answer(world, route.request())));
  await context.routeWebSocket(/.*/, (socket) => {
    world.address = socket.url();
    world.socket = socket;
    socket.onMessage((frame) => {
      const command = JSON.parse(frame.split('\n')[0]);
      if (!command.connect) return void (world.pongs += 1);
      world.tokens.push(command.connect.token);
      greet(socket, command);
    });
  });
  await page.goto(`${ORIGIN}/auth/mail?proof=p1`);
  await act(page, world);
  world.path = new URL(page.url()).pathname;
  await context.close();
  const { socket, ...seen } = world;
  return seen;
}

const welcome = (socket, { id }) => socket.send(JSON.stringify({ id, connect: { client: 'c1', version: '1', ping: 25, pong: true } }));
const refuse = (socket, { id }) => socket.send(JSON.stringify({ id, error: { code: 109, message: 'token expired' } }));
const until = (page, path) => page.waitForURL(`${ORIGIN}${path}*`);

/** Waits in the time of this process: that of the page stands still. */
async function settle(check) {
  for (let n = 0; n < 300 && !check(); n += 1) await new Promise((done) => setTimeout(done, 20));
  if (!check()) throw new Error(`gave up waiting for ${check}`);
}

const askedFor = (world, path) => world.asked.filter((each) => each === path).length;
const asks = (world) => askedFor(world, 'GET /auth/proofs/p1');

const seen = {
  push: await visit(welcome, {}, async (page, world) => {
    await settle(() => asks(world) === 1);
    world.socket.send(OTHER_PUSH);
    world.socket.send(PUSH);
    await until(page, '/auth/proofs/p1/continue');
  }),
  missed: await visit(welcome, { state: 'confirmed' }, (page) => until(page, '/auth/proofs/p1/continue')),
  overtaken: await visit(welcome, { state: 'confirmed', csrfs: ['', ''] }, async (page, world) => {
    for (let n = 0; n < 300 && askedFor(world, 'GET /auth/session') < 3; n += 1) {
      await page.clock.fastForward(600);
      await new Promise((done) => setTimeout(done, 20));
    }
    await until(page, '/auth/proofs/p1/continue');
  }),
  elsewhere: await visit(welcome, { state: 'redeemed', user: { id: 'u1' } }, (page) => until(page, '/shop')),
  without: await visit((socket) => socket.close({ code: 3500, reason: 'no' }), {}, async (page, world) => {
    await settle(() => asks(world) === 1);
    world.isAway = true;
    await page.clock.fastForward(11_000);
    await settle(() => asks(world) === 2);
    Object.assign(world, { isAway: false, state: 'confirmed' });
    await page.clock.fastForward(11_000);
    await until(page, '/auth/proofs/p1/continue');
  }),
  young: await visit(refuse, {}, async (page, world) => settle(() => asks(world) === 1)),
  // The answer to the digits is as slow as can be: it does not come.
  digits: await visit(welcome, {}, async (page, world) => {
    await settle(() => asks(world) === 1);
    await page.evaluate(() => document.addEventListener('submit', (event) => event.preventDefault()));
    await page.fill('[name=digits]', '123456');
    await page.locator('form', { has: page.locator('[name=digits]') }).locator('button').click();
    world.socket.send(PUSH);
    await new Promise((done) => setTimeout(done, 500));
  }),
  old: await visit(welcome, {}, async (page, world) => {
    await settle(() => asks(world) === 1);
    await page.clock.fastForward(20_000);
    world.socket.send('{}');
    await settle(() => world.pongs === 1);
    await page.clock.fastForward(20_000);
    world.socket.close({ code: 3501, reason: 'expired' });
    await settle(() => world.loads === 2);
  }),
};

await browser.close();
process.stdout.write(JSON.stringify(seen));
