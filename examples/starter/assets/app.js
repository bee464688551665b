// The page at `/`. The access token is in a variable of this file and nowhere else; the refresh token
// is in a cookie that is not for scripts.

const $ = (id) => document.getElementById(id);
let token = null; // { text, claims, expires, lifetime }: times in milliseconds of this machine

// === Talking to the service ===

/** What went wrong, in words for a person. */
class Trouble extends Error {
  constructor(status, code, detail, retryAfter) {
    super(words(status, code, detail, retryAfter));
    this.status = status;
    this.code = code;
  }
}

function words(status, code, detail, retryAfter) {
  const known = {
    invalid_credentials: "That e-mail address and password do not belong together.",
    email_taken: "There is an account with this address already. Log in instead?",
    invalid_email: "That does not look like an e-mail address.",
    invalid_grant: "Your session is over. Please log in again.",
    invalid_token: "Your login is no longer valid. Please log in again.",
    insufficient_scope: "You are logged in, but this needs the scope “admin”, which you do not have.",
    cross_origin: "The service did not recognise this page as its own. Does PUBLIC_URL match the address above?",
  };
  if (known[code]) return known[code];
  if (status === 429) return `Too many attempts. Please wait ${retryAfter || "a few"} seconds.`;
  if (status === 503) return "The service is busy or being repaired. Please try again in a moment.";
  return detail || "Something went wrong on our side. Please try again.";
}

/** A request; the answer as `{ status, body }`, or a `Trouble`. */
async function send(method, path, { json, bearer = token?.text } = {}) {
  const headers = { "Token-Transport": "cookie" };
  if (json) headers["Content-Type"] = "application/json";
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  // Browsers send `Origin` by themselves with everything but GET; that needs no cookie.
  if (method === "GET") delete headers["Token-Transport"];
  let response;
  try {
    response = await fetch(path, { method, headers, body: json && JSON.stringify(json), credentials: "same-origin" });
  } catch {
    throw new Trouble(0, "offline", "The service cannot be reached. Is it running, and are you online?");
  }
  const text = await response.text();
  let body = null;
  try { body = text ? JSON.parse(text) : null; } catch { /* words() has some for this */ }
  if (!response.ok) {
    throw new Trouble(response.status, body?.error, body?.detail, response.headers.get("Retry-After"));
  }
  return { status: response.status, body };
}

/** The same with a token that is good: an old one is refreshed first, once. */
async function call(method, path) {
  if (token && token.expires - Date.now() < 5000) await refresh();
  try {
    return await send(method, path);
  } catch (trouble) {
    if (trouble.status !== 401 || !token) throw trouble;
    if (!(await refresh())) throw trouble;
    return send(method, path);
  }
}

function keep(pair) {
  const part = pair.access_token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
  const lifetime = pair.expires_in * 1000;
  const claims = JSON.parse(new TextDecoder().decode(bytes));
  token = { text: pair.access_token, claims, lifetime, expires: Date.now() + lifetime };
}

/** One refresh at a time. Whether there is a token afterwards. */
let refreshing = null;
function refresh() {
  refreshing ??= (async () => {
    try {
      const { status, body } = await send("POST", "/auth/refresh", { bearer: null });
      if (status === 204) token = null;
      else keep(body);
    } catch (trouble) {
      if (trouble.status >= 400 && trouble.status < 500) token = null;
      throw trouble;
    } finally {
      refreshing = null;
    }
    return token !== null;
  })();
  return refreshing;
}

// === Showing ===

/** An element; text is text, and never markup. */
function element(name, { text, kind, ...rest } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  Object.assign(made, rest);
  made.append(...children);
  return made;
}

function tell(place, text, bad = false) {
  place.hidden = !text;
  place.textContent = text ?? "";
  place.classList.toggle("bad", bad);
}

