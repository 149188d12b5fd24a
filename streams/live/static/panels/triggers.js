// Who waits for a message: by campaign, and how late the timers are.

import { h } from "../draw.js";
import { count, duration, rate, when } from "../format.js";
import { because, mark, pairs, seen, table, told } from "../parts.js";
import { W } from "../words.js";
import { act } from "./channels.js";

export const id = "triggers";

export function view(snapshot, context) {
  const { triggers } = snapshot;
  return [facts(triggers, context), campaigns(triggers, context)];
}

function facts(triggers, context) {
  const { gate_open: open, gate_behind: behind } = triggers;
  const gate = open === null ? "unknown" : open ? "ok" : "warn";
  return pairs([
    [W.triggers.waiting, told(triggers.waiting)],
    [W.triggers.nextDue, due(triggers.next_due, context.now)],
    [W.triggers.lateness, told(triggers.lateness_p99)],
    [W.triggers.gate, [mark(seen(gate, context)), " ", open === null ? W.triggers.gateUnknown : open ? W.triggers.gateOpen : W.triggers.gateShut(duration(behind))]],
  ]);
}

function due(at, now) {
  if (at === null) return W.triggers.nobody;
  const left = duration(Math.round(Math.abs(at - now) / 1000));
  return [at >= now ? W.triggers.in(left) : W.triggers.overdue(left), h("span", { class: "reason" }, when(at, now))];
}

function campaigns({ campaigns: list, reason }, context) {
  if (!list.length) return because(reason ?? W.triggers.none);
  const wanted = context.chosen.trigger.toLowerCase();
  const shown = list.filter(({ name }) => name.toLowerCase().includes(wanted));
  const rows = shown.map((each) => ({
    key: each.name,
    cells: [each.name, much(each.armed, each.armed_rate), much(each.due, each.due_rate), count(each.sent), count(each.ended), act(paused(each, context) ? "resume" : "pause", `campaign:${each.name}`, context)],
  }));
  const columns = [...W.triggers.columns.map((text, index) => [text, index ? "number" : ""]), [W.triggers.control, ""]];
  return [
    h("div", { class: "bar" }, h("label", {}, W.triggers.search, h("input", { type: "search", "data-choose": "trigger", maxlength: "100", autocomplete: "off", "data-initial": context.chosen.trigger }))),
    rows.length ? table(W.panels.triggers[0], columns, rows, { tall: true }) : because(W.triggers.noMatch),
  ];
}

const paused = ({ name }, { pauses }) => pauses.some((pause) => pause.name === `campaign:${name}`);

const much = (number, speed) => [count(number), h("span", { class: "reason under" }, rate(speed))];
