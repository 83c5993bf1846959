// The live socket. It only hints: every message has a number of the tenant's stream, a missing number is fetched, and
// what changed is read again from the server as a fragment. An element with data-live="word word" is read again when
// an event whose kind contains one of the (lower-case) words arrives; it must have hx-get and hx-trigger="refresh".

import { duration } from "./words.js";

const BEAT_LIMIT_MS = 25_000; // the server speaks every 10 s
const STALE_AFTER_MS = 5_000;
const DEBOUNCE_MS = 200;
const BACKOFF_MS = [500, 1_000, 2_000, 5_000, 10_000];
const ENDED = { 4401: "logged out", 4403: "no access" };

const mark = document.getElementById("live-mark");
const markText = mark?.querySelector("[data-live-text]");
const body = document.body;

let socket = null;
let lastSeq = body.dataset.liveSeq ? Number(body.dataset.liveSeq) : null;
let lastHeard = performance.now();
let downSince = performance.now();
let attempts = 0;
let ended = "";
let queue = Promise.resolve();

// --- the mark -------------------------------------------------------------------------------------------------------

function show(state, text) {
  if (!mark) return;
  if (mark.dataset.state !== state) mark.dataset.state = state;
  if (markText.textContent !== text) markText.textContent = text;
}

function updateMark() {
  const now = performance.now();
  if (ended) show("stale", ended);
  else if (downSince === null && now - lastHeard < BEAT_LIMIT_MS) show("live", "live");
  else {
    const since = downSince ?? lastHeard;
    if (now - since < STALE_AFTER_MS) show("reconnecting", attempts ? "reconnecting" : "connecting");
    else show("stale", `stale since ${duration(Math.floor((now - since) / 1000))}`);
  }
}

// --- fragments ------------------------------------------------------------------------------------------------------

const pending = new Map();

function wants(element, kind) {
  const name = kind.toLowerCase();
  return element.dataset.live.split(" ").some((word) => name.includes(word));
}

// A list that the reader has scrolled into, or has a row of open, is not replaced under the eyes: a chip counts instead.
function isBeingRead(element) {
  if (!("liveChip" in element.dataset)) return false;
  const top = element.getBoundingClientRect().top;
  const busy = element.querySelector("details[open], [data-editing], tbody input[type=checkbox]:checked");
  return top < 0 || busy !== null || element.contains(document.activeElement);
}

function refresh(element) {
  clearTimeout(pending.get(element));
  pending.set(
    element,
    setTimeout(() => {
      pending.delete(element);
      if (!element.isConnected) return;
      if (isBeingRead(element)) "liveRows" in element.dataset ? mergeRows(element) : showChip(element, 1);
      else window.htmx?.trigger(element, "refresh");
    }, DEBOUNCE_MS),
  );
}

// Rows that are there already are brought up to date where they stand; new ones above are counted and wait for a press.
async function mergeRows(element) {
  const response = await fetch(element.getAttribute("hx-get"), { headers: { "HX-Request": "true" } });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const rows = [...fresh.querySelectorAll("[data-row]")];
  for (const row of rows) {
    const shown = document.getElementById(row.id);
    if (!shown || shown.innerHTML === row.innerHTML || shown.contains(document.activeElement)) continue;
    [...row.children].forEach((cell, place) => {
      const old = shown.children[place];
      if (old && old.innerHTML !== cell.innerHTML) old.innerHTML = cell.innerHTML;
    });
  }
  const known = rows.findIndex((row) => document.getElementById(row.id));
  const above = known === -1 ? rows.length : known;
  if (above > 0) {
    element.dataset.waiting = "0";
    showChip(element, above);
  }
}

function showChip(element, more) {
  const count = Number(element.dataset.waiting ?? 0) + more;
  element.dataset.waiting = String(count);
  let chip = element.querySelector(":scope > .chip");
  if (!chip) {
    chip = document.createElement("div");
    chip.className = "chip";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-primary button-small shape-round";
    button.addEventListener("click", () => {
      delete element.dataset.waiting;
      element.scrollIntoView({ block: "start" });
      window.htmx?.trigger(element, "refresh");
    });
    chip.append(button);
    const head = element.querySelector(":scope > .card-head");
    if (head) head.after(chip);
    else element.prepend(chip);
  }
  chip.firstElementChild.textContent = `${count} ${element.dataset.liveChip || "new"}`;
}

document.addEventListener("htmx:afterSwap", (event) => {
  delete event.detail.target.dataset.waiting;
});

// The clock of such a list waits as well; the chip and the reader's own actions do not.
document.addEventListener("htmx:beforeRequest", (event) => {
  const timed = event.detail.requestConfig.triggeringEvent === undefined;
  if (timed && isBeingRead(event.detail.elt)) event.preventDefault();
});

function dispatch(event) {
  document.dispatchEvent(new CustomEvent("arun:live", { detail: event }));
  for (const element of document.querySelectorAll("[data-live]")) {
    if (wants(element, event.kind)) refresh(element);
  }
}

function refreshAll() {
  for (const element of document.querySelectorAll("[data-live]")) refresh(element);
}

// --- the stream -----------------------------------------------------------------------------------------------------

async function fillGap(upTo) {
  const response = await fetch(`${body.dataset.sinceUrl}?seq=${lastSeq}`, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`gap fetch answered ${response.status}`);
  const answer = await response.json();
  if (!answer.complete) {
    lastSeq = Math.max(answer.seq, upTo);
    refreshAll();
    return;
  }
  for (const event of answer.events) {
    if (event.seq > lastSeq) {
      lastSeq = event.seq;
      dispatch(event);
    }
  }
}

async function take(message) {
  if (message.kind === "tick") return;
  if (message.kind === "hello" || message.kind === "beat") {
    if (lastSeq === null) lastSeq = message.seq;
    else if (message.seq > lastSeq) await fillGap(message.seq);
    return;
  }
  if (lastSeq !== null && message.seq <= lastSeq) return;
  if (lastSeq !== null && message.seq > lastSeq + 1) {
    await fillGap(message.seq);
    return;
  }
  lastSeq = message.seq;
  dispatch(message);
}

function enqueue(message) {
  // One after the other, or a gap being filled would be overtaken.
  queue = queue.then(() => take(message)).catch(() => refreshAll());
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}${body.dataset.liveUrl}`);
  socket.addEventListener("message", (event) => {
    lastHeard = performance.now();
    const message = JSON.parse(event.data);
    if (message.kind === "hello") {
      attempts = 0;
      downSince = null;
    }
    enqueue(message);
    updateMark();
  });
  socket.addEventListener("close", (event) => {
    if (downSince === null) downSince = performance.now();
    if (ENDED[event.code]) {
      ended = ENDED[event.code];
      updateMark();
      return;
    }
    const wait = BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length - 1)];
    attempts += 1;
    setTimeout(connect, wait * (0.75 + Math.random() / 2));
    updateMark();
  });
}

// A connection that died without a word (a phone that slept) is closed, so that the close handler opens a new one.
function watch() {
  if (socket?.readyState === WebSocket.OPEN && performance.now() - lastHeard > BEAT_LIMIT_MS) socket.close();
  updateMark();
}

if (body.dataset.liveUrl) {
  connect();
  setInterval(watch, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") watch();
  });
}
