// npm `oidc-provider` for the tests of logins at a provider. It trusts every address that is typed in.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

// The package is installed in the folder that the first argument names, not beside this file.
const [folder, port, secret, ...redirectUris] = process.argv.slice(2);
const { default: Provider } = await import(
  pathToFileURL(createRequire(path.join(path.resolve(folder), "main.js")).resolve("oidc-provider"))
);

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "RS256", use: "sig" };

// The name makes it another site than 127.0.0.1, so that cookies are separate, as in production.
const provider = new Provider(`http://localhost:${port}`, {
  jwks: { keys: [key] },
  cookies: { keys: [randomUUID()] },
  clients: [
    {
      client_id: "service",
      client_secret: secret,
      grant_types: ["authorization_code"],
      response_types: ["code"],
      redirect_uris: redirectUris,
      require_auth_time: true,
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  // `unverified:ada@example.com` has an address that nobody has verified.
  findAccount: (_, login) => ({
    accountId: login,
    claims: () => ({
      sub: login,
      email: login.replace("unverified:", ""),
      email_verified: !login.startsWith("unverified:"),
    }),
  }),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  // A login counts as consent.
  loadExistingGrant: async ({ oidc }) => {
    const { clientId } = oidc.client;
    const grant = new oidc.provider.Grant({ clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid email");
    await grant.save();
    return grant;
  },
  features: { devInteractions: { enabled: false } },
});

const form = `<!doctype html><title>The provider</title><form method="post">
  <label>Your address <input name="login" autofocus></label>
  <button name="answer" value="yes">Log in</button>
  <button name="answer" value="no">Cancel</button>
</form>`;

async function interaction(request, response) {
  if (request.method === "GET") {
    await provider.interactionDetails(request, response);
    response.setHeader("content-type", "text/html");
    return response.end(form);
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const answer = new URLSearchParams(body);
  const result = answer.get("answer") === "yes"
    ? { login: { accountId: answer.get("login") } }
    : { error: "access_denied", error_description: "the user has cancelled" };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const answer = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return answer(request, response);
  interaction(request, response).catch((error) => {
    response.statusCode = 400;
    response.end(String(error));
  });
}).listen(Number(port), "127.0.0.1");
