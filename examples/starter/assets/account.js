// The account itself: its address, a copy of everything that is stored, and its end.

import { $, busy, call, card, element, leave, onLink, resume, send, tell } from "./app.js";

// === The address ===

function addressPart(form) {
  $("address-form").hidden = !form;
  $("address-choices").hidden = form;
}

async function showAddress() {
  const { body: me } = await call("GET", "/me");
  $("address").textContent = me.email;
  $("address-unconfirmed").hidden = me.email_verified;
  $("who").textContent = me.email;
  const { body } = await call("GET", "/auth/email/change");
  const change = body.pending;
  $("address-pending").hidden = change === null;
  $("address-stop").hidden = change === null;
  $("address-change").textContent = change ? "Choose another one" : "Change it";
  $("address-change").hidden = !me.email_verified;
  if (!change) return $("address-pending").replaceChildren();
  const missing = [[change.old_confirmed, me.email], [change.new_confirmed, change.new_email]].filter(([done]) => !done).map(([, email]) => email);
  $("address-pending").replaceChildren(
    "It is to become ", element("strong", { text: change.new_email }),
    `. Open the link in our email to ${missing.join(" and to ")} until ${new Date(change.expires_at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}.`);
}

$("address-change").addEventListener("click", () => {
  tell($("address-notice"), null);
  $("address-form").reset();
  addressPart(true);
  $("new-email").focus();
});

$("address-cancel").addEventListener("click", () => {
  tell($("address-notice"), null);
  $("address-form").reset();
  addressPart(false);
  $("address-change").focus();
});

$("address-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("address-form").querySelector("[type=submit]"), $("address-notice"), async () => {
    const json = { new_email: $("new-email").value, current_password: $("address-password").value };
    await call("POST", "/auth/email/change", { json });
    $("address-form").reset();
    addressPart(false);
    await showAddress();
    tell($("address-notice"), "We have sent an email to both addresses. The address changes when you have confirmed it in both.");
    $("address-title").focus();
  });
});

$("address-stop").addEventListener("click", (event) => busy(event.target, $("address-notice"), async () => {
  await call("DELETE", "/auth/email/change");
  await showAddress();
  tell($("address-notice"), "The address stays as it is.");
  $("address-title").focus();
}));

// === Links in the emails about it ===

let link = null; // the token of the link by which the page was opened

for (const [name, title, text, yes] of [
  ["new-email", "Is this your address?", "Somebody wants to use the address to which the email was sent for an account. Confirm it only if that was you.", "Yes, use it for my account"],
  ["old-email", "Is your address to change?", "Somebody wants to change the address of the account to which the email was sent. If that was not you, stop it, and choose a new password: whoever asked for it knows yours.", "Yes, change my address"],
]) {
  onLink(name, (token) => {
    link = token;
    $("change-email-title").textContent = title;
    $("change-email-text").textContent = text;
    $("change-email-yes").textContent = yes;
    tell($("change-email-notice"), null);
    card("change-email");
    $("change-email-title").focus();
  });
}

/** What a link answers, in words; a link that is not good any more is a verdict too. */
function follow(button, path, words) {
  busy(button, $("change-email-notice"), async () => {
    const used = link;
    let text;
    let bad = false;
    try {
      text = words((await send("POST", path, { json: { token: used }, bearer: null })).body);
    } catch (trouble) {
      if (trouble.code !== "invalid_link") throw trouble;
      text = "This link is not valid any more: it was used, has expired, or the change was stopped.";
      bad = true;
    }
    // Unless another link was opened meanwhile.
    if (link === used) await resume(text, bad);
  });
}

$("change-email").addEventListener("submit", (event) => {
  event.preventDefault();
  follow($("change-email-yes"), "/auth/email/change/confirm", (body) => body.changed
    ? "Your account has its new address. Log in with it from now on."
    : "Thank you. The address changes when the link in our email to the other address is confirmed too.");
});

$("change-email-no").addEventListener("click", (event) => follow(event.target, "/auth/email/change/stop",
  () => "The address stays as it is. If somebody else asked for the change, choose a new password."));

// === A copy of everything ===

$("download").addEventListener("click", (event) => busy(event.target, $("download-notice"), async () => {
  const { body } = await call("GET", "/auth/account/download");
  const file = new Blob([JSON.stringify(body, null, 2)], { type: "application/json" });
  const save = element("a", { href: URL.createObjectURL(file), download: "account.json" });
  save.click();
  setTimeout(() => URL.revokeObjectURL(save.href), 60_000);
  tell($("download-notice"), "The file is saved. Keep it where nobody else reads it.");
}));

// === The end ===

function deletionPart(form) {
  $("delete-form").hidden = !form;
  $("delete-choices").hidden = form;
}

$("delete-ask").addEventListener("click", () => {
  tell($("delete-notice"), null);
  $("delete-form").reset();
  deletionPart(true);
  $("delete-email").focus();
});

$("delete-cancel").addEventListener("click", () => {
  tell($("delete-notice"), null);
  $("delete-form").reset();
  deletionPart(false);
  $("delete-ask").focus();
});

$("delete-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("delete-form").querySelector("[type=submit]"), $("delete-notice"), async () => {
    const json = { email: $("delete-email").value, current_password: $("delete-password").value };
    await call("POST", "/auth/account/delete", { json });
    leave("Your account is deleted. Thank you for having been here.");
  });
});

// === Coming and going ===

document.addEventListener("entered", () => busy($("address-change"), $("address-notice"), showAddress));

document.addEventListener("left", () => {
  for (const id of ["address-form", "delete-form"]) $(id).reset();
  addressPart(false);
  deletionPart(false);
  $("address").textContent = "";
  $("address-pending").replaceChildren();
  $("address-pending").hidden = $("address-stop").hidden = true;
  for (const id of ["address-notice", "download-notice", "delete-notice"]) tell($(id), null);
});
