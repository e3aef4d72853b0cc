// Two people at two browsers: one signs up and pays, the other is staff and gives money back. See people.mjs
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
  await staff.locator('#all-orders li').first().getByRole('button', { name: /refund/i }).click();
  await rowBecomes(payer, 'orders', 'refunded');
  await becomes(payer, "refunded");
  seen.refunded = await outcome(payer);
  await shot(payer, 'refunded');
  await shot(staff, 'staff-refunded');
});
