// Opens the page of an example in Chromium, does what visitors do, and prints what was seen as one JSON object.
// Environment: EXAMPLE (a name of `visits`), PAGE (address), PASSWORD (of the administrator), CHROMIUM (program).
import { launch } from './browser.mjs';

const { EXAMPLE, PAGE, PASSWORD } = process.env;
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

const seen = { errors: [], hosts: new Set() };

const browser = await launch('127.0.0.1');

/** Every visitor has a browser of his own, so cookies too. */
async function open(viewport = WIDE, path = '') {
  const page = await (await browser.newContext({ viewport })).newPage();
  page.setDefaultTimeout(15_000);
  page.on('console', (message) => message.type() === 'error' && seen.errors.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('request', (request) => seen.hosts.add(new URL(request.url()).host));
  page.on('websocket', (socket) => seen.hosts.add(new URL(socket.url()).host));
  await page.goto(PAGE + path);
  return page;
}

const until = (page, selector, pattern) =>
  page.waitForFunction(
    ([selector, source]) => new RegExp(source).test(document.querySelector(selector)?.textContent ?? ''),
    [selector, pattern.source],
  );

async function chat() {
  const enter = async (name, viewport) => {
    const page = await open(viewport);
    await page.fill('#name', name);
    await page.keyboard.press('Enter');
    await until(page, '#state', /^connected/);
    return page;
  };
  const say = async (page, text) => {
    await page.fill('#text', text);
    await page.keyboard.press('Enter');
  };
  const [ada, grace] = [await enter('Ada'), await enter('Grace', PHONE)];
  await ada.fill('#room-name', 'browser');
  await ada.press('#room-name', 'Enter');
  await until(ada, '#room', /browser/);
  await grace.click('[data-room=browser]');
  await until(grace, '#room', /browser/);
  await until(ada, '#count', /^2$/);
  await say(ada, 'from Ada <b>bold</b>');
  await until(grace, '#messages', /bold/);
  await say(grace, 'from Grace');
  await until(ada, '#messages', /from Grace/);
  seen.messages = await ada.locator('#messages .text').allTextContents();
  seen.markup = await ada.locator('#messages b').count();
  seen.people = await grace.locator('#people .name').allTextContents();
  seen.room = await grace.textContent('#room');
  await ada.fill('#room-name', 'lobby');
  await ada.press('#room-name', 'Enter');
  await until(ada, '#create-error', /./);
  seen.refused = await ada.textContent('#create-error');
}

async function auction() {
  const enter = async (name, viewport) => {
    const page = await open(viewport);
    await until(page, '#state', /^live$/);
    await page.fill('#name', name);
    await page.click('#sign-in button');
    await until(page, '#who', /signed in as/);
    await until(page, '#state', /^live$/);
    return page;
  };
  const guest = await open();
  await until(guest, '#state', /^live$/);
  seen.guestMayBid = await guest.isEnabled('#lot-3 [data-more="50"]');
  const page = await enter('Edsger', PHONE);
  await page.click('#lot-3 [data-more="50"]');
  await until(page, '#lot-3 .bidder', /you/);
  await until(guest, '#lot-3 .bidder', /Edsger/);
  await page.fill('#lot-3 .talk input', '<i>which one?</i>');
  await page.press('#lot-3 .talk input', 'Enter');
  await until(guest, '#lot-3 .talk', /which one/);
  seen.bidder = await page.textContent('#lot-3 .bidder');
  seen.price = await page.textContent('#lot-3 .price');
  seen.elsewhere = await guest.textContent('#lot-3 .bidder');
  seen.priceElsewhere = await guest.textContent('#lot-3 .price');
  seen.comment = await guest.textContent('#lot-3 .talk li:last-child');
  seen.markup = await guest.locator('.talk i').count();
  seen.narrow = await page.evaluate(() => document.documentElement.scrollWidth);
}

async function airport() {
  const passenger = await open(PHONE);
  const staff = await open(WIDE, 'login');
  await staff.fill('[name=username]', 'admin');
  await staff.fill('[name=password]', PASSWORD);
  await staff.click('button');
  for (const page of [passenger, staff]) await until(page, '#state', /^live$/);
  await until(staff, '#here', /admin/);
  await staff.fill('#text', 'Passenger <b>Lovelace</b>');
  await staff.press('#text', 'Enter');
  await until(passenger, '#calls', /Lovelace/);
  const line = '#flights tr:has-text("Valletta")';
  await staff.click(`${line} .more button`);
  await passenger.waitForSelector(`${line} .time s`);
  seen.scheduled = await passenger.textContent(`${line} .time s`);
  seen.delayed = (await passenger.textContent(`${line} .time`)).slice(seen.scheduled.length);
  seen.call = await passenger.textContent('#calls li');
  seen.markup = await passenger.locator('#calls b').count();
  seen.desk = await staff.textContent('#here');
  await until(passenger, '#clock', /:/);
  seen.clock = await passenger.textContent('#clock');
  seen.narrow = await passenger.evaluate(() => document.documentElement.scrollWidth);
}

const visits = { chat, auction, airport };

try {
  await visits[EXAMPLE]();
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify({ ...seen, hosts: [...seen.hosts] }));
