// oidc-provider (certified) on a port of the loopback: PKCE is required, one client, and people without an address.
// node oidc_provider.mjs PORT REDIRECT_URI SECRET [HOST, as browsers are to call it]
import Provider from 'oidc-provider';

const [port, redirectUri, secret, host = '127.0.0.1'] = process.argv.slice(2);
const provider = new Provider(`http://${host}:${port}`, {
  clients: [{ client_id: 'client', client_secret: secret, redirect_uris: [redirectUri] }],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'] },
  scopes: ['openid', 'profile'],
  pkce: { required: () => true },
  cookies: { keys: ['only for tests'] },
  // The name that was typed into the form of the login is who it is.
  findAccount: async (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: `${id} of there`, name: id }),
  }),
});
provider.listen(Number(port), '127.0.0.1');
