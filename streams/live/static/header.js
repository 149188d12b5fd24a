// The first line and the banner under it: is this now, is everybody there, is all well?

import { h } from "./draw.js";
import { clock, duration, local, moment, when } from "./format.js";
import { button, icon } from "./parts.js";
import { W, plain, word } from "./words.js";

const SYMBOL = { connecting: "unknown", live: "live", stale: "warn", reconnecting: "bad" };
const COLOUR = { connecting: "unknown", live: "ok", stale: "warn", reconnecting: "bad" };

export function top(snapshot, context) {
  const { connection } = context;
  return [
    h("h1", {}, snapshot?.header.product ?? "rekindle"),
    h("span", { class: `beacon ${connection} ${COLOUR[connection]}`, id: "beacon", "data-connection": connection }, icon(SYMBOL[connection]), W.beacon[connection]),
    h("span", { class: "small quiet age", id: "age" }, context.age === null ? W.header.agePending : W.header.age(age(context.age))),
    snapshot ? facts(snapshot, context) : null,
    h("span", { class: "grow" }),
    controls(context),
  ];
}

/** Of a live page in steps of 100 ms, so that the eye is not drawn to digits. */
const age = (ms) => (ms < 1000 ? `${Math.round(ms / 100) * 100}\u202fms` : duration(Math.floor(ms / 1000)));

function facts({ header, clock: time, now }, context) {
  const mode = word(W.header.mode, header.mode);
  const expected = Math.max(header.expected, header.workers);
  const missing = header.workers < expected || header.workers === 0;
  const facts = [
    header.environment && h("strong", {}, header.environment),
    header.versions.join(", "),
    h("strong", { class: missing ? "bad" : null }, header.workers || expected ? W.header.workers(header.workers, expected) : W.header.noWorkers),
    mode && h("strong", { class: "warn" }, mode),
    time.simulated && h("strong", { class: "warn" }, `${W.header.simulated} ${moment(time.now)}`),
    `${clock(now + context.sinceFrame)} ${W.header.utc}, ${local(now + context.sinceFrame)}`,
  ];
  return h("span", { class: "facts" }, facts.filter(Boolean).map((each, index) => h("span", { key: index }, each)));
}

function controls({ chosen, operator, windows }) {
  const themes = Object.entries(W.header.themes);
  return h(
    "span",
    { class: "bar" },
    h("label", { class: "small" }, W.header.window, h("select", { "data-choose": "window" }, windows.map(([value, text]) => h("option", { key: value, value, selected: value === chosen.window }, text)))),
    h("label", { class: "small" }, W.header.theme, h("select", { "data-choose": "theme" }, themes.map(([value, text]) => h("option", { key: value, value, selected: value === chosen.theme }, text)))),
    button(operator.token ? W.header.operatorOn : W.header.operator, { "data-do": "operator", class: "small" }),
    button([h("kbd", { "aria-hidden": "true" }, "?"), " ", W.header.keys], { "data-do": "keys", class: "small" }),
  );
}

/** The first page-severity alert; grey, never calm, while there is no news. */
export function banner(snapshot, context) {
  if (!snapshot) return line("dim", "unknown", W.banner.pending);
  const { banners, state } = snapshot.header;
  const [first] = banners;
  if (context.connection !== "live") return line("dim", "unknown", W.beaconSaid[context.connection], first && ` ${W.banner.last}: ${first.sentence}`);
  if (first) return alarm(first, banners.length - 1, snapshot);
  return state === "live" ? line("calm", "ok", W.banner.calm) : line("dim", "unknown", snapshot.header.reason ?? W.banner.unknown);
}

const line = (kind, symbol, ...rest) => h("div", { class: `banner ${kind}`, "data-banner": kind }, icon(symbol), h("span", {}, rest));

const KIND = { page: ["alarm", "bad"], ticket: ["watch", "warn"], info: ["dim", "unknown"] };

function alarm({ severity, sentence, since, runbook }, more, snapshot) {
  const [kind, symbol] = KIND[severity];
  const { runbooks } = outside(snapshot.footer.links);
  return line(
    kind,
    symbol,
    sentence,
    since ? ` ${W.banner.since(when(since, snapshot.now))}. ` : " ",
    runbook && (runbooks ? h("a", { href: `${runbooks.replace(/\/$/, "")}/${encodeURIComponent(runbook)}.md` }, `${W.banner.runbook}: ${plain(runbook)}`) : h("span", {}, `${W.banner.runbook}: ${runbook}`)),
    more > 0 && [" ", h("a", { href: "#anomalies" }, W.banner.more(more))],
  );
}

/** Links that lead to a page and nowhere else: no address may be a script. */
function outside(links) {
  return Object.fromEntries(Object.entries(links).filter(([, address]) => /^https?:\/\//.test(address)));
}

export function bottom(snapshot) {
  const { settings, models } = snapshot.footer;
  const links = outside(snapshot.footer.links);
  const item = (key, content) => h("li", { key }, content);
  const link = (href, text) => item(text, h("a", { href }, text));
  return h(
    "ul",
    {},
    link("metrics", W.footer.metrics),
    link("live/snapshot.json", W.footer.snapshot),
    link("readyz", W.footer.health),
    Object.entries(links).map(([name, address]) => link(address, word(W.footer, name))),
    settings.length ? item("settings", [W.footer.settings, ": ", h("code", {}, settings.join(", ")), settings.length > 1 ? ` ${W.footer.moving}` : ""]) : null,
    item("model", [W.footer.model, ": ", models.length ? models.map((each) => (each.provenance === "prior" ? W.footer.prior : `${each.name} ${each.version} (${plain(each.provenance)})`)).join(", ") : W.footer.prior]),
    item("uplot", W.footer.uplot),
  );
}
