// DPoP clients for `dpop.rs`: npm `oauth4webapi` and `dpop`. Prints the result of each step as one line of
// JSON.

import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, kind, base, issuer] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(folder), "main.js"));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const oauth = await load("oauth4webapi");
const dpop = await load("dpop");

const http = { [oauth.allowInsecureRequests]: true }; // on loopback
const steps = [];
const say = (step, result) => steps.push([step, result]);

// Repeats the request with the nonce that the server has sent.
async function withNonce(step, act) {
  try {
    return await act();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    say(step, "use_dpop_nonce");
    return act();
  }
}

const status = async (act) => {
  try {
    return (await act()).status;
  } catch (error) {
    const challenge = error.cause?.[0];
    return [error.status, challenge?.scheme, challenge?.parameters?.error];
  }
};

const resource = (token, options) =>
  oauth.protectedResourceRequest(token, "GET", new URL(`${base}/orders?page=1`), undefined, undefined, {
    ...http,
    ...options,
  });

// A complete session: login, resource, refresh, and a thief who has all tokens.
async function own(alg) {
  const as = { issuer: base, token_endpoint: `${base}/token` };
  const client = { client_id: "app" };
  const keys = await oauth.generateKeyPair(alg);
  const DPoP = oauth.DPoP(client, keys);
  let tokens = await withNonce("login", async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, client, oauth.None(), {}, { ...http, DPoP });
    return oauth.processClientCredentialsResponse(as, client, response);
  });
  say("login", tokens.token_type);
  const refresh = async (DPoP) => {
    const response = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, {
      ...http,
      DPoP,
    });
    return oauth.processRefreshTokenResponse(as, client, response);
  };
  for (let round = 0; round < 3; round++) {
    const answer = await withNonce("resource", () => resource(tokens.access_token, { DPoP }));
    say("resource", await answer.text());
    tokens = await withNonce("refresh", () => refresh(DPoP));
  }

  // The thief has both tokens, and a key of their own.
  const thief = oauth.DPoP(client, await oauth.generateKeyPair(alg));
  say("thief as bearer", await status(() => resource(tokens.access_token, {})));
  say("thief with a key", await status(() => withNonce("thief", () => resource(tokens.access_token, { DPoP: thief }))));
  const refused = async (DPoP) => {
    try {
      return (await withNonce("thief", () => refresh(DPoP))).token_type;
    } catch (error) {
      return error.error;
    }
  };
  say("thief refreshes without a key", await refused(undefined));
  tokens = await withNonce("refresh", () => refresh(DPoP));
  say("honest client", tokens.token_type);
  say("thief refreshes with a key", await refused(thief));
  say("honest client", await refused(DPoP));
}

// The same resource with the other library, which only makes proofs.
async function bare(alg) {
  const keys = await dpop.generateKeyPair(alg);
  let nonce;
  const send = async (method, address, headers, body, token) => {
    for (;;) {
      const proof = await dpop.generateProof(keys, address, method, nonce, token);
      const response = await fetch(address, { method, headers: { ...headers, DPoP: proof }, body });
      const newer = response.headers.get("dpop-nonce");
      const isAsked = newer && newer !== nonce && [400, 401].includes(response.status);
      nonce = newer ?? nonce;
      if (!isAsked) return { response, proof };
    }
  };
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  const { response } = await send("POST", `${base}/token`, {}, form);
  const { access_token: token, token_type } = await response.json();
  say("login", token_type);
  const authorization = `DPoP ${token}`;
  const first = await send("GET", `${base}/orders`, { authorization }, undefined, token);
  say("resource", await first.response.text());
  const again = await fetch(`${base}/orders`, { headers: { authorization, DPoP: first.proof } });
  say("replay", [again.status, again.headers.get("www-authenticate")?.match(/error="(\w+)"/)?.[1]]);
  say("thumbprint", await dpop.calculateThumbprint(keys.publicKey));
}

// Tokens of a provider that are accepted by a service here.
async function provider(audience) {
  const client = { client_id: "demo" };
  const url = new URL(issuer);
  const found = await oauth.discoveryRequest(url, http);
  const as = await oauth.processDiscoveryResponse(url, found);
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
  const parameters = { scope: "reports:read", resource: audience };
  const auth = oauth.ClientSecretBasic("demo-secret");
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { ...http, DPoP });
  const { access_token: token, token_type } = await oauth.processClientCredentialsResponse(as, client, response);
  say("login", token_type);
  const answer = await withNonce("resource", () => resource(token, { DPoP }));
  say("resource", await answer.text());
  say("as bearer", await status(() => resource(token, {})));
  const thief = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
  say("thief with a key", await status(() => withNonce("thief", () => resource(token, { DPoP: thief }))));
}

try {
  const [what, argument] = kind.split("=");
  await { own, bare, provider }[what](argument);
} catch (error) {
  say("failed", `${error.stack} ${JSON.stringify(error.cause ?? null)}`);
}
console.log(JSON.stringify(steps));