function show() {
  const inside = token !== null;
  $("welcome").hidden = inside;
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

function claim(name, value) {
  if (["exp", "iat", "nbf", "auth_time"].includes(name)) return new Date(value * 1000).toLocaleString();
  return typeof value === "string" ? value : JSON.stringify(value);
}

function tick() {
  if (!token) return;
  const left = Math.max(0, token.expires - Date.now());
  const seconds = Math.ceil(left / 1000);
  $("left").textContent = left ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "Expired";
  $("left-words").textContent = left ? "minutes left" : "– the next call refreshes it";
  $("bar").value = left / token.lifetime;
}

function ago(seconds) {
  const passed = Math.round(Date.now() / 1000 - seconds);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (passed < 60) return "just now";
  if (passed < 3600) return words.format(-Math.round(passed / 60), "minute");
  if (passed < 86400) return words.format(-Math.round(passed / 3600), "hour");
  return words.format(-Math.round(passed / 86400), "day");
}

/** A browser and a system, out of a `User-Agent`. */
function device(label) {
  if (!label) return "Unknown device";
  const find = (names) => names.find(([pattern]) => pattern.test(label))?.[1];
  const browser = find([[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"], [/^curl/, "curl"]]);
  const system = find([[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS/, "macOS"], [/Linux|X11/, "Linux"]]);
  if (!browser) return label;
  return system ? `${browser} on ${system}` : browser;
}

async function showSessions() {
  const { body } = await call("GET", "/auth/sessions");
  const rows = body.sessions.map((session) => {
    const name = element("strong", { text: device(session.label), title: session.label ?? "" });
    const about = element("div", {}, name);
    if (session.current) about.append(element("span", { text: "This one", kind: "here" }));
    about.append(element("span", { text: `Logged in ${ago(session.created_at)}, last used ${ago(session.last_used_at)}`, kind: "hint" }));
    const row = element("li", {}, about);
    if (!session.current) {
      const end = element("button", { text: "End", type: "button", ariaLabel: `End the session ${device(session.label)}` });
      end.addEventListener("click", () => busy(end, $("notice"), async () => {
        await call("DELETE", `/auth/sessions/${encodeURIComponent(session.id)}`);
        await showSessions();
        tell($("notice"), "That session is over.");
        $("sessions-title").focus();
      }));
      row.append(end);
    }
    return row;
  });
  $("sessions").replaceChildren(...rows);
}

// === Doing ===

/** Runs something for a button, which waits meanwhile; what goes wrong is told in `place`. */
async function busy(button, place, work) {
  button.disabled = true;
  tell(place, null);
  try {
    await work();
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) console.error(trouble);
    const text = trouble instanceof Trouble ? trouble.message : words(500);
    if (token === null && place !== $("entry-notice")) leave(text, true);
    else tell(place, text, true);
  } finally {
    button.disabled = false;
  }
}

async function enter() {
  show();
  tell($("notice"), null);
  await showSessions();
}

function leave(text, bad = false) {
  token = null;
  $("password").value = "";
  $("answer").replaceChildren();
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
    tell($("entry-notice"), null);
  });
}

$("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(submit, $("entry-notice"), async () => {
    const json = { email: $("email").value, password: $("password").value };
    if (mode() === "register") await send("POST", "/auth/register", { json, bearer: null });
    keep((await send("POST", "/auth/login", { json, bearer: null })).body);
    $("password").value = "";
    await enter();
    $("who").focus();
  });
});

$("refresh").addEventListener("click", (event) => busy(event.target, $("notice"), async () => {
  if (!(await refresh())) throw new Trouble(400, "invalid_grant");
  show();
  await showSessions();
  tell($("notice"), "A fresh token, and the old refresh token is used up.");
}));

for (const [id, path, text] of [
  ["logout", "/auth/logout", "You are logged out here."],
  ["logout-all", "/auth/logout-all", "You are logged out everywhere."],
]) {
  $(id).addEventListener("click", (event) => busy(event.target, $("notice"), async () => {
    await call("POST", path);
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
refresh().then(
  (inside) => (inside ? enter() : show()),
  (trouble) => leave(trouble.code === "invalid_grant" ? null : trouble.message, true),
).catch((trouble) => tell($("notice"), trouble.message, true));
