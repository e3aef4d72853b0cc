// Signs in with a provider of another site that answers with a form (response_mode=form_post). See people.mjs for what is
// printed. Environment: PAGE and PROVIDER (origins), and that of people.mjs.
import { at, digitsOf, letterTo, profile as opened, shot, tell, typeDigits } from './people.mjs';

const { PAGE, PROVIDER } = process.env;
const seen = { errors: [] };

const path = (page) => new URL(page.url()).pathname + new URL(page.url()).search;

/** A browser that notes how each form that comes back is answered, and whether it brought the cookie of the session. */
async function profile(options) {
  const page = await opened(seen.errors, options);
  page.posts = [];
  page.on('response', async (response) => {
    const request = response.request();
    if (request.method() !== 'POST' || !request.url().includes('/auth/complete/')) return;
    const post = { status: response.status(), query: new URL(request.url()).search };
    page.posts.push(post);
    post.brings = Boolean((await request.allHeaders()).cookie?.includes('rt_session'));
  });
  return page;
}

async function toProvider(page) {
  await page.goto(`${PAGE}/auth/sign-in`);
  await page.getByRole('button', { name: /Certified/ }).click();
  await page.waitForURL((url) => url.origin === PROVIDER);
}

/** Logs in there and agrees. `hasScripts` says whether its form, and ours, are sent by themselves. */
async function agree(page, name, hasScripts) {
  await page.fill('[name=login]', name);
  await page.fill('[name=password]', 'any');
  await page.locator('[type=submit]').click();
  await page.waitForLoadState();
  await page.getByRole('button', { name: /continue/i }).click();
  if (hasScripts) return;
  await page.getByRole('button', { name: /continue/i }).click();
  await page.getByRole('button', { name: 'Go on' }).waitFor();
  await shot(page, 'onward');
  await page.getByRole('button', { name: 'Go on' }).click();
}

async function signsIn(name, hasScripts) {
  const [page, reader] = [await profile({ javaScriptEnabled: hasScripts }), await opened(seen.errors)];
  await toProvider(page);
  await agree(page, name, hasScripts);
  await at(page, '/auth/address');
  await page.getByRole('textbox').first().fill(`${name}@example.org`);
  await page.locator('main button[type=submit]').first().click();
  await at(page, '/auth/mail');
  const digits = digitsOf(await letterTo(reader, PAGE, `${name}@example.org`));
  await page.goto(page.url());
  await typeDigits(page, digits);
  await at(page, '/auth/profile');
  await page.context().request.get(`${PAGE}/auth/session`).then(async (answer) => (seen[name] = (await answer.json()).user));
  return page.posts;
}

async function cancels() {
  const page = await profile();
  await toProvider(page);
  await page.getByRole('link', { name: /cancel/i }).click();
  await at(page, '/auth/error');
  return { place: path(page), posts: page.posts };
}

/** Somebody who has begun nothing here is sent by a page of another site. */
async function stranger() {
  const page = await profile();
  await page.goto(`${PROVIDER}/.well-known/openid-configuration`);
  await page.evaluate((action) => {
    const form = Object.assign(document.createElement('form'), { method: 'post', action });
    for (const [name, value] of Object.entries({ state: 's1', code: 'c1', submit: '"><script>alert(1)</script>' }))
      form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
    document.body.append(form);
    HTMLFormElement.prototype.submit.call(form);
  }, `${PAGE}/auth/complete/certified`);
  await at(page, '/auth/error');
  return { place: path(page), posts: page.posts, cookies: await page.context().cookies() };
}

await tell(seen, async () => {
  seen.withScripts = await signsIn('ada', true);
  seen.withoutScripts = await signsIn('ben', false);
  seen.cancelled = await cancels();
  seen.stranger = await stranger();
});
