// The key of this browser, and the proofs that it signs (DPoP, RFC 9449). Tokens are bound to the key: whoever
// steals them, even with the cookie, has nothing without it. No script can read the private key, not even this one:
// it is made with `extractable: false`, and the browser keeps it in IndexedDB.

/** The address that proofs name. The service tells it, because the page may be open at another name of this machine.
 * It is empty if the service accepts no proofs. */
const address = document.querySelector("meta[name=dpop]")?.content;
const possible = Boolean(address && globalThis.crypto?.subtle && globalThis.indexedDB);

// The only entry is `{ keys, isBound }`. `isBound` is true once a session is bound to the keys.
const DATABASE = "dpop";
const STORE = "keys";
const ENTRY = "browser";

/** Runs one transaction, and returns what `use` gives to its second argument. */
function stored(mode, use) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      let found = null;
      try {
        const transaction = database.transaction(STORE, mode);
        transaction.oncomplete = () => resolve(found);
        transaction.onabort = () => reject(transaction.error);
        use(transaction.objectStore(STORE), (value) => { found = value; });
      } catch (error) {
        reject(error);
      } finally {
        database.close(); // once the transaction is over
      }
    };
  });
}

const read = () => stored("readonly", (store, found) => {
  const entry = store.get(ENTRY);
  entry.onsuccess = () => found(entry.result ?? null);
});

/** Returns the key for a login: that of this browser, which is made if there is none. Returns `null` where the browser
 * keeps no keys, as in some private windows. The login then works without a key. */
export async function keyForLogin() {
  if (!possible) return null;
  try {
    const entry = await read();
    if (entry) return entry.keys;
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    // In one transaction, so that two tabs get one key.
    return await stored("readwrite", (store, found) => {
      const entry = store.get(ENTRY);
      entry.onsuccess = () => {
        if (entry.result) return found(entry.result.keys);
        store.put({ keys, isBound: false }, ENTRY);
        found(keys);
      };
    });
  } catch (error) {
    console.warn("This browser keeps no keys, so the login is not bound to one.", error);
    return null;
  }
}

/** Keeps the key of a login as the key of this browser's session. */
export async function keep(keys) {
  try {
    await stored("readwrite", (store) => store.put({ keys, isBound: true }, ENTRY));
  } catch (error) {
    console.warn("This browser has not kept the key of the login.", error);
  }
}

/** Returns the key of the session in the cookie, or `null`. A key that was made for a login that has not succeeded is
 * not the key of the session: the service would take its proof for that of a thief, and end the session. */
export async function keyOfSession() {
  if (!possible) return null;
  try {
    const entry = await read();
    return entry?.isBound ? entry.keys : null;
  } catch {
    return null;
  }
}

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const utf8 = (text) => new TextEncoder().encode(text);

let nonce = null; // the newest one that the service has told

async function proof(keys, method, path, token) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", keys.publicKey);
  const claims = {
    jti: base64url(crypto.getRandomValues(new Uint8Array(16))),
    htm: method,
    htu: address + new URL(path, location.href).pathname,
    iat: Math.floor(Date.now() / 1000),
  };
  if (token) claims.ath = base64url(await crypto.subtle.digest("SHA-256", utf8(token)));
  if (nonce) claims.nonce = nonce;
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y } };
  const message = [header, claims].map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys.privateKey, utf8(message));
  return `${message}.${base64url(signature)}`;
}

async function needsNonce(response) {
  if (![400, 401].includes(response.status) || !response.headers.has("DPoP-Nonce")) return false;
  const problem = await response.clone().json().catch(() => null);
  return problem?.error === "use_dpop_nonce";
}

/** Calls `fetch` with a proof by this key, for this token if there is one. Without a key, just calls `fetch`. */
export async function fetchWith(keys, path, options, token) {
  const ask = async () => {
    if (!keys) return fetch(path, options);
    const headers = { ...options.headers, DPoP: await proof(keys, options.method, path, token) };
    const response = await fetch(path, { ...options, headers });
    nonce = response.headers.get("DPoP-Nonce") ?? nonce;
    return response;
  };
  const response = await ask();
  // If the nonce is missing or too old, the service has done nothing. The request is sent once more, with the new one.
  return keys && await needsNonce(response) ? ask() : response;
}
