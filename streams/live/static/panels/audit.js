// What the independent audit found, and how far it has come. Stale is never good.

import { h } from "../draw.js";
import { NOTHING, count, when } from "../format.js";
import { because, icon, table } from "../parts.js";
import { W, channelName, word } from "../words.js";

export const id = "audit";

const VERDICTS = ["ok", "missing", "undecided", "doubled", "over_cap", "quiet_hours", "no_consent", "withheld", "expired"];

export function view(snapshot, { now }) {
  const { audit } = snapshot;
  const channels = Object.keys(audit.verdicts);
  if (audit.state === "absent" || !channels.length) return because(audit.reason ?? W.audit.none);
  const columns = [[W.audit.verdict, ""], ...channels.map((channel) => [channelName(channel), "number"])];
  const rows = VERDICTS.map((verdict) => ({
    key: verdict,
    cells: [word(W.audit.verdicts, verdict), ...channels.map((channel) => cell(verdict, audit.verdicts[channel][verdict] ?? 0))],
  }));
  return [table(W.audit.caption, columns, rows), balance(audit, now)];
}

function cell(verdict, n) {
  if (verdict === "ok" || !n) return n ? count(n) : "0";
  return h("span", { class: "bad" }, icon("bad"), " ", count(n));
}

function balance({ triggers, until }, now) {
  const said = Object.entries(triggers).map(([state, n]) => `${count(n)} ${word(W.audit.triggers, state)}`);
  const parts = [said.length ? `${W.audit.balance}: ${said.join(", ")}` : null, W.audit.until(until ? when(until, now) : NOTHING)];
  return h("p", { class: "reason" }, parts.filter(Boolean).join("; "));
}
