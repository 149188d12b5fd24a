// The way of a record, box by box: what goes in and out, what waits, what fails.

import { h } from "../draw.js";
import { count, duration, isNumber, percent, rate } from "../format.js";
import { because, mark, seen } from "../parts.js";
import { W, word } from "../words.js";

export const id = "flow";

export function view(snapshot, context) {
  const { stages } = snapshot.flow;
  if (!stages.length) return because(snapshot.flow.reason ?? W.nothingYet);
  return h("ol", { class: "flow" }, stages.map((stage) => box(stage, context)));
}

function box(stage, context) {
  const colour = seen(stage.state, context);
  return h(
    "li",
    { key: stage.name },
    h(
      "div",
      { class: `stage ${colour}`, "data-state": colour },
      h("h3", {}, mark(colour), " ", word(W.stages, stage.name)),
      h("p", {}, word(W.stageSays, stage.name)),
      h("p", { class: "big" }, through(stage)),
      details(stage).map((text) => h("p", {}, text)),
      stage.findings.map((text) => h("p", { class: "bad" }, text)),
    ),
  );
}

function through({ rate_in: inward, rate_out: outward }) {
  if (!isNumber(inward) && !isNumber(outward)) return W.stage.quiet;
  return isNumber(inward) ? W.stage.flow(rate(inward), rate(outward)) : W.stage.out(rate(outward));
}

function details(stage) {
  return [
    isNumber(stage.waiting) && W.stage.waiting(count(stage.waiting)),
    isNumber(stage.p95) && W.stage.p95(duration(stage.p95)),
    isNumber(stage.busy) && W.stage.busy(percent(stage.busy)),
    isNumber(stage.errors) && (stage.errors > 0 ? W.stage.errors(rate(stage.errors)) : W.stage.noErrors),
  ].filter(Boolean);
}
