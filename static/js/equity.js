// The account's curve. The library is fetched only where a chart stands on the page; the numbers come from the server,
// and the table on the page "As a table" says the same without a chart.

const REFRESH_MS = 60_000;
const INDIA_SECONDS = 19_800; // the library writes times in UTC: moved on, they read as Indian time
const rupees = new Intl.NumberFormat("en-IN", { style: "currency", currency: "INR" });
const moment = new Intl.DateTimeFormat("en-IN", {
  timeZone: "UTC", weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false,
});
const clock = new Intl.DateTimeFormat("en-IN", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat("en-IN", { timeZone: "UTC", day: "numeric", month: "short" });

let current = null;
let line = "equity";

function color(box, name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  box.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(rgb, part) {
  return rgb.replace("rgb(", "rgba(").replace(")", `, ${part})`);
}

function look(box) {
  return {
    layout: {
      background: { color: "transparent" },
      textColor: color(box, "--text-2"),
      fontFamily: getComputedStyle(box).fontFamily,
      attributionLogo: false, // it brings a style element of its own; the name stands beneath the chart
    },
    grid: { vertLines: { visible: false }, horzLines: { color: color(box, "--line") } },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderVisible: false },
  };
}

function seriesLook(box) {
  const accent = color(box, "--accent");
  if (line === "equity") {
    return { lineColor: accent, topColor: faded(accent, 0.22), bottomColor: faded(accent, 0), lineWidth: 2 };
  }
  const gain = color(box, "--gain");
  const loss = color(box, "--loss");
  return {
    baseValue: { type: "price", price: 0 },
    topLineColor: gain, topFillColor1: faded(gain, 0.22), topFillColor2: faded(gain, 0.02),
    bottomLineColor: loss, bottomFillColor1: faded(loss, 0.02), bottomFillColor2: faded(loss, 0.22),
    lineWidth: 2,
  };
}

// A mark stands on a point of the curve: the last one before its trade.
function markers(state) {
  const times = state.data.points.map((point) => point[0] + INDIA_SECONDS);
  return state.data.markers.map(([at, side, text]) => {
    const bought = side === "BUY";
    const after = times.findIndex((time) => time > at + INDIA_SECONDS);
    const time = times[Math.max(0, (after === -1 ? times.length : after) - 1)];
    return {
      time,
      position: bought ? "belowBar" : "aboveBar",
      shape: bought ? "arrowUp" : "arrowDown",
      color: color(state.box, bought ? "--accent" : "--text-2"),
      said: text,
    };
  });
}

function draw(state) {
  const index = line === "equity" ? 1 : 2;
  const points = state.data.points.map((point) => ({ time: point[0] + INDIA_SECONDS, value: Number(point[index]) }));
  if (state.line !== line) {
    if (state.series) state.chart.removeSeries(state.series);
    const kind = line === "equity" ? state.library.AreaSeries : state.library.BaselineSeries;
    state.series = state.chart.addSeries(kind, { ...seriesLook(state.box), priceLineVisible: false });
    state.marks = state.library.createSeriesMarkers(state.series, []);
    state.line = line;
  }
  state.series.setData(points);
  state.said = markers(state);
  state.marks.setMarkers(state.said.map(({ said, ...mark }) => mark));
  const words = state.box.querySelector("[data-chart-words]");
  words.textContent = points.length < 2 ? "The curve begins with the second point, a minute after the first." : "";
  words.hidden = points.length >= 2;
}

function paint(state) {
  state.chart.applyOptions(look(state.box));
  state.series?.applyOptions(seriesLook(state.box));
  if (state.marks) state.marks.setMarkers(markers(state).map(({ said, ...mark }) => mark));
}

function legend(state, event) {
  const place = document.querySelector("[data-chart-legend]");
  if (!place) return;
  const value = event.seriesData?.get(state.series)?.value;
  if (event.time === undefined || value === undefined) {
    place.textContent = "\u00a0";
    return;
  }
  const trades = state.said.filter((mark) => mark.time === event.time).map((mark) => mark.said);
  const at = `${moment.format(new Date(event.time * 1000))} IST`;
  place.textContent = [at, rupees.format(value), ...trades.slice(0, 3)].join(" · ");
}

async function read(state) {
  const response = await fetch(state.box.dataset.chart, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`the curve answered ${response.status}`);
  state.data = await response.json();
}

async function start(box) {
  const state = { box, data: null, chart: null, series: null, marks: null, line: "", said: [] };
  current?.chart?.remove();
  current = state;
  try {
    [state.library] = await Promise.all([import(box.dataset.chartLibrary), read(state)]);
  } catch {
    box.querySelector("[data-chart-words]").textContent = "The curve could not be read. Reload the page, or open the table.";
    return;
  }
  if (current !== state || !box.isConnected) return;
  state.chart = state.library.createChart(box, {
    ...look(box),
    autoSize: true,
    handleScroll: { vertTouchDrag: false, mouseWheel: false },
    handleScale: { mouseWheel: false },
    localization: {
      priceFormatter: (value) => rupees.format(value),
      timeFormatter: (time) => moment.format(new Date(time * 1000)),
    },
  });
  state.chart.timeScale().applyOptions({
    timeVisible: true,
    tickMarkFormatter: (time, kind) => (kind >= 3 ? clock : day).format(new Date(time * 1000)),
  });
  state.chart.subscribeCrosshairMove((event) => legend(state, event));
  draw(state);
  state.chart.timeScale().fitContent();
  const buttons = document.querySelector(".chart-switch");
  if (buttons) {
    buttons.hidden = false;
    showLine();
  }
}

async function refresh() {
  const state = current;
  if (!state?.chart || !state.box.isConnected || document.visibilityState !== "visible") return;
  try {
    await read(state);
    if (current === state) draw(state);
  } catch {
    // The next try comes by itself, and the figures above the chart say how old they are.
  }
}

function showLine() {
  for (const button of document.querySelectorAll("[data-chart-line]")) {
    button.setAttribute("aria-pressed", String(button.dataset.chartLine === line));
  }
}

function lookForChart() {
  const box = document.querySelector("[data-chart]");
  if (box && box !== current?.box) start(box);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-chart-line]");
  if (!button || !current?.chart) return;
  line = button.dataset.chartLine;
  showLine();
  draw(current);
  current.chart.timeScale().fitContent();
});

document.addEventListener("htmx:afterSwap", lookForChart);
document.addEventListener("arun:theme", () => current?.chart && paint(current));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => current?.chart && paint(current));
document.addEventListener("arun:live", (event) => {
  if (/fill|outside/i.test(event.detail.kind)) refresh();
});
setInterval(refresh, REFRESH_MS);
lookForChart();
