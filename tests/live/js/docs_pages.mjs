// Opens the documentation pages in Chromium, does what a developer does there, and prints what was seen as one JSON object.
// Environment: BASE (address of the server), API_KEY, TOKEN (of the user "ada"), CHROMIUM (program), PICTURES (a folder, if
// pictures are wanted).
import { launch } from './browser.mjs';

const { BASE, API_KEY, TOKEN, PICTURES } = process.env;
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const ATTACK = '<img src=x onerror="document.title=1"><b>bold</b>';
const REDOC_LOGO = /cdn\.redoc\.ly/; // its only wish for another host, which the page's policy refuses

const seen = { errors: [], refused: [], hosts: new Set() };

const browser = await launch('127.0.0.1');

async function open(path, viewport = WIDE, colorScheme = 'light') {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() !== 'error' || /status of 4\d\d/.test(text)) return;
    (REDOC_LOGO.test(text) ? seen.refused : seen.errors).push(text);
  });
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('response', (answer) => answer.url().startsWith('http') && seen.hosts.add(new URL(answer.url()).host));
  page.on('websocket', (socket) => seen.hosts.add(new URL(socket.url()).host));
  await page.goto(BASE + path);
  return page;
}

const width = (page) => page.evaluate(() => document.documentElement.scrollWidth);

// Swagger UI

async function execute(page, operation, body) {
  const block = page.locator(`[id$=-${operation}]`);
  if (!(await block.locator('.execute').count())) await block.locator('.opblock-summary-control').click();
  if (body !== undefined) await block.locator('.body-param__text').fill(body);
  const answer = page.waitForResponse((each) => new URL(each.url()).pathname.startsWith('/shop/'));
  await block.locator('.execute').click();
  const response = await answer;
  await block.locator('.live-responses-table tbody .response-col_status').first().waitFor();
  const shown = await block.locator('.live-responses-table tbody .response-col_description').first().innerText();
  return { status: response.status(), shown };
}

async function swagger() {
  const page = await open('/docs');
  await page.locator('.opblock').first().waitFor();
  seen.operations = await page.locator('.opblock-summary-path').allInnerTexts();
  seen.current = await page.locator('[aria-current=page]').allInnerTexts();
  seen.listed = await execute(page, 'list_items');
  await page.locator('[id$=-list_items] .opblock-summary-control').click();
  seen.stranger = await execute(page, 'add_item');
  seen.wrong = await execute(page, 'checkout', '{"payment": {"kind": "cow"}}');
  seen.notJson = await execute(page, 'checkout', '{"payment":');
  await page.locator('[id$=-checkout] .opblock-summary-control').click();
  await page.locator('.auth-wrapper .authorize').first().click();
  const bearer = page.locator('.modal-ux .auth-container', { hasText: 'bearer' });
  await bearer.locator('input').fill(TOKEN);
  await bearer.locator('.authorize').click();
  await page.locator('.modal-ux .close-modal').click();
  seen.added = await execute(page, 'add_item');
  seen.again = await execute(page, 'add_item');
  await page.context().close();
  const phone = await open('/docs', PHONE, 'dark');
  await phone.locator('.opblock').first().waitFor();
  seen.swaggerOnPhone = await width(phone);
  seen.dark = await phone.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  await phone.context().close();
}

// Redoc and AsyncAPI

async function redoc() {
  const page = await open('/redoc');
  await page.getByRole('heading', { name: 'Put something on the shelf.' }).waitFor();
  seen.reference = await page.locator('h2').allInnerTexts();
  await page.context().close();
}

async function asyncapi() {
  const page = await open('/asyncapi', { width: 1600, height: 900 });
  await page.getByText('cart.add').first().waitFor();
  seen.realtime = await page.locator('#viewer').innerText();
  await page.getByText('Review', { exact: true }).last().click();
  await page.context().close();
}

// The console

const text = (page, id) => page.textContent(`#${id}`);
const until = (page, id, pattern) =>
  page.waitForFunction(([id, source]) => new RegExp(source).test(document.getElementById(id).textContent), [id, pattern.source]);
const rows = (page) => page.locator('#frames li:not([hidden]) .kind').allTextContents();

