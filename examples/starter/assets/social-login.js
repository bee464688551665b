// Login at a provider: the way there and back, the list on the account page, and a first password for
// accounts without one.

import { $, Trouble, busy, call, card, element, inside, logIn, onEntered, resume, send, showSessions, tell } from "./app.js";

let providers = []; // { id, name }

const nameOf = (id) => providers.find((provider) => provider.id === id)?.name ?? "the provider";

/** Puts the error code of a failed login into words. Returns `undefined` for an unknown code. */
function words(code, id) {
  const name = nameOf(id);
  const known = {
    login_denied: `You have not logged in at ${name}. Please try again, or log in another way.`,
    login_over: "That login was used already, took too long, or was started in another browser. Please try again.",
    wrong_provider: "That answer did not come from the provider where you wanted to log in. Please try again.",
    login_not_confirmed: `${name} did not confirm that login. Please try again.`,
    address_not_verified: `${name} does not say that your email address is verified. Verify it there. Or register here with a password, and then link the login on your account page.`,
    other_login: `Your account is linked to another login at ${name}. Use that one, or unlink it on your account page first.`,
    login_taken: `That login at ${name} is linked to another account. Unlink it from that account first.`,
    login_unlinked: `That login at ${name} was unlinked from its account. Log in another way, and then link it again on your account page.`,
    email_not_confirmed: "Please confirm your email address first: open the link in our email.",
    account_unavailable: "That account cannot be used. If it was changed just now, please try again.",
  };
  return known[code];
}

/** Lists the providers. If the list cannot be read, the page works as if there were none. */
const listed = (async () => {
  try {
    providers = (await send("GET", "/auth/providers", { bearer: null })).body.providers;
  } catch { /* the next visit tries again */ }
  const links = providers.map(({ id, name }) => element("a", { kind: "button", text: `Continue with ${name}`, href: `/auth/login/${id}` }));
  $("provider-links").replaceChildren(...links);
  $("providers").hidden = providers.length === 0;
})();

// === Coming back ===

document.addEventListener("arrived", (event) => {
  const [, what, code, id] = location.hash.match(/^#(logged-in|linked|login-failed)=(?:([a-z_]+)\.)?([a-z0-9]+)$/) ?? [];
  if (!what) return;
  event.preventDefault();
  // Keeps the result out of the browser's history.
  history.replaceState(null, "", location.pathname);
  listed.then(() => {
    if (what === "logged-in") return finish(id);
    if (what === "linked") return resume(`Your login at ${nameOf(id)} is linked to your account.`);
    const text = words(code, id);
    return text ? resume(text, true) : away(id, code);
  });
});

/** Finishes the login. The login form appears only if the service refuses it, and not because of an outage. */
async function finish(id) {
  try {
    await logIn(`/auth/login/${id}/finish`);
  } catch (trouble) {
    const text = words(trouble.code, id);
    if (text) return resume(text, true);
    wait(trouble.message, () => finish(id));
  }
}

/** Says that the provider or the service is unavailable. Whoever is logged in here stays logged in. */
async function away(id, code) {
  const text = code === "too_many_requests"
    ? "Too many logins were started from here. Please wait a few minutes."
    : `${nameOf(id)} cannot be reached right now. Please try again in a moment.`;
  await resume(text, true);
  if (!inside()) wait(text, () => location.assign(`/auth/login/${id}`));
}

function wait(text, again) {
  card("provider-away");
  tell($("provider-away-notice"), text, true);
  $("provider-again").onclick = again;
}

$("provider-other").addEventListener("click", () => resume());

// === The account page ===

let doing = null; // what to do once the password has been typed
let hasPassword = true;

async function showLogins() {
  await listed;
  if (!providers.length) return;
  $("logins-card").hidden = false;
  const { body } = await call("GET", "/auth/logins");
  hasPassword = body.has_password;
  document.body.classList.toggle("no-password", !hasPassword);
  $("change").hidden = !hasPassword;
  $("set-password").hidden = hasPassword;
  const rows = providers.map(({ id, name }) => {
    const login = body.logins.find(({ provider }) => provider === id);
    const about = element("div", {}, element("strong", { text: name }));
    if (login) about.append(element("span", { text: "Linked", kind: "here" }));
    const day = (seconds) => new Date(seconds * 1000).toLocaleDateString();
    const used = login?.used_at ? `, last used ${day(login.used_at)}` : "";
    about.append(element("span", { kind: "hint", text: login ? `Since ${day(login.linked_at)}${used}` : "Not linked" }));
    const button = element("button", {
      text: login ? "Unlink" : "Link", type: "button", kind: login ? "danger" : "",
      ariaLabel: `${login ? "Unlink" : "Link"} the login at ${name}`,
    });
    button.addEventListener("click", () => ask(login ? unlink : link, id, button));
    return element("li", {}, about, button);
  });
  $("logins").replaceChildren(...rows);
}

/** Asks for the password first, if the account has one. */
function ask(what, id, button) {
  doing = () => what(id);
  tell($("logins-notice"), null);
  if (!hasPassword) return busy(button, $("logins-notice"), proving);
  $("prove").reset();
  $("prove").hidden = false;
  $("prove-password").focus();
}

async function proving() {
  try {
    await doing();
  } catch (trouble) {
    if (!(trouble instanceof Trouble) || trouble.code !== "insufficient_user_authentication") throw trouble;
    freshly($("logins-notice"));
  }
}

async function link(id) {
  const { body } = await call("POST", `/auth/logins/${id}`, { json: { current_password: $("prove-password").value } });
  location.assign(body.location);
}

async function unlink(id) {
  await call("POST", `/auth/logins/${id}/remove`, { json: { current_password: $("prove-password").value } });
  $("prove").hidden = true;
  await showLogins();
  await showSessions();
  tell($("logins-notice"), `Your login at ${nameOf(id)} is unlinked, and you are logged out everywhere else.`);
  $("logins-title").focus();
}

/** Asks for a new login at a provider, which proves the identity of a user without a password. */
function freshly(place) {
  tell(place, "To confirm that it is you, please log in again first: ", true);
  const links = [...$("logins").children].flatMap((row, number) => (row.querySelector(".here") ? [providers[number]] : []));
  for (const { id, name } of links) {
    place.append(element("a", { text: `log in at ${name}`, href: `/auth/login/${id}?fresh=true` }), " ");
  }
}

$("prove").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("prove").querySelector("[type=submit]"), $("logins-notice"), proving);
});

$("prove-cancel").addEventListener("click", () => {
  $("prove").hidden = true;
  $("prove").reset();
  tell($("logins-notice"), null);
});

$("set-password").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("set-password").querySelector("[type=submit]"), $("set-notice"), async () => {
    try {
      await call("POST", "/auth/password/set", { json: { new_password: $("first-password").value } });
    } catch (trouble) {
      if (!(trouble instanceof Trouble) || trouble.code !== "insufficient_user_authentication") throw trouble;
      return freshly($("set-notice"));
    }
    $("set-password").reset();
    await showLogins();
    await showSessions();
    tell($("change-notice"), "You have a password now, and you are logged out everywhere else.");
    $("old-password").focus();
  });
});

onEntered(() => busy($("prove").querySelector("[type=submit]"), $("logins-notice"), showLogins));

document.addEventListener("left", () => {
  $("prove").hidden = true;
  $("prove").reset();
  $("set-password").reset();
  $("logins").replaceChildren();
  $("logins-card").hidden = true;
  document.body.classList.remove("no-password");
});
