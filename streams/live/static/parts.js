// Pieces several panels are made of.

import { h } from "./draw.js";
import { NOTHING, clock, figure, isNumber } from "./format.js";
import { W } from "./words.js";

/** A symbol of the sprite in index.html; never the only carrier of a meaning. */
export function icon(name) {
  return h("svg", { class: "icon", "aria-hidden": "true", viewBox: "0 0 16 16" }, h("use", { href: `#i-${name}` }));
}

/** Icon, colour and, for those who see neither, a word. */
export function mark(colour) {
  return [h("span", { class: colour }, icon(colour)), h("span", { class: "unseen" }, `${W.state[colour]}: `)];
}

/** While there is no news nothing is known to be well: every colour is grey then. */
export const seen = (colour, context) => (context.connection === "live" ? colour : "unknown");

/** A {value, unit, reason} with its unit, or a dash with why. */
export function told({ value, unit, reason }, write = figure) {
  if (isNumber(value)) return write(value, unit);
  return [NOTHING, h("span", { class: "reason" }, reason ?? W.notTold)];
}

/** Why a panel has nothing to show. */
export const because = (text) => h("p", { class: "reason" }, text);

/**
 * A table that scrolls inside itself when it is too wide. Columns: [heading, "number" | ""];
 * rows: {key, cells}; the first cell is the heading of its row.
 */
export function table(caption, columns, rows, { tall = false } = {}) {
  const kind = (index) => (columns[index][1] ? { class: columns[index][1] } : {});
  return h(
    "div",
    { class: tall ? "scroll tall" : "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([text], index) => h("th", { scope: "col", ...kind(index) }, text)))),
      h(
        "tbody",
        {},
        rows.map(({ key, cells }) =>
          h("tr", { key }, cells.map((cell, index) => h(index ? "td" : "th", { ...(index ? {} : { scope: "row" }), ...kind(index) }, cell))),
        ),
      ),
    ),
  );
}

/** Term and definition pairs; [term, definition, "wide"] takes the whole line. */
export function pairs(list) {
  return h(
    "dl",
    { class: "pairs" },
    list.map(([term, value, kind]) => h("div", { key: term, class: kind }, h("dt", {}, term), h("dd", {}, value))),
  );
}

/** Where a panel's figures come from when that is not quite now. */
export function provenance({ state, as_of: at, reason }) {
  if (!state || state === "live") return reason ? h("span", { class: "reason" }, reason) : null;
  const when = state === "stale" && at ? W.panelState.stale(`${clock(at)} UTC`) : W.panelState.absent;
  return h("span", { class: "reason" }, icon("unknown"), " ", reason ?? when);
}

/** channel:sms → ["channel", "sms"]; what stands behind the first colon is the name. */
export function apart(target) {
  const at = target.indexOf(":");
  return at < 0 ? [target, ""] : [target.slice(0, at), target.slice(at + 1)];
}

export function button(text, props, ...rest) {
  return h("button", { type: "button", ...props }, text, rest);
}
