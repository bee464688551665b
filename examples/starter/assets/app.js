// The page at `/`. The access token is in a variable of this file and nowhere else; the refresh token
// is in a cookie that scripts cannot read.

import { fetchWith, keep as keepKey, keyForLogin, keyOfSession } from "./dpop.js";

export const $ = (id) => document.getElementById(id);
let token = null; // { text, key, claims, expires, lifetime }: times in milliseconds, by the clock of this machine

// === Talking to the service ===

/** Says what went wrong, in words for a person. */
export class Trouble extends Error {
  constructor(status, code, detail, retryAfter, reason) {
    super(words(status, code, detail, retryAfter, reason));
    this.status = status;
    this.code = code;
  }
}

function words(status, code, detail, retryAfter, reason) {
  const known = {
    invalid_credentials: "Wrong email address or password, or the address is not confirmed yet. To confirm it, open the link in our email.",
    wrong_password: "That is not your password.",
    second_factor_exists: "This is on already. To set it up again, turn two-factor authentication off first.",
    invalid_phone: "That does not look like a phone number. Write it with the country code, such as +4915112345678.",
    invalid_image: "We cannot read that picture. Please choose another one.",
    unsupported_media_type: "Please choose a PNG, JPEG or WebP picture.",
    too_large: "That picture is too large. The limit is 1 MB.",
    invalid_code: "That code is wrong, expired or already used. Please check it, or get a new one.",
    invalid_challenge: "That took too long, or there were too many attempts. Please log in again.",
    invalid_link: "This link has expired, was used already, or is not the newest one. Please ask for a new link.",
    invalid_email: "That does not look like an email address. Please check it.",
    invalid_grant: "Your session has ended. Please log in again.",
    invalid_token: "Your login is no longer valid. Please log in again.",
    insufficient_user_authentication: "Your last login is too long ago for this. Please log in again, and do this within ten minutes.",
    proof_required: "Please type your password, or use a passkey instead.",
    insufficient_scope: "You are logged in, but this needs the scope “admin”, which you do not have.",
    invalid_dpop_proof: "The service did not accept the proof of this browser’s key. Its operator should check that PUBLIC_URL is the address of this page.",
    lost_key: "Your login was bound to a key that this browser no longer has. Please log in again.",
    cross_origin: "The service did not recognize this page as its own. Its operator should check that PUBLIC_URL is the address of this page.",
  };
  const passwords = {
    too_long: "That password is too long. Use a shorter one.",
    too_common: "That password is easy to guess. A few unrelated words work best.",
    breached: "That password appears in a list of stolen passwords. Please choose another one.",
  };
  if (code === "invalid_password" && passwords[reason]) return passwords[reason];
  if (known[code]) return known[code];
  if (status === 429) return `Too many attempts. Please wait ${retryAfter || "a few"} seconds.`;
  if (status === 503) return "The service is not available right now. Please try again in a moment.";
  return detail || "Something went wrong on our side. Please try again.";
}

/** Sends a request, with a proof if there is a key. Returns `{ status, body }`, or throws a `Trouble`. */
export async function send(method, path, { json, file, bearer = token?.text, key = bearer ? token?.key : null } = {}) {
  const headers = { "Token-Transport": "cookie" };
  if (json) headers["Content-Type"] = "application/json";
  if (file) headers["Content-Type"] = file.type;
  if (bearer) headers.Authorization = `${key ? "DPoP" : "Bearer"} ${bearer}`;
  // Browsers add `Origin` to every method but GET, and a GET needs no cookie.
  if (method === "GET") delete headers["Token-Transport"];
  let response;
  try {
    const body = file ?? (json && JSON.stringify(json));
    response = await fetchWith(key, path, { method, headers, body, credentials: "same-origin" }, bearer);
  } catch {
    throw new Trouble(0, "offline", "The service cannot be reached. Please check your connection and try again.");
  }
  if (response.ok && response.headers.get("Content-Type")?.startsWith("image/")) return { status: response.status, body: await response.blob() };
  const text = await response.text();
  let body = null;
  try { body = text ? JSON.parse(text) : null; } catch { /* then `words` has a text for the status */ }
  if (!response.ok) {
    throw new Trouble(response.status, body?.error, body?.detail, response.headers.get("Retry-After"), body?.reason);
  }
  return { status: response.status, body };
}

