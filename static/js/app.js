// What every page does in the browser: theme, ages that go on counting, sheets, keys, forms that send once.

import { listenToKeys } from "./keys.js";
import { duration } from "./words.js";

const root = document.documentElement;

// --- business time: the server's clock, which an installation may shift ---------------------------------------------

const pageNow = Date.parse(document.querySelector('meta[name="arun-now"]')?.content ?? "") || Date.now();
const startedAt = performance.now();

export function businessNow() {
  return pageNow + (performance.now() - startedAt);
}

function countAges() {
  const now = businessNow();
  for (const element of document.querySelectorAll("time[data-age]")) {
    const seconds = Math.max(0, Math.floor((now - Date.parse(element.dateTime)) / 1000));
    const text = seconds < 2 ? "now" : `${duration(seconds)} ago`;
    if (element.textContent !== text) element.textContent = text;
    const limit = Number(element.dataset.staleAfter);
    element.toggleAttribute("data-stale", limit > 0 && seconds > limit);
  }
  for (const element of document.querySelectorAll("time[data-until]")) {
    const seconds = Math.ceil((Date.parse(element.dateTime) - now) / 1000);
    const text = seconds <= 0 ? "due now" : `in ${duration(seconds)}`;
    if (element.textContent !== text) element.textContent = text;
  }
}

setInterval(countAges, 1000);

// On a phone the menu scrolls sideways: the page one is on must not stand outside it.
document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// --- theme ----------------------------------------------------------------------------------------------------------

const themes = document.querySelector("[data-themes]");

function showTheme() {
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String((root.dataset.theme ?? "") === button.dataset.themeChoice));
  }
}

function chooseTheme(name) {
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `theme=${name}; Path=/; SameSite=Lax; Max-Age=${name ? 31536000 : 0}${secure}`;
  showTheme();
  document.dispatchEvent(new CustomEvent("arun:theme"));
}

if (themes) {
  themes.hidden = false;
  showTheme();
}

// --- toasts ---------------------------------------------------------------------------------------------------------

export function toast(text, kind = "") {
  const box = document.createElement("div");
  box.className = `toast${kind ? ` toast-${kind}` : ""}`;
  if (kind === "danger") box.setAttribute("role", "alert"); // said at once; the list around it waits politely
  const words = document.createElement("div");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button button-quiet";
  close.dataset.close = "";
  close.textContent = "Close";
  box.append(words, close);
  document.getElementById("toasts").append(box);
  if (kind !== "danger") setTimeout(() => box.remove(), 8000);
}

// --- sheets: server-rendered fragments in a dialog ------------------------------------------------------------------

const sheet = document.getElementById("sheet");
const help = document.getElementById("help");

function closeSheet(dialog) {
  if (dialog.open) dialog.close();
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (sheet && event.detail.target.id === "sheet-body") {
    if (!sheet.open) sheet.showModal();
    sheet.querySelector("[autofocus], .sheet-head h2")?.focus();
  }
  countAges();
});

sheet?.addEventListener("close", () => {
  document.getElementById("sheet-body").replaceChildren();
});

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) closeSheet(dialog);
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (button?.matches("[data-close]")) {
    const dialog = button.closest("dialog");
    if (dialog) {
      event.preventDefault();
      closeSheet(dialog);
    } else button.closest(".toast")?.remove();
  } else if (button?.matches("[data-theme-choice]")) chooseTheme(button.dataset.themeChoice);
  else if (button?.matches("[data-help]")) help.showModal();
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

for (const button of document.querySelectorAll("[data-help]")) button.hidden = !help;
listenToKeys(help);

// Buttons that only a page without scripts needs, such as the one that sends a filter which sends itself.
for (const button of document.querySelectorAll("[data-plain]")) button.hidden = true;

// --- danger that wants a typed word ---------------------------------------------------------------------------------

document.addEventListener("input", (event) => {
  const wanted = event.target.dataset?.confirmWord;
  if (wanted === undefined) return;
  const button = event.target.form?.querySelector("[data-needs-word]");
  if (button) button.disabled = event.target.value.trim().toLowerCase() !== wanted.toLowerCase();
});

// --- live parts do not move under an open menu ----------------------------------------------------------------------

document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.detail.elt;
  if (part.matches("[data-live]") && part.querySelector("details[data-menu][open]")) event.preventDefault();
});

// --- tables: tick all, give an edit up ------------------------------------------------------------------------------

function showTickAll(within) {
  for (const label of within.querySelectorAll("[data-tick-all-label]")) label.hidden = false;
}

showTickAll(document);
document.addEventListener("htmx:afterSwap", (event) => showTickAll(event.detail.target));

document.addEventListener("change", (event) => {
  const name = event.target.dataset?.tickAll;
  if (name === undefined) return;
  for (const box of document.querySelectorAll(`tbody input[type=checkbox][name="${name}"]`)) {
    box.checked = event.target.checked;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") event.target.closest("[data-editing]")?.querySelector("[data-cancel]")?.click();
});

// --- forms that are sent once (the server holds on its own; this spares the reader the doubt) -----------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-once]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, 5000);
});

// A form that came back with faults: go to the first one.
document.querySelector("[aria-invalid='true']")?.focus();

document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 403) toast("Your role does not allow this, or this page is too old. Nothing was changed.", "danger");
  else toast("ARUN did not answer as it should. What you see may be old; reload the page.", "danger");
});

// --- danger that was told just now ---------------------------------------------------------------------------------

document.addEventListener("arun:live", ({ detail }) => {
  if (detail.kind === "NotificationAdded" && detail.data?.severity === "danger" && detail.data.count === 1) {
    toast("Something needs you now. It stands under Notifications.", "danger");
  }
});

document.addEventListener("htmx:sendError", () => {
  document.dispatchEvent(new CustomEvent("arun:offline"));
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
