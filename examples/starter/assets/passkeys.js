// Passkeys: login without a password, passkeys as a second factor, and the card in the account.

import { $, Trouble, busy, call, device, element, logIn, names, onEntered, send, tell } from "./app.js";
import { showCodes, showFactor } from "./settings.js"; // chapter: second-factor

// === Passkeys in the browser ===

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const named = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

/** Opens the browser's dialog, and puts its errors into words. */
async function dialog(run) {
  if (!window.PublicKeyCredential) throw new Trouble(0, "unsupported", "This browser cannot use passkeys here. They need a current browser, and an address that starts with https:// or http://localhost.");
  try {
    return await run();
  } catch (trouble) {
    const known = {
      NotAllowedError: "No passkey was used: you canceled, it took too long, or no passkey fits this account.",
      InvalidStateError: "This device already has a passkey for your account.",
      SecurityError: "Passkeys do not work at this address. Open the page at its official address (PUBLIC_URL). On a developer’s machine, that is http://localhost.",
    };
    if (!known[trouble.name]) throw trouble;
    throw new Trouble(0, "passkey", known[trouble.name]);
  }
}

async function create({ ceremony, options }) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: named(options.excludeCredentials),
  };
  const made = await dialog(() => navigator.credentials.create({ publicKey }));
  const response = {
    attestationObject: text(made.response.attestationObject),
    clientDataJSON: text(made.response.clientDataJSON),
    transports: made.response.getTransports?.() ?? [],
  };
  return { ceremony, credential: { id: made.id, rawId: made.id, type: made.type, response } };
}

async function get({ ceremony, options }) {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: named(options.allowCredentials) };
  const found = await dialog(() => navigator.credentials.get({ publicKey }));
  const response = {
    authenticatorData: text(found.response.authenticatorData),
    clientDataJSON: text(found.response.clientDataJSON),
    signature: text(found.response.signature),
    userHandle: found.response.userHandle && text(found.response.userHandle),
  };
  return { ceremony, credential: { id: found.id, rawId: found.id, type: found.type, response } };
}

// === Login ===

$("passkey-login").addEventListener("click", (event) => busy(event.target, $("entry-notice"), async () => {
  const { body } = await send("POST", "/auth/login/passkey", { json: {}, bearer: null });
  await logIn("/auth/login/passkey/finish", await get(body));
}));

for (const choice of $("entry").elements.mode) {
  choice.addEventListener("change", () => { $("passkey-login").hidden = $("entry").elements.mode.value === "register"; });
}

// chapter: second-factor {
names.passkey = "my passkey";
let challenge = null;

/** Shows the button for a passkey in place of the field for a code. */
function offer() {
  const byPasskey = $("method").value === "passkey";
  $("second-passkey").hidden = !byPasskey;
  $("code").closest(".field").hidden = byPasskey;
  $("second").querySelector("[type=submit]").hidden = byPasskey;
  if (byPasskey) $("second-passkey").focus();
}

$("method").addEventListener("change", offer);
document.addEventListener("challenged", (event) => {
  challenge = event.detail.challenge;
  offer();
});

$("second-passkey").addEventListener("click", (event) => busy(event.target, $("second-notice"), async () => {
  const { body } = await send("POST", "/auth/login/passkey", { json: { challenge }, bearer: null });
  await logIn("/auth/login/passkey/finish", { challenge, ...await get(body) });
}));

$("remove-method").addEventListener("change", offerRemoval);
$("remove-factor").addEventListener("click", offerRemoval);

function offerRemoval() {
  const byPasskey = !$("remove-method-field").hidden && $("remove-method").value === "passkey";
  $("factor-passkey").hidden = !byPasskey;
  $("remove-code-field").hidden = byPasskey || $("remove-method-field").hidden;
  $("factor-form").querySelector("[type=submit]").hidden = byPasskey;
}

$("factor-passkey").addEventListener("click", (event) => busy(event.target, $("factor-notice"), async () => {
  $("remove-code").value = await prove();
  $("factor-form").requestSubmit();
}));

for (const id of ["add-totp", "add-sms"]) $(id)?.addEventListener("click", offerRemoval);
// chapter: second-factor }

// === The card in the account ===

let usable = false; // whether the account has a passkey that the service accepts
let doing = null; // { what: "add", "rename", "remove" or "factor", passkey }

async function prove() {
  const { body } = await call("POST", "/auth/passkeys/prove");
  const proof = await call("POST", "/auth/passkeys/prove/finish", { json: await get(body) });
  return proof.body.passkey_proof;
}