/** Sends a request with a valid access token, and refreshes the token if it has expired. */
export async function call(method, path, what) {
  if (token && token.expires - Date.now() < 5000) await refresh();
  try {
    return await send(method, path, what);
  } catch (trouble) {
    if (trouble.status !== 401 || !token) throw trouble;
    if (!(await refresh())) throw trouble;
    return send(method, path, what);
  }
}

/** Keeps the token of a pair, and the key if the service says that the token is bound to it. */
function keep(pair, key) {
  const part = pair.access_token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
  const lifetime = pair.expires_in * 1000;
  const claims = JSON.parse(new TextDecoder().decode(bytes));
  const isBound = pair.token_type === "DPoP";
  token = { text: pair.access_token, key: isBound ? key : null, claims, lifetime, expires: Date.now() + lifetime };
}

/** Gets a new access token, in one request at a time. Returns whether there is one now. */
let refreshing = null;
function refresh() {
  refreshing ??= (async () => {
    // The key is read each time, because another tab may have logged in. It is never made here: any other key than that
    // of the session would look like a thief's.
    const key = await keyOfSession();
    try {
      const { status, body } = await send("POST", "/auth/refresh", { bearer: null, key });
      if (status === 204) token = null;
      else keep(body, key);
    } catch (trouble) {
      const isLost = trouble.code === "invalid_dpop_proof" && !key;
      // Only these two mean that the session has ended or cannot be used any more. After any other error, the cookie is
      // still valid.
      if (trouble.code === "invalid_grant" || isLost) token = null;
      throw isLost ? new Trouble(trouble.status, "lost_key") : trouble;
    } finally {
      refreshing = null;
    }
    return token !== null;
  })();
  return refreshing;
}

// === Showing ===

/** Creates an element. `text` is never read as markup. */
export function element(name, { text, kind, ...rest } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  Object.assign(made, rest);
  made.append(...children);
  return made;
}

/** Shows a text in `place`, or hides the place if there is none. */
export function tell(place, text, bad = false) {
  place.hidden = !text;
  place.textContent = text ?? "";
  place.classList.toggle("bad", bad);
}

function show() {
  const inside = token !== null;
  $("welcome").hidden = inside;
  card("entry");
  $("account").hidden = !inside;
  if (!inside) return;
  $("who").textContent = token.claims.email ?? token.claims.sub;
  const rows = Object.entries(token.claims).flatMap(([name, value]) => [
    element("dt", { text: name }),
    element("dd", { text: claim(name, value) }),
  ]);
  $("claims").replaceChildren(...rows);
  tick();
}

/** Chooses the card for visitors who are not logged in. */
export function card(id) {
  for (const one of document.querySelectorAll("#welcome > .card")) one.hidden = one.id !== id;
}

/** Returns whether somebody is logged in here. */
export const inside = () => token !== null;

function claim(name, value) {
  if (["exp", "iat", "nbf", "auth_time"].includes(name)) return new Date(value * 1000).toLocaleString();
  return typeof value === "string" ? value : JSON.stringify(value);
}

function tick() {
  if (!token) return;
  const left = Math.max(0, token.expires - Date.now());
  const seconds = Math.ceil(left / 1000);
  $("left").textContent = left ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "Expired";
  $("left-words").textContent = left ? "minutes left" : "– the next request renews it";
  $("bar").value = left / token.lifetime;
}

export function ago(seconds) {
  const passed = Math.round(Date.now() / 1000 - seconds);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (passed < 60) return "just now";
  if (passed < 3600) return words.format(-Math.round(passed / 60), "minute");
  if (passed < 86400) return words.format(-Math.round(passed / 3600), "hour");
  return words.format(-Math.round(passed / 86400), "day");
}

