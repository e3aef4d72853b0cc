// People at browsers of their own, and somebody outside who does what is asked for. What scripts of people see is printed as
// JSON objects, one a line; {"ask": ...} wants something done outside, and waits for a line on the standard input.
// Environment: CHROMIUM (program), SHOTS (folder of screenshots, or empty).
import { createInterface } from 'node:readline';
import { launch } from './browser.mjs';

const { SHOTS } = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export async function ask(what) {
  console.log(JSON.stringify({ ask: what }));
  await lines.next();
}

const browser = await launch('127.0.0.1', 'localhost');

/** A browser with cookies of its own. What goes wrong on its pages is put into `errors`. */
export async function profile(errors, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  return page;
}

let shots = 0;
export async function shot(page, name) {
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/${String((shots += 1)).padStart(2, '0')}-${name}.png`, fullPage: true });
}

export const at = (page, where) => page.waitForURL((url) => url.pathname === where);

/** The text of the newest letter to an address. */
export async function letterTo(reader, origin, address) {
  for (let tries = 0; tries < 50; tries += 1) {
    await reader.goto(`${origin}/auth/letters`);
    const line = reader.locator('li', { hasText: address }).first();
    if (await line.count()) {
      await line.getByRole('link').click();
      return reader.locator('pre').textContent();
    }
    await reader.waitForTimeout(200);
  }
  throw new Error(`no letter to ${address}`);
}

export const digitsOf = (text) => text.match(/\b\d{6}\b/)?.[0];

export async function typeDigits(page, digits) {
  await page.fill('[name=digits]', digits);
  await page.locator('main form', { has: page.locator('[name=digits]') }).locator('button').click();
}

/** Does what `act` does, and prints what it saw, also what made it fail. */
export async function tell(seen, act) {
  try {
    await act();
  } catch (error) {
    seen.failed = String(error.stack ?? error);
  }
  await browser.close();
  console.log(JSON.stringify({ seen }));
  process.exit(0);
}
