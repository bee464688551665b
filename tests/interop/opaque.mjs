// A provider whose access tokens are opaque, for `opaque.rs`: it introspects and revokes them.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const API = "http://127.0.0.1:3000"; // the audience of its access tokens
const SCOPES = "reports:read reports:write";
const port = Number(process.env.PROVIDER_PORT ?? 0);
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

const client = (client_id, client_secret, more = {}) => ({
  client_id,
  client_secret,
  grant_types: [],
  id_token_signed_response_alg: "ES256",
  redirect_uris: [],
  response_types: [],
  ...more,
});

let provider;
let answer;

function start() {
  provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    jwks: { keys: [{ ...key, kid: "k", alg: "ES256", use: "sig" }] },
    clients: [
      client("demo", "demo-secret", { grant_types: ["client_credentials"], scope: SCOPES }),
      // Characters that must be encoded before they are sent (RFC 6749 section 2.3.1).
      client("reports:api", "s3cret: +%&=/?"),
      client("reports-api-post", "s3cret: +%&=/?", { token_endpoint_auth_method: "client_secret_post" }),
    ],
    scopes: ["offline_access", ...SCOPES.split(" ")], // the first one brings refresh tokens
    extraTokenClaims: () => ({ realm_access: { roles: ["auditor"] } }),
    ttl: { RefreshToken: 600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => API,
        getResourceServerInfo: (_, resource) => ({
          audience: resource,
          scope: SCOPES,
          accessTokenFormat: resource.endsWith("/jwt") ? "jwt" : "opaque",
          accessTokenTTL: 600,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  answer = provider.callback();
}

// Tokens of a user, as after a login.
async function mint(kind) {
  const demo = await provider.Client.find("demo");
  const grant = new provider.Grant({ accountId: "alice", clientId: "demo" });
  grant.addResourceScope(API, SCOPES);
  const grantId = await grant.save();
  const about = { accountId: "alice", client: demo, grantId, scope: "reports:read", gty: "authorization_code" };
  if (kind === "refresh") return new provider.RefreshToken({ ...about, rotations: 0 }).save();
  const token = new provider.AccessToken(about);
  token.resourceServer = new provider.ResourceServer(API, { audience: API, scope: SCOPES, accessTokenTTL: 600 });
  if (kind === "bound") token.setThumbprint("jkt", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  return token.save();
}

const server = createServer(async (request, response) => {
  const kind = request.method === "POST" && request.url.match(/^\/mint\/(\w+)$/)?.[1];
  if (!kind) return answer(request, response);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ access_token: await mint(kind) }));
});

process.stdout.on("error", () => {}); // the test reads one line
server.listen(port, "127.0.0.1", () => {
  start();
  console.log(`provider on http://127.0.0.1:${server.address().port}`);
});
