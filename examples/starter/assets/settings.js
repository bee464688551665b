// The settings: two-factor authentication, the profile picture, another password.

import { $, busy, call, element, names, onEntered, showSessions, tell } from "./app.js";

// === Two-factor authentication ===

let doing = null; // "totp", "sms" or "remove"

/** Shows one part of the card: the choices, a form, or the recovery codes. */
function part(id) {
  for (const one of ["factor-choices", "factor-form", "factor-confirm", "recovery"]) $(one).hidden = one !== id;
}

export async function showFactor() {
  const { body } = await call("GET", "/auth/second-factor");
  const on = body.methods.length > 0;
  const left = body.recovery_codes_left;
  $("factor-on").hidden = !on;
  $("factor-state").textContent = on
    ? `When you log in, you also need ${body.methods.filter((method) => method !== "recovery_code").map((method) => names[method].replace("my", "your")).join(" or ")}. You have ${left} recovery ${left === 1 ? "code" : "codes"} left.`
    : "With two-factor authentication, a stolen password alone is not enough to log in.";
  $("add-totp").hidden = body.methods.includes("totp");
  $("add-sms").hidden = body.methods.includes("sms");
  $("remove-factor").hidden = !on;
  $("remove-method").replaceChildren(...body.methods.map((value) => element("option", { value, text: names[value] ?? value })));
  part("factor-choices");
}

function ask(what) {
  doing = what;
  tell($("factor-notice"), null);
  $("factor-form").reset();
  $("phone-field").hidden = what !== "sms";
  $("remove-method-field").hidden = what !== "remove";
  $("remove-code-field").hidden = what !== "remove";
  offerSms();
  part("factor-form");
  $(what === "sms" ? "phone" : "factor-password").focus();
}

for (const [id, what] of [["add-totp", "totp"], ["add-sms", "sms"], ["remove-factor", "remove"]]) {
  $(id).addEventListener("click", () => ask(what));
}

const offerSms = () => { $("factor-sms").hidden = doing !== "remove" || $("remove-method").value !== "sms"; };
$("remove-method").addEventListener("change", offerSms);

$("factor-sms").addEventListener("click", (event) => busy(event.target, $("factor-notice"), async () => {
  await call("POST", "/auth/second-factor/sms/send");
  tell($("factor-notice"), "A code is on its way to your phone.");
  $("remove-code").focus();
}));

for (const id of ["factor-cancel", "confirm-cancel"]) {
  $(id).addEventListener("click", () => {
    tell($("factor-notice"), null);
    forget();
    part("factor-choices");
  });
}

$("factor-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("factor-form").querySelector("[type=submit]"), $("factor-notice"), async () => {
    const current_password = $("factor-password").value;
    if (doing === "remove") {
      const json = { current_password, method: $("remove-method").value, code: $("remove-code").value };
      await call("POST", "/auth/second-factor/remove", { json });
      forget();
      await showFactor();
      tell($("factor-notice"), "Two-factor authentication is off. The password alone is enough to log in.");
      return $("factor-title").focus();
    }
    const json = { current_password };
    if (doing === "sms") json.phone = $("phone").value;
    const { body } = await call("POST", `/auth/second-factor/${doing}`, { json });
    $("factor-form").reset();
    $("enrolment").hidden = doing !== "totp";
    if (doing === "totp") {
      draw(body.qr_code);
      $("totp-secret").textContent = body.secret.replaceAll(/(.{4})(?=.)/g, "$1 ");
    } else {
      tell($("factor-notice"), "A code is on its way to your phone.");
    }
    $("factor-confirm").reset();
    part("factor-confirm");
    $("factor-code").focus();
  });
});

/** Draws the QR code, always dark on light, because some cameras cannot read the reverse. */
function draw(rows) {
  const border = 4;
  const size = rows.length + 2 * border;
  const dark = rows.flatMap((row, y) => [...row].flatMap((module, x) => (module === "1" ? [`M${x + border} ${y + border}h1v1h-1z`] : [])));
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", dark.join(""));
  $("qr").setAttribute("viewBox", `0 0 ${size} ${size}`);
  $("qr").setAttribute("shape-rendering", "crispEdges");
  $("qr").replaceChildren(path);
}

$("factor-confirm").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("factor-confirm").querySelector("[type=submit]"), $("factor-notice"), async () => {
    const json = { code: $("factor-code").value };
    const { body } = await call("POST", `/auth/second-factor/${doing}/confirm`, { json });
    forget();
    await showCodes(body.recovery_codes);
  });
});

/** Shows new recovery codes, which the service returns only once. */
export async function showCodes(codes) {
  $("recovery-codes").replaceChildren(...codes.map((code) => element("li", { text: code })));
  $("recovery-download").href = URL.createObjectURL(new Blob([`${codes.join("\n")}\n`], { type: "text/plain" }));
  await showFactor();
  await showSessions();
  part("recovery");
  $("recovery-codes").focus();
}

$("recovery-done").addEventListener("click", () => {
  forget();
  part("factor-choices");
  $("factor-title").focus();
});

/** Removes secrets from the page as soon as they are not needed any more. */
function forget() {
  $("factor-form").reset();
  $("factor-confirm").reset();
  $("qr").replaceChildren();
  $("totp-secret").textContent = "";
  $("recovery-codes").replaceChildren();
  URL.revokeObjectURL($("recovery-download").href);
}

// === Profile picture ===

async function showPicture() {
  URL.revokeObjectURL($("picture").src);
  let picture = null;
  try {
    picture = (await call("GET", "/me/avatar")).body;
  } catch (trouble) {
    if (trouble.status !== 404) throw trouble;
  }
  $("picture").hidden = $("picture-remove").hidden = picture === null;
  $("no-picture").hidden = picture !== null;
  $("no-picture").textContent = $("who").textContent.slice(0, 1).toUpperCase();
  if (picture) $("picture").src = URL.createObjectURL(picture);
}

$("picture-file").addEventListener("change", () => busy($("picture-file"), $("picture-notice"), async () => {
  const [file] = $("picture-file").files;
  $("picture-file").value = "";
  if (!file) return;
  await call("PUT", "/me/avatar", { file });
  await showPicture();
}));

$("picture-remove").addEventListener("click", (event) => busy(event.target, $("picture-notice"), async () => {
  await call("DELETE", "/me/avatar");
  await showPicture();
}));

// === Password ===

$("change").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("change").querySelector("[type=submit]"), $("change-notice"), async () => {
    const json = { current_password: $("old-password").value, new_password: $("changed-password").value };
    await call("POST", "/auth/password/change", { json });
    $("change").reset();
    await showSessions();
    tell($("change-notice"), "Your password is changed, and you are logged out everywhere else.");
  });
});

// === Login and logout ===

onEntered(() => busy($("add-totp"), $("factor-notice"), showFactor));
onEntered(() => busy($("picture-file"), $("picture-notice"), showPicture));

document.addEventListener("left", () => {
  forget();
  // The next person to log in may be somebody else.
  part("factor-choices");
  $("factor-state").textContent = $("no-picture").textContent = "";
  for (const id of ["factor-on", "add-totp", "add-sms", "remove-factor", "picture", "picture-remove"]) $(id).hidden = true;
  $("change").reset();
  for (const id of ["factor-notice", "picture-notice", "change-notice"]) tell($(id), null);
  $("picture").removeAttribute("src");
});
