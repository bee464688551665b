// A small OpenID provider on this machine: tokens for one client, and keys that change when you say so.
// Only for trying things out, never for production: the secret of its client is in this file.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const API = "http://127.0.0.1:3000"; // the audience of its access tokens
const SCOPES = "reports:read reports:write";
const port = Number(process.env.PROVIDER_PORT ?? 4000);
const keysFile = process.env.PROVIDER_KEYS; // if set, the keys survive a restart

// The first key signs. All of them are published.
let keys = keysFile && existsSync(keysFile) ? JSON.parse(readFileSync(keysFile)) : [newKey()];
let answer;

function newKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "ES256", use: "sig" };
}

function use(next) {
  keys = next;
  if (keysFile) writeFileSync(keysFile, JSON.stringify(keys), { mode: 0o600 });
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    jwks: { keys },
    clients: [
      {
        client_id: "demo",
        client_secret: "demo-secret",
        grant_types: ["client_credentials"],
        id_token_signed_response_alg: "ES256", // it gets no ID token, but the provider requires this
        redirect_uris: [],
        response_types: [],
        scope: SCOPES,
      },
    ],
    scopes: SCOPES.split(" "),
    // Roles depend on the client here; a real provider has them for each user.
    extraTokenClaims: () => ({ realm_access: { roles: ["auditor"] } }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => API,
        getResourceServerInfo: (_, resource) => ({
          audience: resource,
          scope: SCOPES,
          accessTokenFormat: "jwt", // RFC 9068
          accessTokenTTL: 600,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  provider.use(async (context, next) => {
    await next();
    if (context.path === "/jwks") context.set("cache-control", "public, max-age=60");
  });
  answer = provider.callback();
}

// The actions of an operator: publish the next key, sign with it, stop publishing the others.
const changes = {
  "/keys/publish": () => [...keys, newKey()],
  "/keys/sign": () => [keys.at(-1), ...keys.slice(0, -1)],
  "/keys/rotate": () => [newKey(), ...keys],
  "/keys/withdraw": () => [keys[0]],
};

const server = createServer((request, response) => {
  const change = request.method === "POST" && changes[request.url];
  if (!change) return answer(request, response);
  use(change());
  response.setHeader("content-type", "application/json");
  response.end(`${JSON.stringify({ signs: keys[0].kid, published: keys.length })}\n`);
});

server.listen(port, "127.0.0.1", () => {
  use(keys);
  console.log(`provider on http://127.0.0.1:${server.address().port}`);
});
