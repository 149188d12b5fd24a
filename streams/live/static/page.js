// The live page: frames in, panels drawn. One state, one draw(), one listener per kind of event.

import * as address from "./address.js";
import { Charts } from "./charts.js";
import * as dialogs from "./dialogs.js";
import { draw, h } from "./draw.js";
import { duration, when } from "./format.js";
import * as header from "./header.js";
import { Operator } from "./operator.js";
import * as acquisition from "./panels/acquisition.js";
import * as anomalies from "./panels/anomalies.js";
import * as audit from "./panels/audit.js";
import * as channels from "./panels/channels.js";
import * as costs from "./panels/costs.js";
import * as decisions from "./panels/decisions.js";
import * as flow from "./panels/flow.js";
import * as health from "./panels/health.js";
import * as person from "./panels/person.js";
import * as shop from "./panels/shop.js";
import * as tail from "./panels/tail.js";
import * as traffic from "./panels/traffic.js";
import * as triggers from "./panels/triggers.js";
import * as workers from "./panels/workers.js";
import { provenance } from "./parts.js";
import { Stream } from "./stream.js";
import { LANGUAGE, W } from "./words.js";

/** In the order they are read; `from` names the part of the snapshot that says how fresh it is. */
const PANELS = [
  { ...health, from: "health" },
  { ...flow, from: "flow" },
  { ...traffic, from: "traffic" },
  { ...decisions, from: "decisions" },
  { ...anomalies, from: "anomalies" },
  { ...triggers, from: "triggers" },
  { ...channels, from: "channels" },
  { ...acquisition, from: "funnel" },
  { ...costs, from: "costs" },
  { ...audit, from: "audit" },
  { ...shop, from: "funnel" },
  { ...workers, from: "workers" },
  { ...tail, from: "tail" },
  { ...person, from: null },
];

/** How often the age is written anew (ms): the eye sees no more. */
const BEAT = 250;
const WINDOWS = { whole: 1, half: 1 / 2, sixth: 1 / 6 };

const place = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = new Charts();
const operator = new Operator(show);
const stream = new Stream("live/events", { onFrame: take, onState: show });

const state = {
  chosen: address.read(location.search),
  snapshot: null,
  held: null, // decisions the tail stands still at
  heldAt: null,
  connection: null,
  due: false,
};

// ---------------------------------------------------------------------------------- drawing

function take(snapshot) {
  state.snapshot = snapshot;
  if (state.chosen.paused && state.held === null) hold();
  show();
}

/** Draw before the browser paints next, however often it is asked for. */
function show() {
  if (state.due) return;
  state.due = true;
  requestAnimationFrame(() => {
    state.due = false;
    drawAll();
  });
}

function drawAll() {
  const context = contextNow();
  root(state.chosen);
  drawTop(context);
  draw(place("banner"), header.banner(state.snapshot, context));
  // Nothing before the first frame but the word that it is awaited: what is not there cannot jump.
  const panels = state.snapshot ? PANELS.map((panel) => section(panel, context)) : [h("p", { class: "reason" }, W.waiting)];
  draw(place("main"), panels);
  draw(place("bottom"), state.snapshot && header.bottom(state.snapshot));
  drawDialogs();
  const theme = state.chosen.theme === "auto" ? String(dark.matches) : state.chosen.theme;
  charts.show(document, context.charts, theme);
  settle();
  say(context);
}

function drawTop(context) {
  state.connection = context.connection;
  draw(place("top"), header.top(state.snapshot, context));
}

