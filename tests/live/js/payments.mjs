// Two people at two browsers: one signs up and pays, the other is staff: refunds, releases, settles. See people.mjs
// for what is printed. Environment: PAGE (origin), and that of people.mjs.
import { ask, at, digitsOf, letterTo, profile, shot, tell, typeDigits } from './people.mjs';

const { PAGE } = process.env;
const seen = { errors: [], loads: 0 };

async function signUp(page, address, next) {
  await page.goto(`${PAGE}/auth/sign-up?next=${encodeURIComponent(next)}`);
  await page.fill('[name=email]', address);
  await page.fill('[name=password]', 'correct horse battery');
  await page.locator('main form[action="/auth/sign-up"] button').click();
  await at(page, '/auth/mail');
  const reader = await page.context().newPage();
  const digits = digitsOf(await letterTo(reader, PAGE, address));
  await reader.close();
  await typeDigits(page, digits);
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


// What staff does, to the latest order that it can be done to

const open = (page, label) => page.locator('#all-orders').getByRole('button', { name: `${label}: Item` }).first().click();
const sum = (page) => page.locator('#all-orders form.sum');
const amount = (page) => sum(page).locator('input');
const press = (page, label) => sum(page).getByRole('button', { name: label, exact: true }).click();
const mistake = (page) => sum(page).locator('.mistake').textContent();

async function enter(page, label, text) {
  await amount(page).fill(text);
  await press(page, label);
}

async function refused(page, label, text) {
  await sum(page).locator('.mistake').evaluate((element) => element.remove());
  await enter(page, label, text);
  return mistake(page);
}

const rowSays = (page, list, n, text) =>
  page.waitForFunction(
    ([list, n, text]) => document.querySelector(`#${list} li:nth-child(${n})`)?.textContent.includes(text),
    [list, n, text],
    { timeout: 45_000 },
  );

await tell(seen, async () => {
  const payer = await profile(seen.errors);
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

  const staff = await profile(seen.errors, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  await signUp(staff, 'boss@example.org', '/payment/demo');
  await staff.waitForSelector('#all-orders li');
  await shot(staff, 'staff');
  await open(staff, 'Refund');
  seen.prefilled = await amount(staff).inputValue();
  await shot(staff, 'staff-refund');
  await enter(staff, 'Refund', '10.01');
  seen.tooMuch = await mistake(staff);
  await shot(staff, 'staff-too-much');
  seen.unreadable = await refused(staff, 'Refund', '3,00');
  seen.nothing = await refused(staff, 'Refund', ' ');
  await pay(payer, 'test-10', 'fake-valid-amex-nonce');
  await staff.waitForFunction(() => document.querySelectorAll('#all-orders li').length === 4);
  seen.kept = await amount(staff).inputValue();
  await enter(staff, 'Refund', '3.00');
  await rowSays(payer, 'orders', 2, '3.00 of 10.00 USD given back');
  await shot(payer, 'partly-refunded');
  await open(staff, 'Refund');
  seen.rest = await amount(staff).inputValue();
  await shot(staff, 'staff-rest');
  await press(staff, 'Refund');
  await payer.waitForSelector('#orders li:nth-child(2)[data-state=refunded]');
  await shot(payer, 'refunded');

  await open(staff, 'Release');
  await becomes(payer, 'voided');
  seen.released = await outcome(payer);

  await pay(payer, 'test-held', 'fake-valid-visa-nonce');
  await open(staff, 'Settle');
  await shot(staff, 'staff-settle');
  await enter(staff, 'Settle', '20.00');
  await becomes(payer, 'paid');
  seen.settled = await outcome(payer);
  await shot(payer, 'settled');
  await shot(staff, 'staff-settled');
});
