// Two people at two browsers: one begins to sign in, the letter is opened in the other. See people.mjs for
// what is printed. Environment: PAGE (origin), and that of people.mjs.
import { ask, at, digitsOf, letterTo, profile as opened, shot, tell, typeDigits } from './people.mjs';

const { PAGE } = process.env;
const seen = { errors: [] };
const profile = (options) => opened(seen.errors, options);

const path = (page) => new URL(page.url()).pathname;
const press = (page, name) => page.getByRole('button', { name }).first().click();

/** The newest letter to an address: the path of its link, and its six digits. */
async function letter(reader, address) {
  const text = await letterTo(reader, PAGE, address);
  await shot(reader, 'letter');
  return { link: text.match(/\/auth\/c\/\S+/)?.[0], digits: digitsOf(text) };
}

async function beginWithProvider(page, name, address) {
  await page.goto(`${PAGE}/auth/sign-in`);
  await shot(page, 'sign-in');
  await press(page, /Demo/);
  await at(page, '/demo-provider/authorize');
  await page.getByRole('textbox').first().fill(name);
  await shot(page, 'provider');
  await press(page, /continue|allow|sign in/i);
  await at(page, '/auth/address');
  await page.getByRole('textbox').first().fill(address);
  await shot(page, 'address');
  await page.locator('main button[type=submit]').first().click();
  await at(page, '/auth/mail');
  await shot(page, 'mail');
}

async function beginWithPassword(page, address) {
  await page.goto(`${PAGE}/auth/sign-up`);
  await page.fill('[name=email]', address);
  await page.fill('[name=password]', 'correct horse battery');
  await shot(page, 'sign-up');
  await page.locator('main form[action="/auth/sign-up"] button').click();
  await at(page, '/auth/mail');
}

/** Opens the link twice, as a scanner of mails and then its reader do, and confirms. */
async function confirm(page, link) {
  await page.goto(PAGE + link);
  await page.goto(PAGE + link);
  await shot(page, 'confirm');
  seen.askedFirst ??= await page.locator('main').innerText();
  await page.locator(`main form[action="${link}"] button`).first().click();
  await page.waitForLoadState();
  await shot(page, 'confirmed');
  return page.locator('main').innerText();
}

/** Who the realtime server takes a page of this browser for, by its cookie alone. */
const connected = (page) =>
  page.evaluate(
    () =>
      new Promise((done) => {
        const socket = new WebSocket(`ws://${location.host}/connection/websocket`);
        socket.onopen = () => socket.send(JSON.stringify({ id: 1, connect: {} }) + '\n' + JSON.stringify({ id: 2, rpc: { method: 'whoami' } }));
        const texts = [];
        socket.onmessage = ({ data }) => {
          texts.push(data);
          if (texts.join('').includes('"id":2')) done(texts.join('\n'));
        };
        socket.onclose = ({ code }) => done(`closed ${code}`);
      }),
  );

const me = (page) => page.evaluate(async () => (await (await fetch('/auth/session')).json()).user);

/** What an application answers this browser: with its cookie, and with the token that a page of ours has beside it. */
const asked = (page) =>
  page.evaluate(async () => {
    const { csrf } = await (await fetch('/auth/session')).json();
    const post = (headers) => fetch('/whoami', { method: 'POST', headers }).then((answer) => answer.status);
    const read = await fetch('/whoami');
    return { read: await read.json(), without: await post({}), with: await post({ 'X-CSRF-Token': csrf }) };
  });

async function twoBrowsers() {
  const [first, second] = [await profile(), await profile({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' })];
  await beginWithProvider(first, 'Zoé Demo', 'zoe@example.org');
  const { link } = await letter(second, 'zoe@example.org');
  seen.confirmedText = await confirm(second, link);
  await at(first, '/auth/profile');
  await shot(first, 'profile');
  seen.first = await me(first);
  seen.second = await me(second);
  seen.socket = await connected(first);
  seen.application = await asked(first);
  seen.stranger = await second.evaluate(async () => (await fetch('/whoami')).status);
  await first.goto(`${PAGE}/`);
  await second.goto(PAGE + link);
  seen.again = await second.locator('main').innerText();
  return [first, second];
}

async function afterRestart() {
  const [first, second] = [await profile(), await profile()];
  await beginWithPassword(first, 'otto@example.org');
  const { link } = await letter(second, 'otto@example.org');
  await ask('empty the sessions and restart');
  await confirm(second, link);
  await at(first, '/auth/profile');
  seen.afterRestart = await me(first);
}

async function withoutScripts() {
  const [first, second] = [await profile({ javaScriptEnabled: false }), await profile()];
  await beginWithPassword(first, 'ida@example.org');
  const { digits } = await letter(second, 'ida@example.org');
  await first.goto(first.url());
  await typeDigits(first, digits);
  await at(first, '/auth/profile');
  seen.withoutScripts = path(first);
  await press(first, /^Sign out$/);
  await first.waitForLoadState();
  await first.goto(`${PAGE}/auth/profile`);
  seen.afterSignOut = path(first);
}

/** Signs out everywhere in one window while a realtime connection of another is open. */
async function everywhere(first) {
  const other = await first.context().newPage();
  await other.goto(`${PAGE}/auth/profile`);
  await other.evaluate(() => {
    window.ended = new Promise((done) => {
      const socket = new WebSocket(`ws://${location.host}/connection/websocket`);
      socket.onopen = () => socket.send(JSON.stringify({ id: 1, connect: {} }));
      socket.onmessage = () => (window.isUp = true);
      socket.onclose = ({ code, reason }) => done({ code, reason });
    });
  });
  await other.waitForFunction(() => window.isUp);
  await first.goto(`${PAGE}/auth/profile`);
  await press(first, /everywhere/i);
  seen.closed = await other.evaluate(() => window.ended);
}

await tell(seen, async () => {
  const [first] = await twoBrowsers();
  await everywhere(first);
  await afterRestart();
  await withoutScripts();
});