async function api(method, body) {
  const headers = { 'X-API-Key': API_KEY };
  return (await fetch(`${BASE}/api/${method}`, { method: 'POST', headers, body: JSON.stringify(body) })).json();
}

async function subscribe(page, channel, state) {
  await page.fill('#channel', channel);
  await page.keyboard.press('Enter');
  await page.locator(`#subscriptions li[data-state=${state}]`, { hasText: channel }).waitFor();
}

async function command(page, name, outcome) {
  await page.check(`[name=command][value=${name}]`, { force: true });
  return async (target, payload) => {
    await page.fill('#name', target);
    if (payload !== undefined) await page.fill('#payload', payload);
    await page.click('#command [type=submit]');
    await until(page, 'outcome', outcome ?? /./);
    const said = { outcome: await text(page, 'outcome'), answer: await text(page, 'answer') };
    await page.evaluate(() => (document.getElementById('outcome').textContent = ''));
    return said;
  };
}

async function connect(page) {
  await page.waitForFunction(() => document.getElementById('url').value !== '');
  seen.address = await page.inputValue('#url');
  await page.fill('#token', TOKEN);
  await page.fill('#connect-data', '{"broken');
  await page.click('#toggle');
  await until(page, 'connection-note', /no JSON/);
  seen.brokenData = await text(page, 'connection-note');
  await page.fill('#connect-data', '{"from": "console"}');
  await page.click('#toggle');
  await until(page, 'state', /^connected$/);
}

async function consolePage() {
  const page = await open('/docs/console');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await connect(page);
  await subscribe(page, 'chat:lobby', 'subscribed');
  await subscribe(page, 'prices', 'subscribed');
  await subscribe(page, 'chat:cellar', 'refused');
  seen.refusedChannel = await page.locator('#subscriptions li[data-state=refused] .heard').textContent();

  const publish = await command(page, 'publish');
  await page.fill('#name', 'chat:lobby');
  seen.example = JSON.parse(await page.inputValue('#payload'));
  seen.about = await text(page, 'about');
  seen.published = await publish('chat:lobby', JSON.stringify({ text: ATTACK }));
  seen.noJson = await publish('chat:lobby', '{');
  seen.invalid = await publish('chat:lobby', '{"text": ""}');
  await api('publish', { channel: 'chat:lobby', data: { text: `outside ${ATTACK}` } });
  await page.locator('#frames .text', { hasText: 'outside' }).waitFor();
  seen.heard = await page.locator('#subscriptions li', { hasText: 'chat:lobby' }).locator('.heard').textContent();

  const call = await command(page, 'rpc');
  seen.methods = await page.locator('#names option').evaluateAll((all) => all.map((each) => each.value));
  seen.called = await call('cart.add');
  seen.unknown = await call('no.such', '');
  seen.present = await (await command(page, 'presence'))('chat:lobby');
  seen.past = await (await command(page, 'history'))('chat:lobby');
  await page.locator('#subscriptions li', { hasText: 'prices' }).locator('.heard', { hasText: 'received' }).waitFor();
  seen.sample = await (await command(page, 'rpc'))('cart.add');
  return page;
}

async function frames(page) {
  seen.kinds = await rows(page);
  await page.locator('#frames summary', { hasText: 'outside' }).first().click();
  const opened = page.locator('#frames [open] pre');
  seen.opened = JSON.parse(await opened.textContent());
  seen.lines = (await opened.textContent()).split('\n').length;
  seen.markup = await page.locator('main img, main b').count();
  seen.token = (await page.locator('body').innerText()).includes(TOKEN);
  seen.masked = await page.locator('#frames .out .text').first().textContent();
  seen.wide = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
  await page.fill('#filter', 'OUTSIDE');
  seen.filtered = await rows(page);
  await page.click('#copy');
  await until(page, 'copy', /Copied/);
  seen.copied = await page.evaluate(() => navigator.clipboard.readText());
  await page.fill('#filter', '');
  await page.uncheck('#show-in');
  seen.outOnly = [...new Set(await page.locator('#frames li:not([hidden])').evaluateAll((all) => all.map((each) => each.className)))];
  await page.check('#show-in');
  await page.click('#clear');
  seen.cleared = await page.locator('#frames li').count();
}

