// The account: change the email address, download all data, delete the account.

import { $, busy, call, card, element, leave, onEntered, onLink, resume, send, tell } from "./app.js";

// === The email address ===

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
  $("address-change").textContent = change ? "Choose another address" : "Change email address";
  $("address-change").hidden = !me.email_verified;
  if (!change) return $("address-pending").replaceChildren();
  const missing = [[change.old_confirmed, me.email], [change.new_confirmed, change.new_email]].filter(([done]) => !done).map(([, email]) => email);
  $("address-pending").replaceChildren(
    "Your new email address: ", element("strong", { text: change.new_email }),
    `. To confirm the change, open the link in our email to ${missing.join(" and in the one to ")} by ${new Date(change.expires_at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}.`);
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
    tell($("address-notice"), "We have sent an email to both addresses. Your address changes once you have opened the link in each of them.");
    $("address-title").focus();
  });
});

$("address-stop").addEventListener("click", (event) => busy(event.target, $("address-notice"), async () => {
  await call("DELETE", "/auth/email/change");
  await showAddress();
  tell($("address-notice"), "Your email address stays as it is.");
  $("address-title").focus();
}));

// === Links in the emails about a change ===

let link = null; // the token of the link that opened the page

for (const [name, title, text, yes] of [
  ["new-email", "Is this your email address?", "Somebody wants to use the email address that this link was sent to for their account. Confirm it only if that was you.", "Yes, use it for my account"],
  ["old-email", "Change your email address?", "Somebody has asked to change the email address of your account. If that was not you, stop the change and choose a new password: whoever asked for it was able to log in to your account.", "Yes, change my email address"],
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

/** Uses the link, and says what has happened, even if the link is not valid any more. */
function follow(button, path, words) {
  busy(button, $("change-email-notice"), async () => {
    const used = link;
    let text;
    let bad = false;
    try {
      text = words((await send("POST", path, { json: { token: used }, bearer: null })).body);
    } catch (trouble) {
      if (trouble.code !== "invalid_link") throw trouble;
      text = "This link is not valid any more: it was used already, it has expired, or the change was stopped.";
      bad = true;
    }
    // Says nothing if another link has been opened meanwhile.
    if (link === used) await resume(text, bad);
  });
}

$("change-email").addEventListener("submit", (event) => {
  event.preventDefault();
  follow($("change-email-yes"), "/auth/email/change/confirm", (body) => body.changed
    ? "Your account has its new email address. Log in with it from now on."
    : "Thank you. Your address changes once you have also opened the link in our email to the other address.");
});

$("change-email-no").addEventListener("click", (event) => follow(event.target, "/auth/email/change/stop",
  () => "The email address stays as it is. If somebody else asked for the change, choose a new password."));

// === Download ===

$("download").addEventListener("click", (event) => busy(event.target, $("download-notice"), async () => {
  const { body } = await call("GET", "/auth/account/download");
  const file = new Blob([JSON.stringify(body, null, 2)], { type: "application/json" });
  const save = element("a", { href: URL.createObjectURL(file), download: "account.json" });
  save.click();
  setTimeout(() => URL.revokeObjectURL(save.href), 60_000);
  tell($("download-notice"), "The file is saved. Keep it where nobody else can read it.");
}));

// === Deletion ===

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
    leave("Your account is deleted. Thank you for using it.");
  });
});

// === Login and logout ===

onEntered(() => busy($("address-change"), $("address-notice"), showAddress));

document.addEventListener("left", () => {
  for (const id of ["address-form", "delete-form"]) $(id).reset();
  addressPart(false);
  deletionPart(false);
  $("address").textContent = "";
  $("address-pending").replaceChildren();
  $("address-pending").hidden = $("address-stop").hidden = true;
  for (const id of ["address-notice", "download-notice", "delete-notice"]) tell($(id), null);
});
