// The three dialogs: confirm an action, set the operator's token, the list of keys. The browser's
// own <dialog> keeps the focus inside, closes on Escape and gives the focus back.

import { h } from "./draw.js";
import { apart, button } from "./parts.js";
import { W, channelName } from "./words.js";

export function confirm({ asked }) {
  if (!asked) return null;
  const { action, target, busy, answer } = asked;
  const [title, text] = words(action, target);
  const control = !target.startsWith("anomaly:");
  return [
    h("h2", { id: "confirm-title" }, title),
    h(
      "form",
      { "data-submit": "confirm" },
      h("p", {}, text),
      answer?.ok ? null : h("label", { key: "why" }, W.confirm.why, h("input", { type: "text", name: "reason", maxlength: "200", required: control, autocomplete: "off" })),
      answer?.ok || action !== "pause" ? null : h("label", { key: "minutes" }, W.confirm.minutes, h("input", { type: "number", name: "minutes", min: "1", max: "10080", step: "1", inputmode: "numeric" })),
      h("p", { role: "status", class: answer ? `answer ${answer.ok ? "ok" : "bad"}` : "answer empty" }, busy ? W.confirm.busy : (answer?.text ?? "")),
      h(
        "div",
        { class: "bar" },
        button(answer?.ok ? W.confirm.close : W.confirm.no, { "data-do": "close", "data-dialog": "confirm" }),
        answer?.ok ? null : h("button", { key: "yes", type: "submit", class: "strong", disabled: busy }, W.confirm.yes[action]),
      ),
    ),
  ];
}

function words(action, target) {
  const [kind, name] = apart(target);
  if (kind === "anomaly") return [W.confirm.verdict[action], W.confirm.verdictText[action]];
  const what = kind === "channel" ? W.confirm.channel(channelName(name)) : W.confirm.campaign(name);
  return [W.confirm[action](what), W.confirm[`${action}Text`]];
}

export function operator({ token }, allowed) {
  return [
    h("h2", { id: "operator-title" }, W.operator.title),
    h(
      "form",
      { "data-submit": "operator" },
      h("p", {}, allowed ? W.operator.text : W.operator.off),
      h("label", {}, W.operator.label, h("input", { type: "password", name: "token", required: true, autocomplete: "off", maxlength: "500" })),
      h("label", {}, W.operator.name, h("input", { type: "text", name: "name", required: true, autocomplete: "off", maxlength: "60", pattern: "[A-Za-z0-9._@ \\-]+" })),
      h(
        "div",
        { class: "bar" },
        button(W.operator.cancel, { "data-do": "close", "data-dialog": "operator" }),
        token ? button(W.operator.forget, { key: "forget", "data-do": "forget-token" }) : null,
        h("button", { key: "save", type: "submit", class: "strong" }, W.operator.save),
      ),
    ),
  ];
}

export function keys({ keys: on }) {
  return [
    h("h2", { id: "keys-title" }, W.keys.title),
    h(
      "div",
      { class: "stack" },
      h("dl", {}, W.keys.list.flatMap(([key, text]) => [h("dt", {}, key.split("  ").map((each) => [h("kbd", {}, each), " "])), h("dd", {}, text)])),
      h("label", { class: "bar" }, h("input", { type: "checkbox", "data-choose": "keys", "data-on": "on", "data-off": "off", checked: on === "on" }), W.keys.enabled),
      h("div", { class: "bar" }, button(W.keys.close, { "data-do": "close", "data-dialog": "keys" })),
    ),
  ];
}
