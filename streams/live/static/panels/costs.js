// What speaking costs, by channel, and how much of what is due is let out.

import { h } from "../draw.js";
import { money, percent } from "../format.js";
import { because } from "../parts.js";
import { W, channelName } from "../words.js";

export const id = "costs";

export function view(snapshot, { currency, observed }) {
  const costs = observed ? ofObserver(observed) : snapshot.costs.costs;
  if (!costs.length) return because(snapshot.costs.reason ?? W.costs.none);
  const total = costs.reduce((sum, each) => sum + each.spent, 0);
  const shares = new Map(snapshot.channels.channels.map((each) => [each.name, each.share]));
  return [
    h("ul", { class: "episodes" }, costs.map((cost) => row(cost, total, shares.get(cost.channel), currency))),
    currency ? null : because(W.costs.noCurrency),
  ];
}

const DAY = 86_400_000;

function ofObserver({ channels, since, until }) {
  const days = (until - since) / DAY;
  return channels.filter(({ cost }) => cost !== null).map(({ channel, cost }) => ({ channel, spent: cost, per_day: days > 0 ? cost / days : null }));
}

function row({ channel, spent, per_day: daily }, total, letOut, currency) {
  const share = total > 0 ? spent / total : 0;
  return h(
    "li",
    { key: channel },
    h("p", { class: "bar" }, h("strong", {}, channelName(channel)), h("span", {}, money(spent, currency)), h("span", { class: "reason" }, W.costs.share(percent(share)))),
    h("span", { class: "gauge", "aria-hidden": "true", vars: { "--share": `${(share * 100).toFixed(2)}%` } }),
    h("p", { class: "reason" }, daily === null ? W.costs.tooShort : W.costs.perDay(money(daily, currency)), letOut === undefined ? null : `; ${W.costs.letOut(percent(letOut))}`),
  );
}
