// Passkeys: wire their buttons up where the browser has them, and say in words what went wrong.
// The ceremony itself is the library's (mfa/js/webauthn.js), which is loaded before this file.

import { toast } from "./app.js";

function wire(button) {
  const { passkey, credential, passwordless } = button.dataset;
  const forms = window.allauth.webauthn.forms;
  if (passkey === "login") forms.loginForm({ ids: { login: button.id, credential } });
  else if (passkey === "add") forms.addForm({ ids: { add: button.id, passwordless, credential, data: "js_data" } });
  else forms.authenticateForm({ ids: { authenticate: button.id, credential, data: "js_data" } });
  button.hidden = false;
}

if (window.PublicKeyCredential) {
  for (const button of document.querySelectorAll("[data-passkey]")) wire(button);
  for (const words of document.querySelectorAll("[data-no-passkey]")) words.hidden = true;
}

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const name = event.detail.exception?.name;
  if (name === "InvalidStateError") toast("This device holds a passkey for ARUN already.", "danger");
  else if (name === "NotAllowedError") toast("No passkey was used: the device did not answer, or you said no.", "danger");
  else toast("The passkey did not work. Nothing was changed; try again, or take another way.", "danger");
});
