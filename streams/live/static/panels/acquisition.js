// Where buyers come from: the way from visit to purchase, and what an order from there costs.

import { h } from "../draw.js";
import { NOTHING, count, gain, isNumber, money, percent } from "../format.js";
import { because, table, told } from "../parts.js";
import { W, word } from "../words.js";

export const id = "acquisition";

const STEPS = ["visit", "product", "cart", "checkout", "purchase"];

export function view(snapshot, context) {
  const rows = context.observed ? observed(context.observed) : snapshot.funnel.sources;
  if (!rows.length) return because(snapshot.funnel.reason ?? W.acquisition.none);
  const { source } = context.chosen;
  const chosen = rows.some((row) => row.source === source) ? source : "";
  return [picker(rows, chosen), funnel(rows.filter((row) => !chosen || row.source === chosen)), costs(rows, context)];
}

/** The observer's rows in the shape of the counters', so that one view shows both. */
function observed(facts) {
  return facts.acquisition.map((row) => ({
    source: row.source,
    steps: { visit: row.visits, product: row.product, cart: row.cart, checkout: row.checkout, purchase: row.purchase },
    orders: row.orders,
    value: row.order_value,
    cost: row.cost,
    per_order: { value: row.cpa, unit: "currency", reason: row.cost === null ? W.acquisition.noCost : W.acquisition.noOrder },
    roi: { value: row.roi, unit: "ratio", reason: row.cost === null ? W.acquisition.noCost : W.acquisition.free },
  }));
}

function picker(rows, chosen) {
  const names = ["", ...rows.map((row) => row.source)];
  return h(
    "div",
    { class: "bar" },
    h(
      "label",
      {},
      W.acquisition.source,
      h("select", { "data-choose": "source" }, names.map((name) => h("option", { key: name, value: name, selected: name === chosen }, name || W.acquisition.all))),
    ),
  );
}

function funnel(rows) {
  const total = (step) => rows.reduce((sum, row) => sum + (row.steps[step] ?? 0), 0);
  const first = total(STEPS[0]);
  return h(
    "ol",
    { class: "funnel", "aria-label": W.panels.acquisition[1] },
    STEPS.map((step) => {
      const share = first > 0 ? Math.min(1, total(step) / first) : 0;
      return h(
        "li",
        { key: step, vars: { "--share": `${(share * 100).toFixed(2)}%` } },
        h("span", {}, word(W.acquisition.steps, step)),
        h("span", { class: "number quiet small" }, first > 0 ? percent(total(step) / first) : NOTHING),
        h("span", { class: "number" }, count(total(step))),
      );
    }),
  );
}

function costs(rows, { currency }) {
  const amount = (value) => (isNumber(value) ? money(value, currency) : [NOTHING, h("span", { class: "unseen" }, ` ${W.acquisition.noCost}`)]);
  const columns = [["source", ""], ["orders", "number"], ["value", "number"], ["cost", "number"], ["perOrder", "number"], ["roi", "number"]];
  return table(
    W.acquisition.caption,
    columns.map(([name, kind]) => [W.acquisition[name], kind]),
    rows.map((row) => ({
      key: row.source,
      cells: [
        row.source,
        count(row.orders),
        amount(row.value),
        amount(row.cost),
        told(row.per_order, (value) => money(value, currency)),
        told(row.roi, gain),
      ],
    })),
  );
}
