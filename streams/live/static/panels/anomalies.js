// What is not as usual: alerts first, then open episodes with the operator's verdict.

import { sparkline } from "../charts.js";
import { h } from "../draw.js";
import { NOTHING, figure, isNumber, moment, number, when } from "../format.js";
import { because, button, icon, mark, seen, table } from "../parts.js";
import { W, plain, word } from "../words.js";

export const id = "anomalies";

export function view(snapshot, context) {
  const { anomalies } = snapshot;
  const { open, closed } = anomalies;
  return [
    h("h3", {}, W.anomalies.alerts),
    anomalies.alerts.length ? alerts(anomalies.alerts, context) : nothing(W.anomalies.noAlerts, context),
    h("h3", {}, W.anomalies.open),
    anomalies.state === "absent" ? because(anomalies.reason) : open.length ? h("ul", { class: "episodes" }, open.map((each) => episode(each, context))) : nothing(W.anomalies.noOpen, context),
    past(closed),
    watched(anomalies.kpis, context.observed),
  ];
}

const nothing = (text, context) => h("p", {}, mark(seen("ok", context)), " ", text);

function alerts(list, context) {
  const colour = { page: "bad", ticket: "warn", info: "unknown" };
  return h(
    "ul",
    {},
    list.map((each, index) =>
      h(
        "li",
        { key: index },
        mark(seen(colour[each.severity], context)),
        " ",
        each.sentence,
        " ",
        h("span", { class: "reason" }, [each.since && W.banner.since(when(each.since, context.now)), each.runbook].filter(Boolean).join(", ")),
      ),
    ),
  );
}

/** A dimension is text in metrics and an object in the observer's facts. */
function about(dimension) {
  if (typeof dimension === "string") return dimension || W.anomalies.whole;
  const parts = Object.entries(dimension ?? {}).map(([name, value]) => `${plain(name)} ${value}`);
  return parts.join(", ") || W.anomalies.whole;
}

const titled = (each) => each.title || word(W.kpis, each.kpi);

function episode(each, context) {
  const colour = each.severity === "critical" ? "bad" : "warn";
  const shown = seen(colour, context);
  return h(
    "li",
    { key: each.anomaly_id, class: `episode ${shown}`, "data-episode": each.anomaly_id },
    h("p", {}, mark(shown), " ", h("strong", {}, titled(each)), ` (${about(each.dimension)})`),
    h("p", {}, W.anomalies.versus(figure(each.value, each.unit), figure(each.expected, each.unit)), "; ", W.anomalies.score(number(each.score)), "; ", W.anomalies.since(when(each.opened_at, context.now))),
    background(each, context.now),
    verdict(each, context),
  );
}

function background({ contributors = [], causes = [], suppressed_by: known }, now) {
  const parts = contributors.slice(0, 3).map((each) => `${about(each.dimension)} ${number(Math.round(each.share * 100))} %`);
  return [
    parts.length ? h("p", { class: "reason" }, W.anomalies.contributors(parts.join(", "))) : null,
    causes.map((each) => h("p", { class: "reason" }, W.anomalies.before(`${each.what}${each.by ? ` (${each.by})` : ""}`, when(each.at, now)))),
    known ? h("p", { class: "reason" }, W.anomalies.known(plain(known))) : null,
  ];
}

const VERDICTS = ["true", "expected", "false"];

function verdict(each, { operator }) {
  if (each.verdict) return h("p", { class: "reason" }, W.anomalies.judged(word(W.anomalies.verdicts, each.verdict.value), each.verdict.by));
  return h(
    "div",
    { class: "bar" },
    VERDICTS.map((value) =>
      button(W.anomalies.verdicts[value], {
        key: value,
        "data-do": operator.token ? "ask" : "operator",
        "data-action": value,
        "data-target": `anomaly:${each.anomaly_id}`,
        title: operator.token ? null : W.channels.needsToken,
        "aria-label": `${W.anomalies.verdicts[value]}: ${titled(each)} (${about(each.dimension)})`,
      }),
    ),
  );
}

function past(list) {
  const columns = W.anomalies.closedColumns.map((text) => [text, ""]);
  const rows = list.slice(0, 20).map((each) => ({
    key: each.anomaly_id,
    cells: [titled(each), about(each.dimension), moment(each.opened_at), moment(each.closed_at), number(each.score), each.verdict ? word(W.anomalies.verdicts, each.verdict.value) : NOTHING],
  }));
  return h("details", {}, h("summary", {}, `${W.anomalies.closed} (${list.length})`), rows.length ? table(W.anomalies.closed, columns, rows, { tall: true }) : because(W.anomalies.noClosed));
}

/** Every watched figure: the observer's series with their last hour, else the gauges' present. */
function figures(kpis, observed) {
  if (!observed?.series.length) return kpis.map((each) => ({ ...each, title: word(W.kpis, each.kpi), unit: "", points: [] }));
  return observed.series.map((series) => {
    const [, value, expected, low, high] = series.points.at(-1) ?? [];
    return { ...series, value, expected, low, high };
  });
}

function watched(kpis, observed) {
  const list = figures(kpis, observed);
  const write = (value, { unit }) => (unit ? figure(value, unit) : number(value));
  const range = (each) => (isNumber(each.low) && isNumber(each.high) ? `${write(each.low, each)} – ${write(each.high, each)}` : NOTHING);
  const state = ({ active }) => (active ? h("span", { class: active > 1 ? "bad" : "warn" }, icon(active > 1 ? "bad" : "warn"), " ", W.anomalies[active > 1 ? "severe" : "active"]) : null);
  const rows = list.map((each) => ({
    key: `${each.kpi} ${about(each.dimension)}`,
    cells: [
      [titled(each), " ", state(each)],
      about(each.dimension),
      write(each.value, each),
      write(each.expected, each),
      range(each),
      number(each.score),
      sparkline(each.points.map(([at, value]) => [at, value])),
    ],
  }));
  const columns = [...W.anomalies.columns, W.lastHour].map((text, index) => [text, index > 1 && index < 6 ? "number" : ""]);
  const title = W.anomalies.watched(rows.length);
  return rows.length ? h("details", {}, h("summary", {}, title), table(title, columns, rows, { tall: true })) : null;
}
