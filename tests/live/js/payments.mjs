// Two people at two browsers: one signs up and pays, the other is staff and gives money back. Prints what was seen as JSON
// objects, one a line; {"ask": ...} wants something done outside, and waits for a line on the standard input.
// Environment: PAGE (origin), CHROMIUM (program), SHOTS (folder of screenshots, or empty).
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const { PAGE, CHROMIUM, SHOTS } = process.env;
const seen = { errors: [], loads: 0 };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
  console.log(JSON.stringify({ ask: what }));
  await lines.next();
}

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  timeout: 30_000,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
});

async function profile(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && seen.errors.push(message.text()));
  return page;
}

let shots = 0;
async function shot(page, name) {
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/p${String((shots += 1)).padStart(2, '0')}-${name}.png`, fullPage: true });
}

const at = (page, where) => page.waitForURL((url) => url.pathname === where);

async function signUp(page, address, next) {
  await page.goto(`${PAGE}/auth/sign-up?next=${encodeURIComponent(next)}`);
  await page.fill('[name=email]', address);
  await page.fill('[name=password]', 'correct horse battery');
  await page.locator('main form[action="/auth/sign-up"] button').click();
  await at(page, '/auth/mail');
  const reader = await page.context().newPage();
  let digits;
  for (let tries = 0; !digits && tries < 50; tries += 1) {
    await reader.goto(`${PAGE}/auth/letters`);
    const line = reader.locator('li', { hasText: address }).first();
    if (await line.count()) {
      await line.getByRole('link').click();
      digits = (await reader.locator('pre').textContent()).match(/\b\d{6}\b/)?.[0];
    } else await reader.waitForTimeout(200);
  }
  await reader.close();
  await page.fill('[name=digits]', digits);
  await page.locator('main form', { has: page.locator('[name=digits]') }).locator('button').click();
  await at(page, next);
}

async function pay(page, item, way) {
  await page.locator(`input[name=item][value="${item}"]`).check({ force: true });
  await page.locator(`input[name=way][value="${way}"]`).check({ force: true });
  await page.click('#pay');
  await page.waitForFunction(() => !/^(Paying…)?$/.test(document.getElementById('outcome').textContent));
  return outcome(page);
}

const outcome = (page) =>
  page.evaluate(() => ({ state: document.getElementById('outcome').dataset.order ?? null, text: document.getElementById('outcome').textContent }));
const becomes = (page, state) =>
  page.waitForFunction((state) => document.getElementById('outcome').dataset.order === state, state, { timeout: 45_000 });
const rowBecomes = (page, list, state) =>
  page.waitForFunction(([list, state]) => document.querySelector(`#${list} li`)?.dataset.state === state, [list, state], { timeout: 45_000 });

try {
  const payer = await profile();
  await signUp(payer, 'paula@example.org', '/payment/demo');
  await payer.waitForSelector('#items input', { state: 'attached' });
  await payer.waitForFunction(() => document.getElementById('live').dataset.state !== 'connecting');
  payer.on('load', () => (seen.loads += 1));
  await shot(payer, 'page');

  seen.paid = await pay(payer, 'test-10', 'fake-valid-visa-nonce');
  await shot(payer, 'paid');
  seen.declined = await pay(payer, 'test-2000', 'fake-valid-visa-nonce');
  await shot(payer, 'declined');

  await ask('the next sale is done, and nobody is told');
  seen.checking = await pay(payer, 'test-10', 'fake-valid-mastercard-nonce');
  await shot(payer, 'checking');
  await becomes(payer, 'paid');
  seen.afterwards = await outcome(payer);
  await shot(payer, 'afterwards');

  await ask('everything is settled');
  await rowBecomes(payer, 'orders', 'settled');

  const staff = await profile({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  await signUp(staff, 'boss@example.org', '/payment/demo');
  await staff.waitForSelector('#all-orders li');
  await shot(staff, 'staff');
  await staff.locator('#all-orders li').first().getByRole('button', { name: /refund/i }).click();
  await rowBecomes(payer, 'orders', 'refunded');
  await becomes(payer, "refunded");
  seen.refunded = await outcome(payer);
  await shot(payer, 'refunded');
  await shot(staff, 'staff-refunded');
} catch (error) {
  seen.failed = String(error.stack ?? error);
}
await browser.close();
console.log(JSON.stringify({ seen }));
process.exit(0);