async function showPasskeys() {
  let body;
  try {
    ({ body } = await call("GET", "/auth/passkeys"));
  } catch (trouble) {
    if (trouble.code !== "passkeys_not_offered") throw trouble;
    $("passkeys").hidden = $("passkey-login").hidden = true;
    return;
  }
  const day = (seconds) => new Date(seconds * 1000).toLocaleDateString("en", { dateStyle: "medium" });
  const rows = body.passkeys.map((passkey) => {
    const about = element("div", {}, element("strong", { text: passkey.label }));
    if (passkey.is_synced) about.append(element("span", { text: "Synced", kind: "here" }));
    const used = passkey.last_used_at ? `, last used on ${day(passkey.last_used_at)}` : ", not used yet";
    const words = passkey.is_refused ? "This passkey may have been copied, so it is not accepted any more. Please remove it." : `Added on ${day(passkey.created_at)}${used}`;
    about.append(element("span", { text: words, kind: "hint" }));
    const buttons = [["Rename", "rename", ""], ["Remove", "remove", "danger"]].map(([name, what, kind]) => {
      const button = element("button", { text: name, type: "button", kind, ariaLabel: `${name} the passkey ${passkey.label}` });
      button.addEventListener("click", () => begin(what, passkey));
      return button;
    });
    return element("li", {}, about, element("div", { kind: "actions" }, ...buttons));
  });
  $("passkey-list").replaceChildren(...rows);
  usable = body.passkeys.some((passkey) => !passkey.is_refused);
  $("passkey-factor").hidden = !usable; // chapter: second-factor
  end();
}

function begin(what, passkey = null) {
  doing = { what, passkey };
  tell($("passkeys-notice"), null);
  $("passkey-form").reset();
  $("passkey-label-field").hidden = !["add", "rename"].includes(what);
  $("passkey-label").value = passkey?.label ?? device(navigator.userAgent);
  $("passkey-proof-field").hidden = what === "rename";
  $("passkey-proof").hidden = what === "rename" || !usable;
  $("passkey-what").textContent = {
    add: "Add a passkey",
    rename: `Rename “${passkey?.label}”`,
    remove: `Remove “${passkey?.label}”`,
    factor: "Use a passkey as a second factor",
  }[what];
  $("passkey-choices").hidden = true;
  $("passkey-form").hidden = false;
  $(what === "rename" ? "passkey-label" : "passkey-password").focus();
}

function end() {
  doing = null;
  $("passkey-form").reset();
  $("passkey-form").hidden = true;
  $("passkey-choices").hidden = false;
}

/** Does what was begun. `proof` is the password or a passkey, and shows that the user is still the owner. */
async function go(proof) {
  const { what, passkey } = doing;
  const label = $("passkey-label").value;
  const path = passkey && `/auth/passkeys/${encodeURIComponent(passkey.id)}`;
  let words = null;
  if (what === "add") {
    const { body } = await call("POST", "/auth/passkeys/register", { json: proof });
    await call("POST", "/auth/passkeys/register/finish", { json: { label, ...await create(body) } });
    words = "Your passkey is added. Next time, log in without a password.";
  } else if (what === "rename") {
    await call("PUT", path, { json: { label } });
    words = "Your passkey is renamed.";
  } else if (what === "remove") {
    await call("POST", `${path}/remove`, { json: proof });
    words = "That passkey is not accepted any more. Remove it from your device as well.";
  }
  // chapter: second-factor {
  if (what === "factor") {
    const { body } = await call("POST", "/auth/second-factor/passkey", { json: proof });
    end();
    return showCodes(body.recovery_codes);
  }
  // chapter: second-factor }
  await showPasskeys();
  await showFactor(); // chapter: second-factor
  tell($("passkeys-notice"), words);
  $("passkeys-title").focus();
}

$("add-passkey").addEventListener("click", () => begin("add"));
$("passkey-factor").addEventListener("click", () => begin("factor")); // chapter: second-factor
$("passkey-cancel").addEventListener("click", () => {
  end();
  $("add-passkey").focus();
});

$("passkey-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const current_password = $("passkey-password").value;
  const submit = $("passkey-form").querySelector("[type=submit]");
  busy(submit, $("passkeys-notice"), () => go(current_password ? { current_password } : {}));
});

$("passkey-proof").addEventListener("click", (event) => busy(event.target, $("passkeys-notice"), async () => {
  await go({ passkey_proof: await prove() });
}));

onEntered(() => busy($("add-passkey"), $("passkeys-notice"), showPasskeys));

document.addEventListener("left", () => {
  end();
  // The next person to log in may be somebody else.
  $("passkey-list").replaceChildren();
  tell($("passkeys-notice"), null);
});
