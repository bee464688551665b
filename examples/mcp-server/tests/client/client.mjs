// The MCP client of the tests: the official SDK, with a simulated person who fills in the forms of the
// authorization server. It responds to each line of JSON with a line of JSON.
//
// node client.mjs FOLDER REVISION: the packages are in that folder. Revision 2026-07-28 of the protocol takes
// version 2 of the SDK, and nothing older; 2025-11-25 takes version 1.

import { request as httpRequest } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [, , folder, revision] = process.argv;
const require = createRequire(`${folder}/package.json`);
const isNew = revision >= "2026";
const sdk = isNew
  ? require("@modelcontextprotocol/client")
  : {
      ...require("@modelcontextprotocol/sdk/client/index.js"),
      ...require("@modelcontextprotocol/sdk/client/streamableHttp.js"),
      ...require("@modelcontextprotocol/sdk/client/auth.js"),
    };

const REDIRECT = "http://127.0.0.1:7777/callback"; // nothing listens there: the code is read from the address

/** What the SDK keeps for one user at one server, and the way of the person to the code. */
class Login {
  constructor(user) {
    this.user = user;
    this.asked = []; // the parameters of each authorization request
  }
  redirectUrl = REDIRECT;
  clientMetadata = {
    client_name: "the tests",
    redirect_uris: [REDIRECT],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  state = () => (this.expected = crypto.randomUUID());
  clientInformation = () => this.client;
  saveClientInformation = (client) => void (this.client = client);
  tokens = () => this.saved;
  saveTokens = (tokens) => void (this.saved = tokens);
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  saveDiscoveryState = (discovery) => void (this.discovery = discovery);
  discoveryState = () => this.discovery;
  async redirectToAuthorization(url) {
    this.asked.push(Object.fromEntries(url.searchParams));
    this.found = await logIn(url, this.user, this.expected);
  }
}

/** Follows redirects with cookies and submits each form, as a browser and its user do. */
async function logIn(start, user, state) {
  const cookies = new Map();
  let request = { url: start, method: "GET" };
  for (let steps = 0; steps < 20; steps++) {
    const { url, method, body } = request;
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { method, body, redirect: "manual", headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      value ? cookies.set(name, value) : cookies.delete(name);
    }
    const page = await answer.text();
    const location = answer.headers.get("location");
    if (location) {
      const next = new URL(location, url);
      if (next.href.startsWith(REDIRECT)) {
        const found = Object.fromEntries(next.searchParams);
        if (found.state !== state || !found.code) throw new Error(`sent back with ${next.search}`);
        return found;
      }
      request = { url: next, method: "GET" };
      continue;
    }
    const action = page.match(/<form[^>]* action="([^"]+)"/)?.[1];
    const prompt = page.match(/name="prompt" value="([^"]+)"/)?.[1];
    if (!action || !prompt) throw new Error(`${answer.status} without a form at ${url}: ${page}`);
    const form = new URLSearchParams({ prompt, login: user, password: "any" });
    request = { url: new URL(action, url), method: "POST", body: form };
  }
  throw new Error("logging in does not come to an end");
}

let login, client, transport;

/** A transport of the SDK carries one flow; the login outlives it. */
async function connect(server) {
  transport = new sdk.StreamableHTTPClientTransport(new URL(server), { authProvider: login });
  const options = isNew ? { versionNegotiation: { mode: { pin: revision } } } : {};
  client = new sdk.Client({ name: "tests", version: "1.0.0" }, options);
  await client.connect(transport);
}

/** Does it; where the SDK wants a login, finishes that one and does it once more. */
async function withLogin(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    await transport.finishAuth(login.found.code, login.found.iss);
    return await attempt();
  }
}

const operations = {
  /** Connects as a user who has never been here. */
  async connect({ server, user }) {
    login = new Login(user);
    await withLogin(() => connect(server));
    return { asked: login.asked, server: client.getServerVersion()?.name };
  },
  /** Drops the tokens and logs in again, as the same registered client. */
  async reconnect({ server }) {
    login.saved = undefined;
    await withLogin(() => connect(server));
    return { asked: login.asked };
  },
  tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
  async call({ tool, with: given }) {
    const result = await withLogin(() => client.callTool({ name: tool, arguments: given ?? {} }));
    const text = result.content.map((part) => part.text).join("");
    return { text, is_error: result.isError ?? false, asked: login.asked };
  },
  token: async () => login.saved.access_token,
  /** A token of the same user from the same authorization server, for another resource. */
  async token_for({ issuer, resource, scope }) {
    const metadata = await sdk.discoverAuthorizationServerMetadata(issuer);
    const flow = { metadata, clientInformation: login.client, resource };
    const state = login.state();
    const started = { ...flow, redirectUrl: REDIRECT, scope, state };
    const { authorizationUrl, codeVerifier } = await sdk.startAuthorization(issuer, started);
    const { code: authorizationCode } = await logIn(authorizationUrl, login.user, state);
    const ended = { ...flow, authorizationCode, codeVerifier, redirectUri: REDIRECT };
    return (await sdk.exchangeAuthorization(issuer, ended)).access_token;
  },
  /** A request by hand, not by `fetch`, which does not let anybody choose `Host`. */
  async request({ url, method, headers, body }) {
    const answer = await new Promise((resolve, reject) =>
      httpRequest(url, { method, headers }, resolve).on("error", reject).end(body),
    );
    let text = "";
    for await (const chunk of answer.setEncoding("utf8")) text += chunk;
    return { status: answer.statusCode, headers: answer.headers, body: text };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...given } = JSON.parse(line);
  const answer = await operations[op](given).then(
    (ok) => ({ ok: ok ?? null }),
    (error) => ({ error: `${error.stack ?? error}` }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
