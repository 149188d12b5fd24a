// Numbers and times as people read them. Never a number without its unit; what is not known is
// a dash, and whoever draws it says why beside it.

export const NOTHING = "–";

const NARROW = "\u202f"; // between a number and its unit: never at a line's end
const MINUS = "−";

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** At most three significant digits below 1,000; whole numbers above; thousands with commas. */
export function number(value) {
  if (!isNumber(value)) return NOTHING;
  const size = Math.abs(value);
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString("en", { maximumFractionDigits: digits }).replace("-", MINUS);
}

/** 12,345 → 12.3 k: for places where the size matters and not the digit. */
export function short(value) {
  if (!isNumber(value)) return NOTHING;
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]])
    if (Math.abs(value) >= size)
      return `${number(value / (letter === "k" ? 1e3 : size))}${NARROW}${letter}`;
  return number(value);
}

/** A length of time in seconds: 0.004 → 4 ms, 75 → 1 min 15 s, 86400 → 24 h, 200000 → 2 d 7 h. */
export function duration(seconds) {
  if (!isNumber(seconds)) return NOTHING;
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? MINUS : "";
  if (size === 0) return `0${NARROW}s`;
  if (size < 1) return `${sign}${number(Math.round(size * 1e4) / 10)}${NARROW}ms`;
  if (size < 60) return `${sign}${number(size)}${NARROW}s`;
  return sign + parts(Math.round(size));
}

function parts(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = seconds < 2 * 86400 ? 1 + units.slice(1).findIndex(([size]) => seconds >= size) : 0;
  const said = [];
  let left = seconds;
  for (const [size, letter] of units.slice(first, first + 2)) {
    const whole = Math.floor(left / size);
    left -= whole * size;
    if (whole) said.push(`${whole}${NARROW}${letter}`);
  }
  return said.join(" ");
}

/** A share of one as per cent. */
export function percent(share) {
  if (!isNumber(share)) return NOTHING;
  const value = share * 100;
  const small = value !== 0 && Math.abs(value) < 0.1;
  return small ? `<${NARROW}0.1${NARROW}%` : `${number(Math.round(value * 10) / 10)}${NARROW}%`;
}

export function money(amount, currency) {
  if (!isNumber(amount)) return NOTHING;
  const digits = Math.abs(amount) >= 1000 ? 0 : 2;
  const text = amount
    .toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })
    .replace("-", MINUS);
  return `${text}${NARROW}${currency || "¤"}`;
}

/** Return on cost: +268 % of it, or how many times it. */
export function gain(ratio) {
  if (!isNumber(ratio)) return NOTHING;
  if (Math.abs(ratio) >= 10) return `${number(ratio)}${NARROW}×`;
  return `${ratio > 0 ? "+" : ""}${percent(ratio)}`;
}

export function bytes(count) {
  if (!isNumber(count)) return NOTHING;
  return count >= 1e9 ? `${number(count / 1e9)}${NARROW}GB` : `${number(count / 1e6)}${NARROW}MB`;
}

/** Something that was counted: whole, in words as long as needed. */
export const count = (value) => (isNumber(value) ? number(Math.round(value)) : NOTHING);

const RATES = [["s", 1], ["min", 60], ["h", 3600], ["day", 86400]];

/** A rate given per second, in the unit in which it is at least one: 0.02 → 1.2/min. */
export function rate(perSecond) {
  if (!isNumber(perSecond)) return NOTHING;
  if (perSecond === 0) return "0/s";
  const [unit, seconds] = RATES.find(([, size]) => Math.abs(perSecond) * size >= 1) ?? RATES[3];
  const value = perSecond * seconds;
  return `${short(Math.abs(value) >= 10 ? Math.round(value) : Math.round(value * 10) / 10)}/${unit}`;
}

const UNITS = {
  seconds: duration,
  ratio: percent,
  share: percent,
  bytes,
  per_second: rate,
  "per second": rate,
  per_minute: (value) => rate(value / 60),
  "per minute": (value) => rate(value / 60),
};

/** A value in its unit; other units are written behind it ("users", "EUR"). */
export function figure(value, unit) {
  if (!isNumber(value)) return NOTHING;
  if (unit in UNITS) return UNITS[unit](value);
  return unit ? `${number(value)}${NARROW}${unit}` : number(value);
}

const two = (value) => String(value).padStart(2, "0");

/** Clock time in UTC, 10:42:05. */
export function clock(ms) {
  if (!isNumber(ms)) return NOTHING;
  const at = new Date(ms);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
}

export const minute = (ms) => clock(ms).slice(0, 5);

/** Day and clock time in UTC, 2026-03-01 10:42. */
export function moment(ms) {
  return isNumber(ms) ? `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC` : NOTHING;
}

/** Clock time of the day of `now`, else with its day. */
export function when(ms, now) {
  if (!isNumber(ms)) return NOTHING;
  const sameDay = Math.floor(ms / 86_400_000) === Math.floor(now / 86_400_000);
  return sameDay ? `${clock(ms)} UTC` : moment(ms);
}

/** What the reader's own clock shows, with the name of its zone. */
export function local(ms) {
  const at = new Date(ms);
  return at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
}