/** Returns the browser and the system that a `User-Agent` names. */
export function device(label) {
  if (!label) return "Unknown device";
  const find = (names) => names.find(([pattern]) => pattern.test(label))?.[1];
  const browser = find([[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"], [/^curl/, "curl"]]);
  const system = find([[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS/, "macOS"], [/Linux|X11/, "Linux"]]);
  if (!browser) return label;
  return system ? `${browser} on ${system}` : browser;
}

export async function showSessions() {
  const { body } = await call("GET", "/auth/sessions");
  const rows = body.sessions.map((session) => {
    const name = element("strong", { text: device(session.label), title: session.label ?? "" });
    const about = element("div", {}, name);
    if (session.current) about.append(element("span", { text: "This session", kind: "here" }));
    if (session.bound) about.append(element("span", { text: `Bound to ${session.current ? "this browser’s key" : "a key of its device"}`, kind: "hint" }));
    about.append(element("span", { text: `Logged in ${ago(session.created_at)}, last used ${ago(session.last_used_at)}`, kind: "hint" }));
    const row = element("li", {}, about);
    if (!session.current) {
      const end = element("button", { text: "End", type: "button", ariaLabel: `End the session ${device(session.label)}` });
      end.addEventListener("click", () => busy(end, $("notice"), async () => {
        await call("DELETE", `/auth/sessions/${encodeURIComponent(session.id)}`);
        await showSessions();
        tell($("notice"), "That session has ended.");
        $("sessions-title").focus();
      }));
      row.append(end);
    }
    return row;
  });
  $("sessions").replaceChildren(...rows);
}

// === Doing ===

/** Runs the work of a button, which is disabled meanwhile. Shows errors in `place`. */
export async function busy(button, place, work) {
  const before = followed;
  button.disabled = true;
  tell(place, null);
  try {
    await work();
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) console.error(trouble);
    // A link was opened meanwhile, and is on the screen.
    if (followed !== before) return;
    const text = trouble instanceof Trouble ? trouble.message : words(500);
    // The session has ended meanwhile. Whichever request learns it first, the page must not stay open without one.
    if (token === null && !$("account").hidden) leave(text, true);
    else tell(place, text, true);
  } finally {
    button.disabled = false;
  }
}

const parts = []; // what fills a part of the account

/** Registers what fills a part of the account after each login. It handles its own errors, as `busy` does. */
export function onEntered(fill) {
  parts.push(fill);
}

async function enter() {
  const before = followed;
  show();
  tell($("notice"), null);
  $("account").ariaBusy = "true";
  try {
    await showSessions();
  } catch (trouble) {
    $("account").ariaBusy = "false";
    throw trouble;
  }
  // Not if a link was opened meanwhile.
  const filled = followed === before ? parts.map((fill) => fill()) : [];
  Promise.allSettled(filled).then(() => { $("account").ariaBusy = "false"; });
}

export function leave(text, bad = false) {
  token = null;
  $("password").value = "";
  $("code").value = "";
  $("answer").replaceChildren();
  document.dispatchEvent(new Event("left"));
  show();
  tell($("entry-notice"), text, bad);
  $("email").focus();
}

const mode = () => new FormData($("entry")).get("mode");
const submit = $("entry").querySelector("[type=submit]");
for (const choice of $("entry").elements.mode) {
  choice.addEventListener("change", () => {
    const registers = mode() === "register";
    submit.textContent = registers ? "Create account" : "Log in";
    $("password").autocomplete = registers ? "new-password" : "current-password";
    $("password-hint").hidden = !registers;
    $("forgot").hidden = registers;
    tell($("entry-notice"), null);
  });
}

$("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(submit, $("entry-notice"), async () => {
    const json = { email: $("email").value, password: $("password").value };
    const registers = mode() === "register";
    if (registers) await send("POST", "/auth/register", { json, bearer: null });
    try {
      await logIn("/auth/login", json);
    } catch (trouble) {
      if (!registers || trouble.code !== "invalid_credentials") throw trouble;
      choose("login");
      tell($("entry-notice"), `We have sent you an email. Open the link in it to confirm your email address, and then log in.${folder}`);
    }
  });
});

