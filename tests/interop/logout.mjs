// npm `oidc-provider` with logins, for the tests of Back-Channel Logout: any name logs in.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

// The package is installed in the folder that the first argument names, not beside this file.
const [folder, logoutUri] = [path.resolve(process.argv[2]), process.argv[3]];
const { default: Provider } = await import(
  pathToFileURL(createRequire(path.join(folder, "main.js")).resolve("oidc-provider"))
);

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "ES256", use: "sig" };

const client = (client_id, backchannel_logout_session_required) => ({
  client_id,
  token_endpoint_auth_method: "none", // a public client, with PKCE
  grant_types: ["authorization_code"],
  response_types: ["code"],
  redirect_uris: ["https://app.example/callback"],
  id_token_signed_response_alg: "ES256",
  scope: "openid reports:read",
  backchannel_logout_uri: logoutUri,
  backchannel_logout_session_required,
});

let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    cookies: { keys: [randomUUID()] },
    scopes: ["openid", "reports:read"],
    clients: [client("by-session", true), client("by-subject", false)],
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    // It knows the session of a token only for clients that require it.
    extraTokenClaims: (_, token) => (token.sid ? { sid: token.sid } : undefined),
    // By default it sends nothing to private addresses, but the service of the test has one.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          audience: resource,
          scope: "reports:read",
          accessTokenFormat: "jwt", // RFC 9068
          accessTokenTTL: 600,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  // The result of each logout token, for the test to read.
  provider.on("backchannel.success", () => console.log("logout accepted"));
  provider.on("backchannel.error", (_, error) => console.log(`logout failed: ${error.message}`));
  answer = provider.callback();
  console.log(`provider on ${issuer}`);
});
