// Why did somebody get no message: what is left after each question, then every reason.

import { h } from "../draw.js";
import { count, percent } from "../format.js";
import { because, table } from "../parts.js";
import { W, reason, word } from "../words.js";

export const id = "decisions";

export function view(snapshot, context) {
  const { decisions } = snapshot;
  if (!decisions.decided) return because(decisions.reason ?? W.decisions.none);
  return [lead(decisions, context), funnel(decisions), reasons(decisions)];
}

function lead({ decided, reasons: list, since }, context) {
  const sent = list.find((each) => each.reason === "sent");
  const most = list.find((each) => each.reason !== "sent");
  const span = context.span(since);
  return h(
    "p",
    { class: "lead" },
    W.decisions.lead(count(decided), span, count(sent?.count ?? 0), percent(sent?.share ?? 0)),
    " ",
    most && W.decisions.most(reason(most.reason), count(most.count), percent(most.share)),
  );
}

function funnel({ decided, steps }) {
  const rows = [{ name: null, passed: decided, stopped: 0, share: 1 }, ...steps];
  return h("ol", { class: "funnel", "aria-label": W.decisions.funnel }, rows.map((step, index) => row(step, index === rows.length - 1)));
}

function row({ name, passed, stopped, share }, last) {
  return h(
    "li",
    { key: name ?? "all", class: last ? "sent" : null, vars: { "--share": `${(share * 100).toFixed(2)}%` } },
    h("span", {}, name === null ? W.decisions.decided : word(W.steps, name)),
    h("span", { class: "number quiet small" }, stopped ? W.decisions.stopped(`−${count(stopped)}`) : ""),
    h("span", { class: "number" }, count(passed), h("span", { class: "unseen" }, ` ${W.decisions.left}`)),
  );
}

function reasons({ reasons: list }) {
  const rows = list.map((each) => ({
    key: each.reason,
    cells: [reason(each.reason), count(each.count), percent(each.share), most(each.campaigns)],
  }));
  const columns = W.decisions.columns.map((text, index) => [text, index === 1 || index === 2 ? "number" : ""]);
  return h("details", {}, h("summary", {}, W.decisions.reasons), table(W.decisions.reasons, columns, rows, { tall: true }));
}

const most = (campaigns) => Object.entries(campaigns).sort((a, b) => b[1] - a[1])[0]?.[0] ?? "–";
