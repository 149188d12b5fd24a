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
  const series = seriesOf(source, context.observed);
  const usual = usually(source, series);
  const of = band(series);
  context.charts.set(`traffic-${source.name}`, {
    format: rate,
    data: {
      times: points.map(([at]) => at / 1000),
      values: points.map(([, value]) => value),
      lows: points.map(([at]) => of(at, 0)),
      highs: points.map(([at]) => of(at, 1)),
    },
  });
  const colour = seen(judged(source, usual), context);
  return h(
    "figure",
    { key: source.name, "data-source": source.name, "data-state": colour },
    h(
      "figcaption",
      {},
      h("strong", {}, source.name),
      h("span", {}, mark(colour), " ", rate(source.rate), ", ", said(source, usual, context)),
      h("span", { class: "reason" }, expected(usual)),
    ),
    h("div", { class: "chart", key: "chart", own: true, role: "img", "aria-label": summary(source, points), "data-chart": `traffic-${source.name}` }),
    numbers(source, points, of, context),
  );
}

/** The observer's series of the records of a source. */
const seriesOf = ({ name }, observed) => observed?.series.find((each) => each.dimension.source === name && /^events?/.test(each.kpi));

/** Its last closed window, per second: what came is held against what was expected of that time. */
function usually({ rate: value, low, high }, series) {
  const last = series?.points.at(-1);
  if (!last) return { value, low, high };
  const [, came, , lowest, highest] = last.map((each) => (isNumber(each) ? each / series.window_s : null));
  return { value: came, low: lowest, high: highest };
}

/** What was expected at a time, per second: (ms, 0 = low | 1 = high) → number or null. */
function band(series) {
  if (!series) return () => null;
  const width = series.window_s * 1000;
  return (at, side) => {
    const point = series.points.find(([end]) => at > end - width && at <= end);
    const value = point?.[side ? 4 : 3];
    return isNumber(value) ? value / series.window_s : null;
  };
}

const out = ({ value: now, low, high }) =>
  !isNumber(low) || !isNumber(high) || !isNumber(now) ? null : now > high ? "above" : now < low ? "below" : "asUsual";

function judged(source, usual) {
  if (source.silent) return "bad";
  if (!isNumber(source.rate)) return "unknown";
  const place = out(usual);
  return place === null ? "unknown" : place === "asUsual" ? "ok" : "warn";
}

function said(source, usual, context) {
  if (source.silent) return W.traffic.silent(duration(Math.round(source.silent_for / 1000)));
  const place = out(usual);
  if (place !== null) return W.traffic[place];
  const last = context.simulated ? lastOf(source, context.observed) : source.last_at;
  if (last !== null) return W.traffic.last(when(last, context.now));
  return source.rate > 0 ? W.traffic.sends : W.traffic.never;
}

/** When the last record was, in the time of the page; brokers only know the wall's. */
const lastOf = ({ name }, observed) => observed?.sources.find((each) => each.source === name)?.last_record_at ?? null;

function expected({ low, high }) {
  return isNumber(low) && isNumber(high) ? W.traffic.usual(rate(low), rate(high)) : W.traffic.noBand;
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
