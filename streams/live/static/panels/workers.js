// Every process that left a summary: workers, observer, audit.

import { h } from "../draw.js";
import { NOTHING, bytes, count, duration, isNumber, percent } from "../format.js";
import { because, mark, seen, table } from "../parts.js";
import { W, plain, word } from "../words.js";

export const id = "workers";

export function view(snapshot, context) {
  const { processes, reason } = snapshot.workers;
  if (!processes.length) return because(reason ?? W.workers.none);
  const columns = W.workers.columns.map((text, index) => [text, index > 2 ? "number" : ""]);
  const rows = processes.map((each) => ({ key: `${each.kind} ${each.name}`, cells: cells(each, snapshot.now, context) }));
  const findings = processes.flatMap((each) => each.findings.map((text) => `${each.name}: ${text}`));
  return [
    table(W.panels.workers[0], columns, rows),
    findings.length ? h("ul", {}, findings.map((text) => h("li", { key: text }, mark(seen("warn", context)), " ", text))) : null,
  ];
}

const COLOUR = { live: "ok", stale: "warn", absent: "unknown" };
const maybe = (value, write) => (isNumber(value) ? write(value) : NOTHING);

function cells(each, now, context) {
  return [
    [each.name, " ", h("span", { class: "reason" }, [word(W.workers.kinds, each.kind), each.version].filter(Boolean).join(" "))],
    h("span", { class: "nowrap" }, mark(seen(each.halted ? "bad" : COLOUR[each.state], context)), " ", each.halted ? W.workers.halted(each.halted) : W.workers.state[each.state]),
    partitions(each.partitions),
    maybe(each.lag_records, (value) => `${count(value)} ${W.workers.records}`),
    maybe(each.lag_seconds, duration),
    maybe(each.loop_gap_p99, duration),
    maybe(each.redis_p99, duration),
    maybe(each.memory_bytes, bytes),
    maybe(each.cpu, percent),
    count(each.errors),
    duration(Math.max(0, Math.round((now - each.started_at) / 1000))),
  ];
}

function partitions(owned) {
  const said = Object.entries(owned).map(([agent, n]) => `${plain(agent)} ${n}`);
  return said.length ? said.join(", ") : NOTHING;
}
