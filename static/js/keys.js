// Single-letter keys. The sheet "Keys and help" lists them, and its rows are the list: a row with data-go="h" and an
// address is what g h does. They can be switched off there (a dictation program types letters nobody pressed), they
// stay off in this browser until switched on again, and they never act while something is typed or held.

const STORE = "arun-keys";
const PAIR_MS = 1000;
const TYPED = "input, select, textarea, [contenteditable], [role='textbox'], [role='combobox'], dialog[open]";

function isOn() {
  try {
    return localStorage.getItem(STORE) !== "off";
  } catch {
    return true; // a browser that keeps nothing also keeps no switch
  }
}

function keep(on) {
  try {
    if (on) localStorage.removeItem(STORE);
    else localStorage.setItem(STORE, "off");
  } catch {
    // The switch then holds for this page.
  }
}

export function listenToKeys(help) {
  if (!help) return;
  const places = new Map([...help.querySelectorAll("[data-go]")].map((row) => [row.dataset.go, row.dataset.address]));
  const box = help.querySelector("[data-keys]");
  let on = isOn();
  let goPressedAt = -PAIR_MS;

  box.checked = on;
  box.addEventListener("change", () => {
    on = box.checked;
    keep(on);
  });

  document.addEventListener("keydown", (event) => {
    if (!on || event.defaultPrevented || event.repeat || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(TYPED)) return;
    const address = performance.now() - goPressedAt < PAIR_MS ? places.get(event.key) : undefined;
    goPressedAt = event.key === "g" ? performance.now() : -PAIR_MS;
    if (address) location.assign(address);
    else if (event.key === "?") help.showModal();
    else if (event.key === "/") {
      event.preventDefault();
      const search = document.querySelector("main input[type='search']");
      if (search) search.focus();
      else location.assign(help.dataset.search);
    }
  });
}

// "/" on a page without a search leads to the page that has one.
if (location.hash === "#share-search") document.getElementById("share-search")?.focus();
