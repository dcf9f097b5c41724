// A real identity provider for tests: oidc-provider from npm, on a free loopback port.
//
// Environment: OIDC_MODULE (the module of the package), OIDC_BASE (the address of Kastrel, to which
// the provider sends browsers back), OIDC_PEOPLE (a JSON file with the claims of each person, by
// subject; it is read for each token, so a test changes it at any time).
//
// It writes `listens on URL` to its standard output. Everybody signs in with a subject and no
// password.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const { default: Provider } = await import(process.env.OIDC_MODULE);
const base = process.env.OIDC_BASE;
const people = () => JSON.parse(readFileSync(process.env.OIDC_PEOPLE, 'utf8'));

const page = (title, form) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>${form}</body></html>`;

/** Allows what the client asks for, without a question. */
async function grantOf(ctx) {
  const { client, session, result } = ctx.oidc;
  const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const found = known && (await ctx.oidc.provider.Grant.find(known));
  if (found) return found;
  const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid profile email');
  await grant.save();
  return grant;
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'kastrel',
        client_secret: 'a secret of the client: %&=+',
        redirect_uris: [`${base}/login/oidc/callback`],
        post_logout_redirect_uris: [`${base}/login`],
        response_types: ['code'],
        grant_types: ['authorization_code'],
      },
    ],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    // The claims are in the ID token, as those of Keycloak and Microsoft Entra ID.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: ['a key of tests'] },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          ctx.body = page('Sign out', `${form}<button id="end" form="op.logoutForm" name="logout" value="yes">Yes</button>`);
        },
      },
    },
    findAccount: (ctx, id) => {
      const claims = people()[id];
      return claims && { accountId: id, claims: () => ({ sub: id, ...claims }) };
    },
    loadExistingGrant: grantOf,
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = page('Error', `<p id="error">${out.error}</p>`);
    },
  });
  const callback = provider.callback();

  async function interact(request, response) {
    if (request.method === 'POST') {
      let body = '';
      for await (const chunk of request) body += chunk;
      const fields = new URLSearchParams(body);
      const result = fields.has('cancel')
        ? { error: 'access_denied', error_description: '<b>cancelled by the person</b>' }
        : { login: { accountId: fields.get('subject') } };
      return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    }
    response.setHeader('content-type', 'text/html; charset=utf-8');
    return response.end(
      page('Sign in', '<form method="post"><input name="subject" id="subject"><button id="enter">Sign in</button><button id="cancel" name="cancel" value="1">Cancel</button></form>'),
    );
  }

  server.on('request', (request, response) => {
    if (request.url.startsWith('/interaction/')) {
      interact(request, response).catch((error) => {
        response.statusCode = 400;
        response.end(String(error));
      });
    } else {
      callback(request, response);
    }
  });
  console.log(`listens on ${issuer}`);
});