function root({ theme }) {
  document.documentElement.lang = LANGUAGE;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** All a view may know beside the snapshot. */
function contextNow() {
  const { snapshot, chosen } = state;
  const observed = snapshot?.observed ?? null;
  const kept = snapshot?.clock.kept ?? 1800_000;
  const from = snapshot ? snapshot.clock.now - kept * WINDOWS[chosen.window] : 0;
  const windows = Object.entries(WINDOWS).map(([name, share]) => [name, duration(Math.round((kept * share) / 1000))]);
  return {
    chosen,
    observed,
    operator,
    windows,
    connection: stream.state,
    age: ageOf(snapshot),
    sinceFrame: stream.age ?? 0,
    currency: observed?.currency || snapshot?.header.currency || "",
    now: snapshot?.clock.now ?? 0,
    listens: snapshot?.channels.observer.state === "live",
    simulated: snapshot?.clock.simulated ?? false,
    pauses: snapshot?.channels.pauses ?? [],
    held: state.held,
    heldAt: state.heldAt,
    charts: new Map(),
    windowed: (points) => points.filter(([at]) => at >= from),
    span: (since) => W.last(duration(Math.max(1, Math.round((snapshot.clock.now - since) / 1000)))),
  };
}

/** How old the newest word of any worker is: on the server when it sent, and since then. */
function ageOf(snapshot) {
  if (!snapshot || stream.age === null) return null;
  const { as_of: at } = snapshot.header;
  return stream.age + (at === null ? 0 : Math.max(0, snapshot.now - at));
}

function section({ id, view, from }, context) {
  const { snapshot } = state;
  const [title, question] = W.panels[id];
  return h(
    "section",
    { key: id, id, class: "panel", "aria-labelledby": `${id}-title`, tabindex: "-1" },
    h(
      "header",
      {},
      h("h2", { id: `${id}-title` }, title),
      h("p", {}, question),
      from ? h("p", { class: "right" }, period(id, context), " ", provenance(snapshot[from])) : null,
    ),
    h("div", { class: "body" }, view(snapshot, context)),
  );
}

const OBSERVED = new Set(["channels", "acquisition", "costs", "shop"]);

/** Which time sums are over: the observer's reach further back than what the charts show. */
function period(id, { observed, now, span }) {
  if (!OBSERVED.has(id)) return null;
  if (!observed) return h("span", { class: "reason" }, span(state.snapshot.decisions.since));
  return h("span", { class: "reason" }, W.period(duration(Math.round((observed.until - observed.since) / 1000)), when(observed.until, now)));
}

/** Fields show what was chosen, except the one somebody is writing into. */
function settle() {
  for (const field of document.querySelectorAll("[data-choose]")) {
    if (field === document.activeElement) continue;
    const value = state.chosen[field.dataset.choose];
    if (field.type === "checkbox") field.checked = value === field.dataset.on;
    else if (field.value !== value) field.value = value;
    if (field.localName === "select" && field.selectedIndex < 0) field.selectedIndex = 0;
  }
}

/** Screen readers hear of the connection and of the first alert, when they change. */
function say(context) {
  const first = state.snapshot?.header.banners[0];
  const alert = context.connection === "live" && first ? ` ${first.sentence}` : "";
  const text = W.beaconSaid[context.connection] + alert;
  if (place("said").textContent !== text) place("said").textContent = text;
}

// ---------------------------------------------------------------------------------- dialogs

function drawDialogs() {
  if (operator.asked && !place("confirm").open) open("confirm");
  const shown = document.querySelector("dialog[open]");
  if (!shown) return;
  draw(shown, content(shown.id));
  if (!shown.contains(document.activeElement)) shown.querySelector("button").focus();
}

function content(id) {
  if (id === "confirm") return dialogs.confirm(operator);
  if (id === "keys") return dialogs.keys(state.chosen);
  return dialogs.operator(operator, state.snapshot?.header.controls ?? true);
}

function open(id) {
  if (document.querySelector("dialog[open]")) return;
  place(id).replaceChildren();
  draw(place(id), content(id)); // before it opens, so that the focus finds its first field
  place(id).showModal();
}

// --------------------------------------------------------------------------------- choosing

function choose(name, value) {
  state.chosen = { ...state.chosen, [name]: value };
  history.replaceState(null, "", location.pathname + address.write(state.chosen) + location.hash);
  if (name === "paused") value ? hold() : release();
  show();
}

function hold() {
  state.held = state.snapshot?.tail.decisions ?? null;
  state.heldAt = state.snapshot?.now ?? null;
}

function release() {
  state.held = null;
  state.heldAt = null;
}

const turnTail = () => choose("paused", state.chosen.paused ? "" : "1");

function turnTheme() {
  const themes = Object.keys(W.header.themes);
  choose("theme", themes[(themes.indexOf(state.chosen.theme) + 1) % themes.length]);
}

// ---------------------------------------------------------------------------------- acting

const DO = {
  hold: turnTail,
  operator: () => open("operator"),
  keys: () => open("keys"),
  ask: ({ action, target }) => operator.ask(action, target),
  close: ({ dialog }) => place(dialog).close(),
  "forget-token": () => {
    operator.forget();
    place("operator").close();
  },
  "forget-person": () => operator.forgetPerson(),
};

const SUBMIT = {
  confirm: (form) => operator.confirm(form.get("reason").trim(), Number(form.get("minutes")) || null),
  operator: (form) => {
    operator.use(form.get("token"), form.get("name"));
    place("operator").close();
  },
  look: () => operator.look(place("person-id").value.trim()),
};

const KEYS = {
  "?": () => open("keys"),
  t: turnTheme,
  p: turnTail,
  "/": () => place("tail-filter")?.focus(),
  u: () => place("person").focus(),
  o: () => open("operator"),
  j: () => step(1),
  k: () => step(-1),
};

/** Focus the next or the previous panel. */
function step(by) {
  const panels = [...document.querySelectorAll("main > .panel")];
  const now = panels.findIndex((panel) => panel.contains(document.activeElement));
  const next = panels[Math.min(panels.length - 1, Math.max(0, now + by))];
  next?.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-do]");
  if (button) DO[button.dataset.do](button.dataset);
});

document.addEventListener("submit", (event) => {
  event.preventDefault();
  SUBMIT[event.target.dataset.submit]?.(new FormData(event.target));
});

document.addEventListener("input", ({ target }) => {
  const { choose: name, on, off } = target.dataset;
  if (name) choose(name, target.type === "checkbox" ? (target.checked ? on : off) : target.value);
});

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest?.("input, select, textarea");
  const busy = writing || event.ctrlKey || event.metaKey || event.altKey;
  if (busy || state.chosen.keys === "off" || document.querySelector("dialog[open]")) return;
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

// What was written into a dialog goes with it: a reason must not speak for the next question,
// and no token may stay in a field.
for (const dialog of document.querySelectorAll("dialog"))
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // opened anew before this was told
    if (dialog.id === "confirm") operator.asked = null;
    dialog.replaceChildren();
    show();
  });

addEventListener("popstate", () => {
  state.chosen = address.read(location.search);
  if (state.chosen.paused) hold();
  else release();
  show();
});

dark.addEventListener("change", show);
addEventListener("pagehide", () => stream.close());
addEventListener("pageshow", (event) => event.persisted && stream.open());

setInterval(() => {
  if (document.hidden || state.due) return;
  const context = contextNow();
  if (context.connection === state.connection) drawTop(context);
  else show();
}, BEAT);

document.title = W.title;
place("skip").textContent = W.skip;
drawAll();
stream.open();
