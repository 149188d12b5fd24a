// One card a channel: what went out, what came of it, whether it runs, and the switch.

import { sparkline } from "../charts.js";
import { h } from "../draw.js";
import { NOTHING, count, gain, isNumber, money, number, percent, rate, when } from "../format.js";
import { apart, because, button, icon, pairs, provenance, seen, told } from "../parts.js";
import { W, channelName, plain, word } from "../words.js";

export const id = "channels";

const SHOWN = ["delivered", "opened", "clicked", "bounced", "failed", "complained", "unsubscribed"];
const COLOUR = { running: "ok", throttled: "warn", paused: "bad" };
const SYMBOL = { running: "ok", throttled: "warn", paused: "pause" };

export function view(snapshot, context) {
  const { channels, pauses, observer } = snapshot.channels;
  if (!channels.length) return because(snapshot.channels.reason ?? W.channels.none);
  const others = pauses.filter((pause) => !pause.name.startsWith("channel:"));
  return [
    h("div", { class: "cards" }, channels.map((channel) => card(channel, context))),
    others.length ? besides(others, context) : null,
    context.observed?.controls.length ? done(context.observed.controls, context.now) : null,
    h("p", { class: "reason" }, W.channels.opens),
    observer.state === "live" ? null : h("p", {}, provenance(observer)),
  ];
}

function card(channel, context) {
  const { name } = channel;
  return h(
    "article",
    { class: "card", key: name, "data-channel": name, "data-running": channel.running, "aria-label": channelName(name) },
    h("header", {}, h("h3", {}, channelName(name)), state(channel, context)),
    channel.paused.map((pause) => h("p", { class: "small" }, why(pause, context.now))),
    pairs([...sent(channel, rowOf(channel, context)), ...came(channel, context)]),
    sparkline(context.windowed(channel.history), 240),
    h("div", { class: "bar" }, channel.running === "running" ? null : act("resume", `channel:${name}`, context), channel.running === "paused" ? null : act("pause", `channel:${name}`, context)),
  );
}

function state({ running, share }, context) {
  const colour = seen(COLOUR[running], context);
  const text = running === "throttled" ? W.channels.throttled(percent(share)) : W.channels[running];
  const symbol = colour === "unknown" ? "unknown" : SYMBOL[running];
  return h("span", { class: `state ${colour}` }, icon(symbol), h("span", {}, text));
}

/** Who paused it, since when, until when, and with which words. */
export function why({ by, since, until, reason }, now) {
  const said = [W.channels.by(actor(by)), since && W.channels.since(when(since, now)), until && W.channels.until(when(until, now))];
  return [said.filter(Boolean).join(", "), reason ? `: ${reason}` : ""].join("");
}

/** The observer's sums of a channel, where it tells them. */
const rowOf = ({ name }, { observed }) => observed?.channels.find((each) => each.channel === name);

/** How much goes out now, and what went out: over the observer's period, else what is kept. */
function sent({ per_minute: speed, handed_over: handed }, row) {
  const now = [W.channels.rate, isNumber(speed) ? rate(speed / 60) : NOTHING];
  if (row) return [now, [W.channels.sent, count(row.sent)], [W.channels.withheld, count(row.withheld)], [W.channels.outcomes.accepted, of(row.accepted, row.sent)]];
  const rows = Object.entries(handed).filter(([, n]) => n > 0);
  const total = rows.reduce((sum, [, n]) => sum + n, 0);
  return [now, ...rows.map(([result, n]) => [word(W.channels.handed, result), of(n, total)])];
}

const of = (n, total) => (total > 0 && n < total ? [count(n), h("span", { class: "reason" }, percent(n / total))] : count(n));

/** What came back: the observer's row where it is told, else what the channel's counters say. */
function came(channel, context) {
  const row = rowOf(channel, context);
  const currency = context.currency;
  const outcomes = row ?? channel.outcomes;
  const shown = row || context.listens ? SHOWN : [];
  const amount = (figure, value) =>
    isNumber(value) ? money(value, currency) : told(figure, (known) => money(known, currency));
  const accepted = row?.accepted ?? channel.handed_over.accepted ?? 0;
  return [
    ...shown.map((type) => [word(W.channels.outcomes, type), of(outcomes[type] ?? 0, accepted)]),
    [W.channels.converted, row ? count(row.converted) : told(channel.converted)],
    [W.channels.cost, amount(channel.cost, row?.cost)],
    [W.channels.revenue, amount(channel.revenue, row?.revenue)],
    [W.channels.roi, row ? told({ value: row.roi, unit: "ratio", reason: row.roi === null ? W.channels.noRoi : null }, gain) : told(channel.roi, gain)],
    [W.channels.lift, effect(channel, row), "wide"],
  ];
}

function effect(channel, row) {
  const lift = row
    ? isNumber(row.lift) && { value: row.lift, low: row.lift_low, high: row.lift_high, treated: row.treated_rows, withheld: row.withheld_rows }
    : channel.lift;
  if (!lift) return [NOTHING, h("span", { class: "reason" }, row ? W.channels.noLift : (channel.lift_reason ?? W.notTold))];
  const points = (share) => `${share > 0 ? "+" : ""}${number(Math.round(share * 1000) / 10)}`;
  return [
    `${W.channels.liftText(points(lift.value), points(lift.low), points(lift.high))} ${W.channels.points}`,
    h("span", { class: "reason" }, W.channels.liftN(count(lift.treated), count(lift.withheld))),
  ];
}

function besides(list, context) {
  return h(
    "div",
    {},
    h("h3", {}, W.channels.others),
    h("ul", {}, list.map((pause) => h("li", { key: `${pause.name} ${pause.by}`, class: "bar" }, h("span", {}, icon("pause"), " ", plain(pause.name.replace(":", " ")), ", ", why(pause, context.now)), act("resume", pause.name, context)))),
  );
}

/** What people, the audit and brakes did lately, newest first. */
function done(controls, now) {
  const rows = controls.slice(0, 10).map((each) => {
    const [kind, name] = apart(each.target);
    const what = `${word(W.channels.actions, each.action)} ${kind === "channel" ? channelName(name) : name}`;
    return h("li", { key: each.id }, W.channels.doneBy(when(each.at, now), actor(each.actor), what), each.reason ? `: ${each.reason}` : "");
  });
  return h("details", {}, h("summary", {}, W.channels.done), h("ul", {}, rows));
}

function actor(by) {
  const [kind, name] = apart(by);
  return name || word(W.channels.who, kind);
}

/** A switch; without a token it says that it needs one, and opens the place to set it. */
export function act(action, target, { operator }) {
  const [kind, name] = apart(target);
  const what = kind === "channel" ? W.confirm.channel(channelName(name)) : W.confirm.campaign(name);
  return button(
    [icon(action === "pause" ? "pause" : "play"), " ", W.channels[action]],
    {
      key: action,
      "data-do": operator.token ? "ask" : "operator",
      "data-action": action,
      "data-target": target,
      "aria-label": operator.token ? `${W.channels[action]} ${what}` : `${W.channels[action]} ${what}: ${W.channels.needsToken}`,
      title: operator.token ? null : W.channels.needsToken,
    },
  );
}