async function leave(page) {
  await page.locator('#subscriptions li', { hasText: 'chat:lobby' }).getByRole('button').click();
  await page.locator('#frames .kind', { hasText: 'unsubscribe reply' }).waitFor();
  seen.left = await page.locator('#subscriptions code').allTextContents();
  await api('disconnect', { user: 'ada', disconnect: { code: 4501, reason: 'go away' } });
  await until(page, 'state', /^not connected$/);
  seen.why = await text(page, 'connection-note');
  await page.click('#toggle');
  await until(page, 'state', /^connected$/);
  await page.locator('#subscriptions li[data-state=subscribed]', { hasText: 'prices' }).waitFor();
  await page.click('#toggle');
  await until(page, 'state', /^not connected$/);
  seen.closed = await text(page, 'connection-note');
  await page.context().close();
}

async function onPhone() {
  const page = await open('/docs/console', PHONE, 'dark');
  await page.waitForFunction(() => document.getElementById('url').value !== '');
  await page.click('#toggle');
  await until(page, 'state', /^connected$/);
  await subscribe(page, 'prices', 'subscribed');
  await page.locator('#frames .kind', { hasText: 'publication' }).first().waitFor();
  seen.narrow = await width(page);
  seen.darkConsole = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.context().close();
}

/** Many frames in a short time: the list stays bounded and the page alive. */
async function flood() {
  const page = await open('/docs/console');
  await page.waitForFunction(() => document.getElementById('url').value !== '');
  await page.click('#toggle');
  await until(page, 'state', /^connected$/);
  await subscribe(page, 'chat:flood', 'subscribed');
  const commands = Array.from({ length: 1000 }, (_, i) => ({ publish: { channel: 'chat:flood', data: { i, text: 'x'.repeat(100) } } }));
  await api('batch', { commands });
  await api('batch', { commands });
  await page.locator('#subscriptions .heard', { hasText: '2,000 received' }).waitFor();
  await api('publish', { channel: 'chat:flood', data: 'the last one' });
  await page.locator('#frames .text', { hasText: 'the last one' }).waitFor();
  seen.kept = await page.locator('#frames li').count();
  await page.context().close();
}

/** The pictures of the documentation. */
async function pictures() {
  const docs = await open('/docs', { width: 1180, height: 1390 });
  await docs.locator('[id$=-read_item] .opblock-summary-control').click();
  await docs.locator('[id$=-read_item] input').fill('1');
  await execute(docs, 'read_item');
  await docs.evaluate(() => document.activeElement.blur());
  await docs.mouse.move(0, 0);
  await docs.screenshot({ path: `${PICTURES}/docs.png` });

  const page = await open('/docs/console', { width: 1280, height: 860 });
  await page.waitForFunction(() => document.getElementById('url').value !== '');
  await page.fill('#token', TOKEN);
  await page.click('#toggle');
  await until(page, 'state', /^connected$/);
  for (const channel of ['chat:lobby', 'likes:teapot', 'prices']) await subscribe(page, channel, 'subscribed');
  await subscribe(page, 'chat:cellar', 'refused');
  await (await command(page, 'publish'))('chat:lobby', JSON.stringify({ text: 'Is the teapot still there?' }));
  await api('publish', { channel: 'likes:teapot', data: { likes: 41 } });
  await (await command(page, 'rpc'))('cart.add');
  await page.locator('#frames .kind', { hasText: 'rpc reply' }).waitFor();
  await page.locator('#frames summary', { hasText: 'ada' }).last().click();
  await page.evaluate(() => (document.querySelector('.side').scrollTop = 0));
  await page.locator('#frames li').last().scrollIntoViewIfNeeded();
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${PICTURES}/console.png` });
}

try {
  await swagger();
  await redoc();
  await asyncapi();
  const page = await consolePage();
  await frames(page);
  await leave(page);
  await onPhone();
  await flood();
  if (PICTURES) await pictures();
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify({ ...seen, hosts: [...seen.hosts] }));
