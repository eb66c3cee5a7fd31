// The page of the drift sidecar: /api/overview gives the windows in short, /api/report one of them whole.
"use strict";

const REFRESH_MS = 10_000, FEW_FEATURES = 12, WINDOWS_SHOWN = 288;
const byId = (id) => document.getElementById(id);
const state = { overview: null, key: null, follow: true, all: false, plots: [], refreshed: 0 };

const number = (x, digits = 3) => x === null || x === undefined ? "–"
  : Number.isInteger(x) ? x.toLocaleString("en") : Math.abs(x) >= 1e9 || Math.abs(x) < 1e-3 && x !== 0 ? x.toExponential(1)
    : Number(x.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
const percent = (x) => x === null || x === undefined ? "–" : `${Number((100 * x).toPrecision(3))} %`;
const clock = (ms) => new Date(ms).toISOString().slice(5, 16).replace("T", " ");
const axisLabel = (seconds) => seconds % 86_400 ? clock(seconds * 1000).slice(6) : clock(seconds * 1000).slice(0, 5);
const span = (ms) => ms % 3_600_000 ? ms % 60_000 ? `${ms / 1000} s` : `${ms / 60_000} min` : `${ms / 3_600_000} h`;

function element(tag, attributes = {}, ...children) {
  const made = tag === "svg" || tag === "rect" || tag === "title"
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));  // text nodes: nothing from outside becomes markup
  return made;
}

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(8000) });
  if (!answer.ok) throw new Error(`${path.split("?")[0]} answered ${answer.status}`);
  return answer.json();
}

async function refresh() {
  const query = new URLSearchParams();
  for (const name of ["model", "length", "segment"]) if (byId(name).value) query.set(name, byId(name).value);
  query.set("windows", WINDOWS_SHOWN);
  try {
    state.overview = await get(`api/overview?${query}`);
    await show();
    byId("state").className = "";
    byId("state").textContent = state.overview.windows.length
      ? `${state.overview.windows.length} windows, the last to ${clock(state.overview.windows.at(-1).end)} UTC`
      : "no window is closed yet";
  } catch (error) {
    byId("state").className = "bad";
    byId("state").textContent = `the sidecar does not answer: ${error.message}`;
  }
}

async function show() {
  const overview = state.overview, keys = overview.windows.map((window) => window.key);
  choices("model", overview.models, overview.model, (x) => x);
  choices("length", overview.lengths, overview.length, (x) => span(Number(x)));
  choices("segment", overview.segments, overview.segment, (x) => x || "all events");
  showAlerts(overview.alerts);
  if (state.follow || !keys.includes(state.key)) state.key = keys.at(-1) ?? null;
  showCharts(overview);
  showMissing(overview);
  if (state.key) showReport(await get(`api/report?key=${encodeURIComponent(state.key)}`));
}

function choices(id, values, chosen, label) {
  byId(id).replaceChildren(...values.map((value) => {
    const option = element("option", { value: value ?? "" }, label(value));
    option.selected = value === chosen;
    return option;
  }));
}

function choose(index) {
  const keys = state.overview.windows.map((window) => window.key);
  const at = Math.min(Math.max(index, 0), keys.length - 1);
  state.key = keys[at];
  state.follow = at === keys.length - 1;
  show();
}

// A sentence names fields between backticks.
const sentence = (text) => text.split("`").map((part, k) => k % 2 ? element("code", {}, part) : part);

function showAlerts(alerts) {
  const cards = alerts.map((alert) => element("div", { class: `card alert ${alert.severity} ${alert.ended_at ? "ended" : ""}` },
    element("p", {}, ...sentence(alert.sentence)),
    element("p", { class: "meta" }, `${alert.severity} · ${alert.kind} · since ${clock(alert.since)} UTC`
      + (alert.ended_at ? ` · ended ${clock(alert.ended_at)} UTC` : "")
      + (alert.features.length > 1 ? ` · with it: ${alert.features.slice(1, 6).join(", ")}` : ""))));
  byId("alerts").replaceChildren(...(cards.length ? cards : [element("div", { class: "card calm" }, "Nothing to report.")]));
}

