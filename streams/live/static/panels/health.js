// Six figures against their targets. Grey is not green: what is not known is never shown as well.

import { sparkline } from "../charts.js";
import { h } from "../draw.js";
import { NOTHING, clock, figure, isNumber } from "../format.js";
import { mark, seen } from "../parts.js";
import { W, word } from "../words.js";

export const id = "health";

export function view(snapshot, context) {
  return h("ul", { class: "tiles" }, snapshot.health.tiles.map((tile) => box(tile, context)));
}

function box(tile, context) {
  const colour = seen(tile.state, context);
  return h(
    "li",
    { key: tile.name, class: `tile ${colour}`, "data-tile": tile.name, "data-state": colour },
    h("h3", {}, word(W.tiles, tile.name)),
    h("p", { class: "value" }, mark(colour), isNumber(tile.value) ? figure(tile.value, tile.unit) : NOTHING),
    h("p", {}, isNumber(tile.target) ? W.tile.target(figure(tile.target, tile.unit)) : W.tile.noTarget),
    note(tile, context),
    sparkline(context.windowed(tile.history)),
  );
}

function note(tile, context) {
  const audited = tile.audited_until ? W.tile.audited(`${clock(tile.audited_until)} UTC`) : null;
  const why = context.connection === "live" ? tile.reason : W.tile.disconnected;
  return why || audited ? h("p", {}, [why, audited].filter(Boolean).join("; ")) : null;
}
