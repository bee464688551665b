// Logins at providers: the way there and back, the list on the account page, and a password for who has none.

import { $, Trouble, busy, call, card, element, inside, logIn, resume, send, showSessions, tell } from "./app.js";

let providers = []; // { id, name }

const nameOf = (id) => providers.find((provider) => provider.id === id)?.name ?? "the provider";

/** What the code in an address says, in words for a person. */
function words(code, id) {
  const name = nameOf(id);
  const known = {
    login_denied: `You have not logged in at ${name}.`,
    login_over: "That login was used already, took too long, or was begun in another browser. Please begin again.",
    wrong_provider: "That answer was not from the provider that we have asked. Please begin again.",
    login_not_confirmed: `${name} does not confirm that login. Please begin again.`,
    address_not_verified: `${name} does not say that your e-mail address is verified. Verify it there, or register here with a password and link the login on your account page.`,
    other_login: `Your account is linked to another login at ${name}. Log in with that one, or unlink it on your account page first.`,
    login_taken: `That login at ${name} is linked to another account. Unlink it there first.`,
    login_unlinked: `That login at ${name} was unlinked from its account. Log in in another way, and link it again on your account page.`,
    email_not_confirmed: "Please confirm your address first: the link is in our email.",
    account_unavailable: "That account cannot be used. If it was changed just now, please begin again.",
  };
  return known[code];
}

/** The providers that there are. Without an answer the page works as if there were none. */
const listed = (async () => {
  try {
    providers = (await send("GET", "/auth/providers", { bearer: null })).body.providers;
  } catch { /* the next visit will do */ }
  const links = providers.map(({ id, name }) => element("a", { kind: "button", text: `Continue with ${name}`, href: `/auth/login/${id}` }));
  $("provider-links").replaceChildren(...links);
  $("providers").hidden = providers.length === 0;
})();

// === Coming back ===

document.addEventListener("arrived", (event) => {
  const [, what, code, id] = location.hash.match(/^#(logged-in|linked|login-failed)=(?:([a-z_]+)\.)?([a-z0-9]+)$/) ?? [];
  if (!what) return;
  event.preventDefault();
  // So that it is not in the history.
  history.replaceState(null, "", location.pathname);
  listed.then(() => {
    if (what === "logged-in") return finish(id);
    if (what === "linked") return resume(`Your login at ${nameOf(id)} is linked to your account.`);
    const text = words(code, id);
    return text ? resume(text, true) : away(id, code);
  });
});

/** Gets the session. The form to log in is shown only if the service says no. */
async function finish(id) {
  try {
    await logIn(`/auth/login/${id}/finish`);
  } catch (trouble) {
    const text = words(trouble.code, id);
    if (text) return resume(text, true);
    wait(trouble.message, () => finish(id));
  }
}

/** The provider, or the service, was not available. That says nothing about who is logged in here. */
async function away(id, code) {
  const text = code === "too_many_requests"
    ? "Too many logins were begun from here. Please wait a few minutes."
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

let doing = null; // what is done once the person has proved who it is
let hasPassword = true;

async function showLogins() {
  await listed;
  if (!providers.length) return;
  const { body } = await call("GET", "/auth/logins");
  hasPassword = body.has_password;
  $("logins-card").hidden = false;
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

/** Asks for the password first, where there is one. */
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
  tell($("logins-notice"), `Your login at ${nameOf(id)} is unlinked, and your other sessions are over.`);
  $("logins-title").focus();
}

/** Whoever has no password proves who it is by a login that is new. */
function freshly(place) {
  tell(place, "Please log in once more first, to prove that it is you: ", true);
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
    tell($("change-notice"), "You have a password now, and your other sessions are over.");
    $("old-password").focus();
  });
});

document.addEventListener("entered", () => showLogins().catch((trouble) => tell($("logins-notice"), trouble.message, true)));

document.addEventListener("left", () => {
  $("prove").hidden = true;
  $("prove").reset();
  $("set-password").reset();
  $("logins").replaceChildren();
  $("logins-card").hidden = true;
});
