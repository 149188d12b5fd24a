// What people do, what sells, and what has run out.

import { h } from "../draw.js";
import { NOTHING, count, isNumber, money, number, percent, rate } from "../format.js";
import { because, icon, pairs, table } from "../parts.js";
import { W, plain, word } from "../words.js";

export const id = "shop";

export function view(snapshot, context) {
  return h("div", { class: "cards" }, part(W.shop.behaviour, behaviour(snapshot, context)), part(W.shop.sales, sales(snapshot, context)), part(W.shop.stock, stock(snapshot, context)));
}

const part = (title, content) => h("section", { key: title, "aria-label": title, class: "card" }, h("h3", {}, title), content);

function behaviour(snapshot, { observed, span }) {
  const since = span(snapshot.decisions.since);
  const { types, reason } = snapshot.traffic;
  const rows = types.map((type) => ({ key: type.name, cells: [word(W.types, type.name), rate(type.rate), count(type.count)] }));
  return [
    observed?.behaviour ? ratios(observed.behaviour) : null,
    rows.length ? table(W.shop.behaviour, columns(since), rows, { tall: true }) : because(reason ?? W.nothingYet),
  ];
}

function ratios(behaviour) {
  const share = (value) => (isNumber(value) ? percent(value) : [NOTHING, h("span", { class: "reason" }, W.shop.noBase)]);
  const each = (value) => (isNumber(value) ? number(Math.round(value * 100) / 100) : NOTHING);
  return pairs([
    [W.shop.visits, count(behaviour.visits)],
    [W.shop.viewsPerVisit, each(behaviour.views_per_visit)],
    [W.shop.addsPerView, share(behaviour.adds_per_view)],
    [W.shop.checkoutsPerAdd, share(behaviour.checkouts_per_add)],
    [W.shop.ordersPerVisit, share(behaviour.orders_per_visit)],
  ]);
}

const columns = (span) => [...W.shop.columns, span].map((text, index) => [text, index ? "number" : ""]);

function sales(snapshot, { observed, currency, span }) {
  const sold = observed?.sales.products ?? [];
  if (sold.length) {
    const rows = sold.slice(0, 20).map((each) => ({ key: each.product_id, cells: [[each.name || each.product_id, h("span", { class: "reason under" }, plain(each.category))], count(each.quantity), money(each.value, currency)] }));
    return table(W.shop.sales, W.shop.saleColumns.map((text, index) => [text, index ? "number" : ""]), rows, { tall: true });
  }
  const { products, reason } = snapshot.funnel;
  if (!products.length) return because(reason ?? W.shop.noSales);
  return table(W.shop.sales, columns(span(snapshot.decisions.since)), products.map((each) => ({ key: each.name, cells: [plain(each.name), rate(each.rate), count(each.count)] })), { tall: true });
}

function stock(snapshot, { observed, span }) {
  const since = span(snapshot.decisions.since);
  const { out_of_stock: stopped } = snapshot.funnel;
  const told = observed?.stock;
  return [
    h("p", {}, stopped > 0 ? [h("span", { class: "warn" }, icon("warn")), " ", W.shop.stockText(since, count(stopped))] : W.shop.stockNone(since)),
    told ? [states(told), short(told)] : because(noStock(observed)),
  ];
}

// The observer says in a note why it is not known.
const noStock = (observed) => (observed?.notes ?? []).find((note) => note.startsWith("Stock is not known")) ?? W.shop.noStock;

const states = ({ states: by, best, low_days: days }) =>
  pairs([
    [W.shop.soldOut, [mark("bad", by.sold_out), count(by.sold_out), by.sold_out ? h("span", { class: "reason" }, W.shop.ofBest(count(best.sold_out))) : null]],
    [W.shop.low(number(days)), [mark("warn", by.low), count(by.low), by.low ? h("span", { class: "reason" }, W.shop.ofBest(count(best.low))) : null]],
    [W.shop.inStock, count(by.in_stock)],
    [W.shop.unknown, count(by.unknown + by.unreadable)],
  ]);

const mark = (kind, found) => (found > 0 ? h("span", { class: kind }, icon(kind), " ") : null);

// What sells and is sold out or low: what ends first, first.
function short({ rows }) {
  if (!rows.length) return because(W.shop.enough);
  const lines = rows.slice(0, 10).map((each) => ({
    key: each.product_id,
    cells: [
      each.name,
      [mark(each.stock ? "warn" : "bad", 1), count(each.stock)],
      number(Math.round(each.per_day * 10) / 10),
      each.stock ? number(Math.round(each.days * 10) / 10) : NOTHING,
    ],
  }));
  return table(W.shop.stock, W.shop.stockColumns.map((text, index) => [text, index ? "number" : ""]), lines, { tall: true });
}
