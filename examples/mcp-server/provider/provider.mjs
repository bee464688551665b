// A small authorization server on this machine for MCP clients: they register themselves, anyone can log in
// with any name, and keys change when you say so. Only for trying things out, never for production.

import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import Provider, { errors } from "oidc-provider";

// The resources that it issues tokens for, separated by spaces; each is the audience of its tokens.
const RESOURCES = (process.env.PROVIDER_RESOURCES ?? "http://127.0.0.1:3000/mcp").split(" ");
const SCOPES = "notes:read notes:write";
const port = Number(process.env.PROVIDER_PORT ?? 4000);
const cookieKeys = [randomBytes(32).toString("hex")];

// The first key signs. All of them are published.
let keys = [newKey()];
let answer;

function newKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "ES256", use: "sig" };
}

// Clients, logins and codes, which survive a change of keys. They are lost when the process ends.
const stored = new Map();

class Memory {
  constructor(model) {
    this.model = model;
  }
  async upsert(id, payload) {
    stored.set(`${this.model}:${id}`, payload);
  }
  async find(id) {
    return stored.get(`${this.model}:${id}`);
  }
  async findByUid(uid) {
    return [...stored.values()].find((one) => one.kind === this.model && one.uid === uid);
  }
  async consume(id) {
    (await this.find(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    stored.delete(`${this.model}:${id}`);
  }
  async revokeByGrantId(grantId) {
    for (const [key, one] of stored) if (one.grantId === grantId) stored.delete(key);
  }
}

function use(next) {
  keys = next;
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    adapter: Memory,
    jwks: { keys },
    cookies: { keys: cookieKeys },
    clientDefaults: {
      grant_types: ["authorization_code", "refresh_token"],
      id_token_signed_response_alg: "ES256",
      token_endpoint_auth_method: "none",
    },
    clientBasedCORS: () => true, // for clients that are web pages
    scopes: ["openid", "offline_access", ...SCOPES.split(" ")],
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: true }, // forms that accept any name and password
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          if (!RESOURCES.includes(resource)) throw new errors.InvalidTarget();
          return {
            audience: resource,
            scope: SCOPES,
            accessTokenFormat: "jwt", // RFC 9068
            accessTokenTTL: 600,
            jwt: { sign: { alg: "ES256" } },
          };
        },
        useGrantedResource: () => true,
      },
    },
  });
  provider.use(async (context, next) => {
    // A client registers with the scope that it was told first, which would prevent it from requesting
    // another one later.
    if (context.method === "POST" && context.path === "/reg") {
      let text = "";
      for await (const chunk of context.req) if ((text += chunk).length > 65536) context.throw(413);
      const { scope, ...client } = JSON.parse(text);
      context.req.body = client;
    }
    await next();
    if (context.path === "/jwks") context.set("cache-control", "public, max-age=60");
  });
  answer = provider.callback();
}

// The actions of an operator: publish the next key, sign with it, or change at once.
const changes = {
  "/keys/publish": () => [...keys, newKey()],
  "/keys/sign": () => [keys.at(-1), ...keys.slice(0, -1)],
  "/keys/rotate": () => [newKey(), ...keys],
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
  console.log(`authorization server on http://127.0.0.1:${server.address().port}`);
});
