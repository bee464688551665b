// API keys: create them for programs, and revoke them.

import { $, ago, busy, call, element, onEntered, tell } from "./app.js";

/** Shows one part of the card: the list, the form, or a new key. */
function part(id) {
  for (const one of ["keys-list", "keys-form", "keys-new"]) $(one).hidden = one !== id;
}

async function showKeys() {
  const { body } = await call("GET", "/auth/api-keys");
  $("keys").replaceChildren(...body.keys.map(row));
  const isFull = body.keys.filter((key) => !isOver(key)).length >= body.limit;
  $("keys-add").hidden = isFull;
  tell($("keys-hint"), isFull ? "You cannot have more keys. Revoke one that you no longer need." : body.keys.length ? null : "You have no API keys yet.");
  const scopes = body.scopes.map((scope) => element("label", { kind: "check" },
    element("input", { type: "checkbox", name: "scope", value: scope }), element("code", { text: scope })));
  $("keys-scopes-list").replaceChildren(...scopes);
  $("keys-scopes").hidden = scopes.length === 0;
}

const isOver = (key) => key.expires_at !== null && key.expires_at * 1000 <= Date.now();
const day = (seconds) => new Date(seconds * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });

function row(key) {
  const about = element("div", {}, element("strong", { text: key.label }));
  if (isOver(key)) about.append(element("span", { text: "Expired", kind: "here" }));
  const used = key.last_used_at === null ? "never used" : `last used ${ago(key.last_used_at)}`;
  const until = key.expires_at === null ? "" : `, ${isOver(key) ? "expired" : "valid until"} ${day(key.expires_at)}`;
  about.append(element("span", { text: `Created ${ago(key.created_at)}, ${used}${until}`, kind: "hint" }));
  if (key.scopes.length) about.append(element("span", { text: `Scopes: ${key.scopes.join(" ")}`, kind: "hint" }));
  const revoke = element("button", { text: "Revoke", type: "button", ariaLabel: `Revoke the key ${key.label}` });
  revoke.addEventListener("click", () => busy(revoke, $("keys-notice"), async () => {
    await call("DELETE", `/auth/api-keys/${encodeURIComponent(key.id)}`);
    await showKeys();
    tell($("keys-notice"), "That key is revoked. Programs can no longer use it.");
    $("keys-title").focus();
  }));
  return element("li", {}, about, revoke);
}

$("keys-add").addEventListener("click", () => {
  tell($("keys-notice"), null);
  $("keys-form").reset();
  part("keys-form");
  $("keys-label").focus();
});

$("keys-cancel").addEventListener("click", () => {
  $("keys-form").reset();
  tell($("keys-notice"), null);
  part("keys-list");
  $("keys-add").focus();
});

$("keys-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("keys-form").querySelector("[type=submit]"), $("keys-notice"), async () => {
    const chosen = new FormData($("keys-form"));
    const json = {
      label: $("keys-label").value,
      scopes: chosen.getAll("scope"),
      expires_in_days: Number($("keys-days").value),
      current_password: $("keys-password").value,
    };
    const { body } = await call("POST", "/auth/api-keys", { json });
    $("keys-form").reset();
    $("keys-text").textContent = body.key;
    part("keys-new");
    $("keys-text").focus();
    await showKeys();
  });
});

$("keys-copy").addEventListener("click", (event) => busy(event.target, $("keys-notice"), async () => {
  try {
    await navigator.clipboard.writeText($("keys-text").textContent);
    tell($("keys-notice"), "Copied.");
  } catch {
    getSelection().selectAllChildren($("keys-text"));
    tell($("keys-notice"), "Your browser does not allow copying. The key is selected: please copy it yourself.", true);
  }
}));

$("keys-done").addEventListener("click", () => {
  forget();
  $("keys-title").focus();
});

/** Removes the key from the page as soon as it is not needed any more. */
function forget() {
  $("keys-text").textContent = "";
  $("keys-form").reset();
  tell($("keys-notice"), null);
  part("keys-list");
}

onEntered(() => busy($("keys-add"), $("keys-notice"), showKeys));

document.addEventListener("left", () => {
  forget();
  $("keys").replaceChildren();
  $("keys-scopes-list").replaceChildren();
});