function showCharts(overview) {
  const windows = overview.windows, at = windows.map((window) => window.end / 1000);
  const of = (pick) => windows.map((window) => pick(window) ?? null);
  const [seen, faint, warning, critical] = ["--seen", "--reference", "--warning", "--critical"]
    .map((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  const charts = [
    ["Events", number, [["events", seen, of((w) => w.events)]]],
    ["Mean score", number, [["seen", seen, of((w) => w.mean_score)], ["reference", faint, of((w) => w.reference_mean_score)]]],
    ["Reviewed and declined", percent, [["review", warning, of((w) => w.decisions.review)], ["decline", critical, of((w) => w.decisions.decline)]]],
    ["Degraded and refused", percent, [["degraded", warning, of((w) => w.degraded)], ["dead letters", critical, of((w) => w.dead_letter_share)]]],
    ["Score distribution, PSI", number, [["psi", seen, of((w) => w.psi)]]],
    ["Features that drifted", number, [["drifted", critical, of((w) => w.drifted)], ["suspect", warning, of((w) => w.suspect)]]],
  ];
  const chosen = windows.findIndex((window) => window.key === state.key);
  state.plots.forEach((plot) => plot.destroy());
  const cards = charts.map(([title]) => element("div", { class: "card chart" }, element("h3", {}, title)));
  byId("charts").replaceChildren(...cards);  // all of them, before the first asks how wide it is
  state.plots = charts.map(([, format, series], k) => plot(cards[k], format, at, series, chosen));
}

function plot(card, format, at, series, chosen) {
  const ink = getComputedStyle(document.body).color, line = getComputedStyle(document.documentElement).getPropertyValue("--line");
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line }, font: "11px system-ui" };
  const options = {
    width: card.clientWidth - 26, height: 150, tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { sync: { key: "drift" }, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, values: (_, ticks) => ticks.map(axisLabel) }, { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => format(tick)) }],
    series: [{ label: "to", value: (_, seconds) => seconds ? clock(seconds * 1000) : "" },
      ...series.map(([label, stroke]) => ({ label, stroke, width: 2, points: { show: at.length < 3 }, value: (_, x) => format(x) }))],
    hooks: {
      draw: [(u) => {
        if (chosen < 0) return;
        const x = u.valToPos(at[chosen], "x", true);
        u.ctx.save(); u.ctx.strokeStyle = ink; u.ctx.setLineDash([4, 3]); u.ctx.beginPath();
        u.ctx.moveTo(x, u.bbox.top); u.ctx.lineTo(x, u.bbox.top + u.bbox.height); u.ctx.stroke(); u.ctx.restore();
      }],
      // Where nothing is pointed at, and on a phone nothing ever is, the legend tells of the chosen window.
      setLegend: [(u) => u.legend.idx === null && chosen >= 0 && u.setLegend({ idx: chosen }, false)],
      ready: [(u) => u.over.addEventListener("click", () => u.cursor.idx !== null && choose(u.cursor.idx))],
    },
  };
  return new uPlot(options, [at, ...series.map(([, , values]) => values)], card);
}

// Grey is what training saw, red what is missing beyond that.
function shade(share, reference) {
  const more = Math.max(share - reference, 0);
  return `--usual:${Math.round(45 * Math.sqrt(share - more))};--more:${Math.round(Math.min(100, 160 * more ** 0.75))}`;
}

function showMissing(overview) {
  const moved = overview.features
    .map((feature, row) => ({ ...feature, shares: overview.missing[row] }))
    .filter((feature) => feature.reference_missing > 0.0005 || feature.shares.some((share) => share > 0.0005))
    .sort((a, b) => Math.max(...b.shares) - b.reference_missing - (Math.max(...a.shares) - a.reference_missing));
  const table = element("table", {}, ...moved.map((feature) => element("tr", {},
    element("th", { title: feature.name }, feature.name),
    ...feature.shares.map((share, index) => {
      const window = overview.windows[index];
      return element("td", {
        style: shade(share, feature.reference_missing), "data-index": index, class: window.key === state.key ? "chosen" : "",
        title: `${feature.name}, to ${clock(window.end)} UTC: ${percent(share)} missing (reference ${percent(feature.reference_missing)})`,
      });
    }))), times(overview.windows));
  const nothing = element("p", {}, "Nothing is missing.");
  const scrolled = byId("missing").scrollLeft || 1e6;
  byId("missing").replaceChildren(moved.length ? table : nothing);
  byId("missing").scrollLeft = scrolled;
}

