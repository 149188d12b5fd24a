// One person: what support is asked every day. Only with the operator's token, never in the URL.

import { h } from "../draw.js";
import { NOTHING } from "../format.js";
import { because, button, table } from "../parts.js";
import { W } from "../words.js";

export const id = "person";

export function view(snapshot, { operator }) {
  if (!operator.token)
    return [h("p", { class: "reason" }, W.person.needsToken), button(W.person.setToken, { "data-do": "operator" })];
  return [
    h(
      "form",
      { class: "bar", "data-submit": "look" },
      h("label", {}, W.person.user, h("input", { type: "text", id: "person-id", required: true, maxlength: "200", autocomplete: "off", spellcheck: "false" })),
      h("button", { type: "submit" }, W.person.look),
      operator.person ? button(W.person.close, { "data-do": "forget-person" }) : null,
    ),
    h("p", { class: "reason" }, W.person.hint),
    h("div", { role: "status" }, found(operator.person)),
  ];
}

function found(person) {
  if (!person) return null;
  if (person.busy) return h("p", {}, W.person.looking);
  if (person.refused) return h("p", { class: "answer bad" }, person.refused);
  return answer(person.found);
}

function answer({ user, lines, triggers, caps, decisions, until }) {
  return [
    h("p", {}, W.person.pseudonym, " ", h("code", {}, user)),
    h("ul", {}, lines.map((text, index) => h("li", { key: index }, text))),
    h("h3", {}, W.person.triggers),
    triggers.length ? rows(W.person.triggers, W.person.triggerColumns, triggers, ["campaign", "about", "due_at", "decided"]) : because(W.person.noTriggers),
    h("h3", {}, W.person.caps),
    caps.length ? rows(W.person.caps, W.person.capColumns, caps.map((cap) => ({ ...cap, fill: `${cap.used} / ${cap.limit}` })), ["name", "fill", "free_at"]) : because(W.person.noCaps),
    h("h3", {}, W.person.decisions),
    decisions.length ? h("ul", {}, decisions.map((each, index) => h("li", { key: index }, each.line ?? `${when(each.at)} ${each.campaign}: ${each.sentence}`))) : because(W.person.noDecisions),
    until ? because(W.person.until(when(until))) : null,
  ];
}

/** ISO times without the T and what nobody reads; other values as they are. */
const when = (value) => (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) ? `${value.slice(0, 16).replace("T", " ")} UTC` : (value ?? NOTHING));

function rows(caption, columns, list, fields) {
  const cells = (each) => fields.map((name) => String(when(each[name] === "" ? null : each[name])));
  return table(caption, columns.map((text) => [text, ""]), list.map((each, index) => ({ key: index, cells: cells(each) })));
}
