// One chart a source, with the range the observer expects it in.

import { h } from "../draw.js";
import { count, duration, isNumber, minute, moment, rate, when } from "../format.js";
import { because, mark, seen, table } from "../parts.js";
import { W, plain } from "../words.js";

export const id = "traffic";

export function view(snapshot, context) {
  const { traffic } = snapshot;
  if (!traffic.sources.length) return because(traffic.reason ?? W.nothingYet);
  return [
    h("div", { class: "charts" }, traffic.sources.map((source) => chart(source, context))),
    traffic.dead_letters.length ? letters(traffic.dead_letters, context.span(snapshot.decisions.since)) : null,
  ];
}

function chart(source, context) {
  const points = context.windowed(source.history);
  const of = band(source, context.observed);
  context.charts.set(`traffic-${source.name}`, {
    format: rate,
    data: {
      times: points.map(([at]) => at / 1000),
      values: points.map(([, value]) => value),
      lows: points.map(([at]) => of(at, 0)),
      highs: points.map(([at]) => of(at, 1)),
    },
  });
  const colour = seen(judged(source), context);
  return h(
    "figure",
    { key: source.name, "data-source": source.name, "data-state": colour },
    h(
      "figcaption",
      {},
      h("strong", {}, source.name),
      h("span", {}, mark(colour), " ", rate(source.rate), ", ", said(source, context)),
      h("span", { class: "reason" }, usual(source)),
    ),
    h("div", { class: "chart", key: "chart", own: true, role: "img", "aria-label": summary(source, points), "data-chart": `traffic-${source.name}` }),
    numbers(source, points, of, context),
  );
}

/** What was expected at a time, per second: (ms, 0 = low | 1 = high) → number or null. */
function band({ name }, observed) {
  const series = observed?.series.find((each) => each.dimension.source === name && /^events?/.test(each.kpi));
  if (!series) return () => null;
  const width = series.window_s * 1000;
  return (at, side) => {
    const point = series.points.find(([end]) => at > end - width && at <= end);
    const value = point?.[side ? 4 : 3];
    return isNumber(value) ? value / series.window_s : null;
  };
}

const out = ({ rate: now, low, high }) =>
  !isNumber(low) || !isNumber(high) || !isNumber(now) ? null : now > high ? "above" : now < low ? "below" : "asUsual";

function judged(source) {
  if (source.silent) return "bad";
  if (!isNumber(source.rate)) return "unknown";
  const place = out(source);
  return place === null ? "unknown" : place === "asUsual" ? "ok" : "warn";
}

function said(source, context) {
  if (source.silent) return W.traffic.silent(duration(Math.round(source.silent_for / 1000)));
  const place = out(source);
  if (place !== null) return W.traffic[place];
  if (source.last_at !== null) return W.traffic.last(when(source.last_at, context.now));
  return source.rate > 0 ? W.traffic.sends : W.traffic.never;
}

function usual(source) {
  if (isNumber(source.low) && isNumber(source.high)) return W.traffic.usual(rate(source.low), rate(source.high));
  return W.traffic.noBand;
}

function summary(source, points) {
  const values = points.map(([, value]) => value).filter(isNumber);
  if (!values.length) return W.traffic.summaryEmpty(source.name);
  return W.traffic.summary(source.name, rate(source.rate), rate(Math.min(...values)), rate(Math.max(...values)));
}

/** The chart as a table of at most twelve rows, for whoever cannot see it. */
function numbers(source, points, of, context) {
  const step = Math.max(1, Math.ceil(points.length / 12));
  const shown = points.filter((_, index) => (points.length - 1 - index) % step === 0);
  const rows = shown.map(([at, value], index) => ({
    key: index,
    cells: [context.simulated ? moment(at) : minute(at), rate(value), of(at, 0) === null ? W.traffic.noBand : `${rate(of(at, 0))} – ${rate(of(at, 1))}`],
  }));
  const columns = W.traffic.columns.map((text, index) => [text, index ? "number" : ""]);
  return h("details", {}, h("summary", {}, W.numbers, h("span", { class: "unseen" }, ` ${source.name}`)), table(`${W.numbers} ${source.name}`, columns, rows));
}

function letters(list, number) {
  const [why, speed] = W.traffic.deadColumns;
  const rows = list.map((each) => ({ key: each.name, cells: [plain(each.name), rate(each.rate), count(each.count)] }));
  return h("details", {}, h("summary", {}, W.traffic.deadLetters), table(W.traffic.deadLetters, [[why, ""], [speed, "number"], [number, "number"]], rows));
}
