// The settings pages: what has no effect is greyed out at once, and the unit of a size follows its kind.

const form = document.getElementById("settings-form");

const field = (name) => form.elements.namedItem(name);
const row = (name) => form.querySelector(`[data-setting-row="${name}"]`);

const EXITS = ["sell_rsi", "profit_target_percent", "stop_loss_percent", "trailing_stop_percent", "catastrophic_stop_percent"];
const SIP = ["sip_period", "sip_day", "sip_dip_days"];
const SIZES = {
  FIXED_QUANTITY: ["shares", "1 to 10,00,000"],
  FIXED_AMOUNT: ["₹", "1 to 1,00,00,00,000"],
  PERCENT: ["%", "0.1 to 100"],
};

// The same as StrategyParams.suppressed_fields in the engine; the server decides, this only shows it sooner.
function suppressed() {
  const mode = field("mode").value;
  if (mode === "SIP") return new Set(EXITS);
  if (mode === "INVEST") return new Set(EXITS.filter((name) => name !== "profit_target_percent"));
  return new Set(field("never_sell_at_loss").checked ? ["stop_loss_percent", "trailing_stop_percent"] : []);
}

function setIdle(name, isIdle) {
  row(name).classList.toggle("is-idle", isIdle);
  const control = field(name);
  if (control.matches("input")) control.readOnly = isIdle;
  control.setAttribute("aria-disabled", String(isIdle));
}

function showRule() {
  const idle = suppressed();
  for (const name of EXITS) setIdle(name, idle.has(name));
  for (const name of SIP) setIdle(name, field("mode").value !== "SIP");
  form.querySelector("[data-hold-words]").hidden = !field("never_sell_at_loss").checked;
  const [unit, allowed] = SIZES[field("sizing").value];
  row("size").querySelector("[data-unit]").textContent = unit;
  row("size").querySelector("[data-allowed]").textContent = allowed;
}

if (form) {
  for (const button of form.querySelectorAll("[data-without-scripts]")) button.hidden = true;
  if (field("mode")) {
    form.addEventListener("change", showRule);
    showRule();
  }
}