// On a developer's machine, emails are files.
const folder = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)
  ? " (Without a mail server, emails are files in data/mail.)" : "";

function choose(value) {
  const choice = $("entry").querySelector(`[value=${value}]`);
  choice.checked = true;
  choice.dispatchEvent(new Event("change"));
}

/** Logs in, or asks for the second factor if the service wants one. */
export async function logIn(path, json) {
  const key = await keyForLogin();
  const { body } = await send("POST", path, { json, bearer: null, key });
  $("password").value = "";
  if (body.challenge) return ask(body);
  keep(body, key);
  if (token.key) await keepKey(key);
  $("code").value = "";
  await enter();
  $("who").focus();
}

// === The second step of a login ===

let challenge = null;
export const names = { totp: "a code from my app", sms: "a code sent to my phone", recovery_code: "a recovery code" };

function ask(body) {
  challenge = body.challenge;
  $("method").replaceChildren(...body.methods.map((value) => element("option", { value, text: names[value] ?? value })));
  $("method-field").hidden = body.methods.length < 2;
  $("send-sms").hidden = $("method").value !== "sms";
  tell($("second-notice"), null);
  card("second");
  $("code").focus();
  document.dispatchEvent(new CustomEvent("challenged", { detail: body }));
}

$("method").addEventListener("change", () => { $("send-sms").hidden = $("method").value !== "sms"; });

$("send-sms").addEventListener("click", (event) => busy(event.target, $("second-notice"), async () => {
  await send("POST", "/auth/login/sms", { json: { challenge }, bearer: null });
  tell($("second-notice"), "A code is on its way to your phone.");
  $("code").focus();
}));

$("second").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.submitter ?? $("second").querySelector("[type=submit]"), $("second-notice"), async () => {
    const json = { challenge, method: $("method").value, code: $("code").value };
    try {
      await logIn("/auth/login/second-factor", json);
    } catch (trouble) {
      if (trouble.code !== "invalid_challenge") throw trouble;
      leave(trouble.message, true);
    }
  });
});

$("back").addEventListener("click", () => leave(null));

// === Links in emails ===

$("forgot").addEventListener("click", (event) => busy(event.target, $("entry-notice"), async () => {
  const email = $("email").value;
  if (!email.trim()) {
    $("email").focus();
    return tell($("entry-notice"), "Please type your email address above first.", true);
  }
  await send("POST", "/auth/password/forgot", { json: { email }, bearer: null });
  tell($("entry-notice"), `If there is an account with this email address, a link to choose a new password is on its way to it.${folder}`);
}));

let link = null; // the token of the link that opened the page
let followed = 0; // how many links have been opened
const links = new Map(); // from the name in a link to the function that opens it

/** Registers what to show for links of this name: `/#NAME=TOKEN`. */
export function onLink(name, open) {
  links.set(name, open);
}

/** Shows what the link is for, and returns whether there was a link. Nothing happens before a button is
 * pressed, because scanners for harmful links open them too, and run scripts. */
