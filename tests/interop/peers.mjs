// npm `jose` over lines of JSON: one request per line on stdin, one response per line on stdout.

import { createHmac, createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The package is installed in the folder that the first argument names, not beside this file.
const folder = path.resolve(process.argv[2]);
const jose = await import(
  pathToFileURL(createRequire(path.join(folder, "main.js")).resolve("jose"))
);
const { version } = JSON.parse(readFileSync(path.join(folder, "node_modules/jose/package.json")));

const OURS =
  "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519".split(" ");
const b64 = (data) => Buffer.from(data).toString("base64url");

function generate(alg) {
  if (/^[RP]S/.test(alg)) return generateKeyPairSync("rsa", { modulusLength: 2048 });
  if (alg === "ES256") return generateKeyPairSync("ec", { namedCurve: "P-256" });
  if (alg === "ES384") return generateKeyPairSync("ec", { namedCurve: "P-384" });
  return generateKeyPairSync("ed25519");
}

async function keys({ alg }) {
  if (alg.startsWith("HS")) {
    const jwk = { kty: "oct", k: b64(randomBytes(64)) };
    return { private_jwk: jwk, public_jwk: jwk, thumbprint: null };
  }
  const { privateKey, publicKey } = generate(alg);
  const pem = (key, type) => key.export({ format: "pem", type });
  const found = { pkcs8: pem(privateKey, "pkcs8"), spki: pem(publicKey, "spki") };
  if (/^[RP]S/.test(alg)) {
    found.pkcs1 = pem(privateKey, "pkcs1");
    found.pkcs1_public = pem(publicKey, "pkcs1");
  }
  found.private_jwk = await jose.exportJWK(
    await jose.importPKCS8(found.pkcs8, alg, { extractable: true }),
  );
  found.public_jwk = await jose.exportJWK(
    await jose.importSPKI(found.spki, alg, { extractable: true }),
  );
  found.thumbprint = await jose.calculateJwkThumbprint(found.public_jwk);
  return found;
}

async function sign({ alg, jwk, header, claims }) {
  const key = await jose.importJWK({ ...jwk, alg }, alg);
  return new jose.SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(key);
}

async function verify({ alg, token, iss, aud, jwk, pem, jwks, jwks_url }) {
  let key;
  if (jwks_url) key = jose.createRemoteJWKSet(new URL(jwks_url));
  else if (jwks) key = jose.createLocalJWKSet(jwks);
  else if (pem) key = pem.includes("RSA PUBLIC") ? createPublicKey(pem) : await jose.importSPKI(pem, alg);
  else key = await jose.importJWK(jwk, alg);
  const { payload, protectedHeader } = await jose.jwtVerify(token, key, {
    algorithms: [alg],
    issuer: iss,
    audience: aud,
    typ: "at+jwt",
    requiredClaims: ["exp", "iat", "nbf", "sub", "jti"],
  });
  return { header: protectedHeader, claims: payload };
}

// `jose` can make neither `none` with a custom header nor HS256 with the text of a public key.
const unsigned = ({ header, claims }) =>
  `${b64(JSON.stringify({ alg: "none", ...header }))}.${b64(JSON.stringify(claims))}.`;

function confused({ pem, header, claims }) {
  const head = b64(JSON.stringify({ alg: "HS256", ...header }));
  const message = `${head}.${b64(JSON.stringify(claims))}`;
  return `${message}.${createHmac("sha256", pem).update(message).digest("base64url")}`;
}

const operations = {
  hello: () => ({ name: `jose ${version}`, algorithms: OURS }),
  keys,
  sign,
  verify,
  thumbprint: ({ jwk }) => jose.calculateJwkThumbprint(jwk),
  unsigned,
  confused,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await operations[op](request) };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(answer));
}
