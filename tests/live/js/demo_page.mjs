// Opens the demonstration page in Chromium, does what a visitor does, and prints what was seen as one JSON object.
// Environment: PAGE (address), API_KEY, CHROMIUM (program).
import { launch } from './browser.mjs';

const { PAGE, API_KEY } = process.env;
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const ATTACK = '<img src=x onerror="document.title=1"><b>bold</b>';
const RECOVERED_COLOUR = [226, 140, 10];

const seen = { errors: [], hosts: new Set() };

const browser = await launch('127.0.0.1');

async function open(viewport, colorScheme = 'light') {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on('console', (message) => message.type() === 'error' && seen.errors.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('request', (request) => seen.hosts.add(new URL(request.url()).host));
  page.on('websocket', (socket) => seen.hosts.add(new URL(socket.url()).host));
  await page.addInitScript(watchShifts);
  await page.goto(PAGE);
  return page;
}

/** Runs in the page: collects what moved without being asked to. Lines of a list may move, the list itself may not. */
function watchShifts() {
  window.shifted = [];
  const keep = ({ node }) => node && !node.parentElement?.closest('ol, ul') && window.shifted.push(node.outerHTML);
  const watch = (list) => list.getEntries().forEach(({ sources }) => sources.forEach(keep));
  new PerformanceObserver(watch).observe({ type: 'layout-shift', buffered: true });
}

const text = (page, id) => page.textContent(`#${id}`);
const until = (page, id, pattern) =>
  page.waitForFunction(([id, source]) => new RegExp(source).test(document.getElementById(id).textContent), [id, pattern.source]);
const picture = (page) => page.evaluate(() => document.getElementById('chart').toDataURL());

async function api(method, body) {
  const headers = { 'X-API-Key': API_KEY };
  const answer = await fetch(`${PAGE}api/${method}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.json();
}

/** How many pixels of the chart have nearly this colour. */
const pixels = (page, colour) =>
  page.evaluate((colour) => {
    const canvas = document.getElementById('chart');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
      if (data[i + 3] > 250 && colour.every((value, k) => Math.abs(data[i + k] - value) < 12)) count += 1;
    return count;
  }, colour);

async function tabTo(page, id) {
  for (let presses = 0; presses < 20; presses += 1) {
    if (await page.evaluate((id) => document.activeElement.id === id, id)) return true;
    await page.keyboard.press('Tab');
  }
  return false;
}

async function look() {
  const page = await open(WIDE);
  await until(page, 'state', /^connected$/);
  await until(page, 'price', /^\d\.\d{5}$/);
  seen.firstData = Number(await page.evaluate(() => document.documentElement.dataset.firstData));
  const [price, before] = [await text(page, 'price'), await picture(page)];
  await page.waitForFunction((price) => document.getElementById('price').textContent !== price, price);
  seen.chartMoved = (await picture(page)) !== before;
  await until(page, 'position', /^[\d,]+ in \w+$/);
  await until(page, 'round-trip', /ms$/);
  seen.wide = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
  return page;
}

async function meet(page) {
  await until(page, 'count', /^1$/);
  const other = await open(PHONE, 'dark');
  await until(page, 'count', /^2$/);
  await until(other, 'count', /^2$/);
  seen.present = await page.locator('#present li').allTextContents();
  seen.me = await text(page, 'client');
  const third = await open(WIDE);
  await until(page, 'count', /^3$/);
  await third.context().close();
  await until(page, 'count', /^2$/);
  seen.narrow = await other.evaluate(() => document.documentElement.scrollWidth);
  return other;
}

async function talk(page, other) {
  await page.fill('#text', 'good morning');
  await page.keyboard.press('Enter');
  await until(other, 'messages', /good morning/);
  await other.fill('#text', ATTACK);
  await other.keyboard.press('Enter');
  await until(page, 'messages', /onerror/);
  await api('publish', { channel: 'demo:chat', data: { text: `from outside ${ATTACK}` } });
  await until(page, 'messages', /from outside/);
  await api('publish', { channel: 'demo:chat', data: [1, { deep: true }] });
  await until(page, 'messages', /\[1,\{"deep":true\}\]/);
  seen.messages = await page.locator('#messages li .text').allTextContents();
  seen.speakers = await page.locator('#messages li .who').allTextContents();
  seen.markup = await page.locator('#messages img, #messages b').count();
}

async function drop(page, other) {
  seen.amberBefore = await pixels(page, RECOVERED_COLOUR);
  seen.keyboard = await tabTo(page, 'drop');
  await page.keyboard.press('Enter');
  await until(page, 'state', /^disconnected$/);
  await until(other, 'count', /^1$/);
  await other.fill('#text', 'while you were away');
  await other.keyboard.press('Enter');
  await until(page, 'state', /^connected$/);
  await until(page, 'outcome', /recovered/);
  await until(page, 'messages', /while you were away/);
  await until(other, 'count', /^2$/);
  const price = await text(page, 'price');
  await page.waitForFunction((price) => document.getElementById('price').textContent !== price, price);
  await page.waitForTimeout(500); // the picture is a little behind, so that it can move evenly
  seen.outcome = await text(page, 'outcome');
  seen.recovered = Number(await text(page, 'recovered'));
  seen.lost = Number(await text(page, 'lost'));
  seen.recoveredMessages = await page.locator('#messages li:has(.tag.recovered) .text').allTextContents();
  seen.amber = await pixels(page, RECOVERED_COLOUR);
}

async function dropTooLong(page) {
  await page.click('#drop');
  await until(page, 'state', /^disconnected$/);
  await page.waitForTimeout(1500);
  await api('history_remove', { channel: 'demo:prices' });
  await until(page, 'outcome', /^Back/);
  seen.tooLate = await text(page, 'outcome');
  seen.lostThen = Number(await text(page, 'lost'));
}

/** Nobody may break the page by what he publishes. */
async function spoil(page) {
  await api('publish', { channel: 'demo:prices', data: { price: 'much', at: null } });
  await api('publish', { channel: 'demo:prices', data: 1 });
  await api('publish', { channel: 'demo:chat', data: { text: null } });
  await until(page, 'messages', /"text":null/);
  const price = await text(page, 'price');
  await page.waitForFunction((price) => document.getElementById('price').textContent !== price, price);
  seen.price = await text(page, 'price');
}

async function copy(page) {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.click('[data-copies=curl]');
  await until(page, 'elsewhere-card', /Copied/);
  seen.copied = await page.evaluate(() => navigator.clipboard.readText());
}

try {
  const page = await look();
  const other = await meet(page);
  await talk(page, other);
  await drop(page, other);
  await dropTooLong(page);
  await spoil(page);
  await copy(page);
  seen.shifted = await page.evaluate(() => window.shifted);
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify({ ...seen, hosts: [...seen.hosts] }));