function times(windows) {
  const ends = [windows[0], windows.at(-1)].map((window) => element("span", {}, clock(window.end)));
  return element("tr", { class: "times" }, element("th"), element("td", { colspan: windows.length }, element("div", {}, ...ends)));
}

function showReport(report) {
  const index = state.overview.windows.findIndex((window) => window.key === state.key);
  byId("earlier").disabled = index <= 0;
  byId("later").disabled = index >= state.overview.windows.length - 1;
  byId("window-name").textContent = `${clock(report.window_start)} to ${clock(report.window_end)} UTC`;
  const said = report.prediction;
  const tiles = [
    ["events", number(report.events)], ["mean score", number(said.mean_score), `reference ${number(said.reference_mean_score)}`],
    ...["review", "decline"].map((name) => [name, percent(said.decisions[name]), `reference ${percent(said.reference_decisions[name])}`]),
    ["degraded", percent(report.degraded)], ["dead letters", percent(report.dead_letter_share)], ["partitions heard", percent(report.coverage)],
  ];
  byId("tiles").replaceChildren(...tiles.map(([name, value, more]) =>
    element("div", { class: "card tile" }, element("span", {}, name), element("b", {}, value), element("span", {}, more ?? ""))));
  byId("score").replaceChildren(card("score", said.verdict, said.bins, {
    psi: number(said.distance.psi), ks: number(said.distance.ks), js: number(said.distance.js), p: number(said.p_value) }));
  showFeatures(report.features);
}

function showFeatures(features) {
  const rank = { drifted: 0, suspect: 1 };
  const order = [...features].sort((a, b) => (rank[a.verdict] ?? 2) - (rank[b.verdict] ?? 2) || (b.distance.psi ?? 0) - (a.distance.psi ?? 0));
  const shown = state.all ? order : order.slice(0, FEW_FEATURES);
  byId("features").replaceChildren(...shown.map((feature) => card(feature.name, feature.verdict, feature.bins, {
    missing: percent(feature.missing), "was": percent(feature.reference_missing),
    mean: number(feature.distance.mean), "was ": number(feature.distance.reference_mean),
    psi: number(feature.distance.psi, 2), p: number(feature.p_value, 2) })));
  byId("more").hidden = state.all || order.length <= FEW_FEATURES;
  byId("more").textContent = `show all ${order.length}`;
}

function card(name, verdict, drawn, facts) {
  const [low, high] = [drawn.edges[0], drawn.edges.at(-1)].map((edge) => number(edge));
  return element("div", { class: "card feature", "data-feature": name },
    element("span", { class: `badge ${verdict}` }, verdict.replace("_", " ")), element("h3", {}, name), bins(drawn),
    element("div", { class: "ends" }, element("span", {}, `< ${low}`), element("span", {}, `≥ ${high}`)),
    element("dl", {}, ...Object.entries(facts).flatMap(([key, value]) => [element("dt", {}, key.trim()), element("dd", {}, value)])));
}

function bins({ edges, reference, seen }) {
  const count = reference.length, top = Math.max(...reference, ...seen, 1e-9), width = 100 / count;
  // Square roots, so that rare bins are seen beside a frequent one.
  const height = (share) => 100 * Math.sqrt(share / top);
  const bar = (kind, share, left) => element("rect", { class: kind, x: left, width: width * 0.42, y: 100 - height(share), height: height(share) });
  const svg = element("svg", { class: "bins", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img" });
  reference.forEach((share, k) => {
    const from = k ? number(edges[k - 1]) : "below", to = k < edges.length ? number(edges[k]) : "above";
    const hint = element("title", {}, `${from} to ${to}: ${percent(seen[k])}, reference ${percent(share)}`);
    const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
    group.append(hint, bar("reference", share, k * width + width * 0.06), bar("seen", seen[k], k * width + width * 0.5));
    svg.append(group);
  });
  return svg;
}

byId("choice").addEventListener("change", () => { state.follow = true; refresh(); });
byId("missing").addEventListener("click", (event) => event.target.dataset.index && choose(Number(event.target.dataset.index)));
byId("more").addEventListener("click", () => { state.all = true; show(); });
byId("earlier").addEventListener("click", () => choose(state.overview.windows.findIndex((window) => window.key === state.key) - 1));
byId("later").addEventListener("click", () => choose(state.overview.windows.findIndex((window) => window.key === state.key) + 1));
addEventListener("resize", () => state.overview && showCharts(state.overview));
setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
refresh();
