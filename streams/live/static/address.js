// What the reader chose, kept in the page's address: a link shows what its sender saw.
// The operator's token and looked-up users are never part of it.

const DEFAULTS = {
  theme: "auto", // auto, light, dark
  window: "whole", // how much of the history charts show
  source: "", // acquisition: one source, "" = all
  trigger: "", // text searched in triggers
  tail: "", // text searched in the live tail
  outcome: "", // one outcome of the live tail, "" = all
  paused: "", // "1" = the live tail stands still
  keys: "on", // single-key shortcuts
};

const ALLOWED = {
  theme: /^(auto|light|dark)$/,
  window: /^(whole|half|sixth)$/,
  outcome: /^(send|defer|suppress|disarm)?$/,
  paused: /^1?$/,
  keys: /^(on|off)$/,
};

/** What an address says; what it says wrongly counts as not said. */
export function read(search) {
  const said = new URLSearchParams(search);
  const chosen = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    const value = said.get(name);
    if (value !== null && value.length <= 200 && (ALLOWED[name]?.test(value) ?? true))
      chosen[name] = value;
  }
  return chosen;
}

/** The address of a choice: only what differs from the default. */
export function write(chosen) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(chosen))
    if (value !== DEFAULTS[name]) said.set(name, value);
  const text = said.toString();
  return text ? `?${text}` : "";
}
