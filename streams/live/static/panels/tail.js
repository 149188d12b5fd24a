// The last decisions as sentences. It may stand still while somebody reads.

import { h } from "../draw.js";
import { clock } from "../format.js";
import { because, button, icon } from "../parts.js";
import { W, word } from "../words.js";

export const id = "tail";

const SYMBOL = { send: "ok", defer: "later", suppress: "stop", disarm: "ended" };

export function view(snapshot, context) {
  const { tail } = snapshot;
  const { held } = context;
  const shown = (held ?? tail.decisions).filter((each) => matches(each, context.chosen));
  return [controls(context.chosen), still(tail, context), shown.length ? list(shown, context) : h("div", { class: "tail" }, because(empty(tail, held)))];
}

const empty = (tail, held) => ((held ?? tail.decisions).length ? W.tail.noMatch : (tail.reason ?? W.tail.none));

function controls(chosen) {
  const outcomes = ["", "send", "defer", "suppress", "disarm"];
  return h(
    "div",
    { class: "bar" },
    button([icon(chosen.paused ? "play" : "pause"), " ", chosen.paused ? W.tail.resume : W.tail.pause], { "data-do": "hold", "aria-pressed": String(Boolean(chosen.paused)) }),
    h("label", {}, W.tail.filter, h("input", { type: "search", id: "tail-filter", "data-choose": "tail", maxlength: "100", autocomplete: "off", "data-initial": chosen.tail })),
    h("label", {}, W.tail.outcome, h("select", { "data-choose": "outcome" }, outcomes.map((name) => h("option", { key: name, value: name, selected: name === chosen.outcome }, name ? W.outcomes[name] : W.tail.all)))),
  );
}

function still({ decisions }, { held, heldAt }) {
  if (!held) return null;
  const known = new Set(held.map((each) => each.id));
  const newer = decisions.filter((each) => !known.has(each.id)).length;
  return h("p", { class: "reason" }, W.tail.paused(clock(heldAt), newer === decisions.length && newer ? W.tail.atLeast(newer) : newer));
}

function matches(each, { tail, outcome }) {
  if (outcome && each.outcome !== outcome) return false;
  const text = `${each.user} ${each.campaign} ${each.trigger} ${each.reason} ${each.channel ?? ""} ${each.sentence}`;
  return text.toLowerCase().includes(tail.toLowerCase());
}

// Rows have no key: they are filled anew in place, so that nothing on the page moves.
function list(decisions, context) {
  return h(
    "ol",
    { class: "tail", tabindex: "0", "aria-label": W.tail.list },
    decisions.map((each) =>
      h(
        "li",
        { "data-outcome": each.outcome },
        h("time", { datetime: new Date(each.at).toISOString() }, context.simulated ? new Date(each.at).toISOString().slice(5, 16).replace("T", " ") : clock(each.at)),
        h("span", { class: "nowrap" }, icon(SYMBOL[each.outcome] ?? "unknown"), " ", word(W.outcomes, each.outcome)),
        h("span", { class: "said" }, h("code", {}, each.user), " ", h("strong", {}, each.campaign), ": ", each.sentence),
      ),
    ),
  );
}