function followLink() {
  // An email program may have added spaces to the link, or a full stop or a bracket at its end.
  const [, name, value] = location.hash.replaceAll(/%20|%C2%A0|\s/gi, "").match(/^#([a-z-]+)=([\w-]+)/) ?? [];
  const open = links.get(name);
  if (!open) return false;
  // Keeps the token out of the browser's history.
  history.replaceState(null, "", location.pathname);
  token = null;
  show();
  followed += 1;
  open(value);
  return true;
}

for (const [name, form, focus] of [
  ["reset-password", "reset", "#new-password"],
  ["confirm-email", "confirm", "#confirm [type=submit]"],
]) {
  onLink(name, (value) => {
    link = value;
    tell($(`${form}-notice`), null);
    card(form);
    document.querySelector(focus).focus();
  });
}

$("confirm").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("confirm").querySelector("[type=submit]"), $("confirm-notice"), async () => {
    const used = link;
    try {
      await send("POST", "/auth/email/verify", { json: { token: used }, bearer: null });
    } catch (trouble) {
      if (trouble.code !== "invalid_link") throw trouble;
      if (link === used) await resume("This link is not valid any more. If your email address is confirmed already, log in. Otherwise register again to get a new link.", true);
      return;
    }
    // Says nothing if another link has been opened meanwhile.
    if (link === used) await resume("Your email address is confirmed. You can log in now.");
  });
});

$("confirm-not").addEventListener("click", () => {
  link = null;
  resume("Thank you. Nothing has changed. You can delete the email.");
});

$("reset").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("reset").querySelector("[type=submit]"), $("reset-notice"), async () => {
    const json = { token: link, new_password: $("new-password").value };
    try {
      await send("POST", "/auth/password/reset", { json, bearer: null });
    } catch (trouble) {
      if (trouble.code !== "invalid_link") throw trouble;
      return leave(trouble.message, true);
    }
    link = null;
    $("new-password").value = "";
    leave("Your password is changed. Please log in with the new one.");
  });
});

$("refresh").addEventListener("click", (event) => busy(event.target, $("notice"), async () => {
  if (!(await refresh())) throw new Trouble(400, "invalid_grant");
  show();
  await showSessions();
  tell($("notice"), "You have a new access token. The refresh token was replaced, too.");
}));

for (const [id, path, ask, text] of [
  // The cookie is enough for this one, even if the access token has expired.
  ["logout", "/auth/logout", send, "You are logged out here."],
  ["logout-all", "/auth/logout-all", call, "You are logged out everywhere."],
]) {
  $(id).addEventListener("click", (event) => busy(event.target, $("notice"), async () => {
    await ask("POST", path);
    leave(text);
  }));
}

for (const [id, path] of [["call-me", "/me"], ["call-admin", "/admin"]]) {
  $(id).addEventListener("click", (event) => busy(event.currentTarget, $("notice"), async () => {
    try {
      const { status, body } = await call("GET", path);
      answer(`${status} – it worked.`, JSON.stringify(body, null, 2));
    } catch (trouble) {
      if (!(trouble instanceof Trouble) || token === null) throw trouble;
      answer(`${trouble.status || "No answer"} – ${trouble.message}`);
    }
    show();
  }));
}

function answer(status, text) {
  $("answer").replaceChildren(element("p", { text: status, kind: "status" }));
  if (text) $("answer").append(element("pre", { text }));
}

setInterval(tick, 500);

/** Continues the session that the cookie belongs to, and shows `text`. The login form appears only if the
 * service says that there is no session: an outage must not make anybody log in again. */
export async function resume(text = null, bad = false) {
  const before = followed;
  try {
    const isIn = await refresh();
    // Another link has been opened meanwhile, and is on the screen.
    if (followed !== before) return;
    if (!isIn) {
      show();
      return tell($("entry-notice"), text, bad);
    }
    await enter();
    tell($("notice"), text, bad);
  } catch (trouble) {
    if (followed !== before) return;
    if (trouble.code === "invalid_grant") return leave(text, bad);
    if (trouble.code === "lost_key") return text ? leave(text, bad) : leave(trouble.message, true);
    if (token !== null) return tell($("notice"), trouble.message, true);
    show();
    card("waiting");
    tell($("waiting-notice"), trouble.message, true);
    $("again").onclick = () => resume(text, bad);
  }
}

addEventListener("hashchange", followLink);

// Another script may handle what the page was opened for. It then prevents the default.
addEventListener("DOMContentLoaded", () => {
  const arrived = new Event("arrived", { cancelable: true });
  followLink() || !document.dispatchEvent(arrived) || resume();
});
