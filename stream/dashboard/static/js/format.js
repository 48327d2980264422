// Numbers as people read them. Pure.

/** @typedef {import("./types.js").Kpi} Kpi */

export const NONE = "–";
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TWO = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const ONE = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
/** @type {Record<string, string>} */
const WINDOW_WORDS = {
  "1m": "1 min", "5m": "5 min", "30m": "30 min", "1h": "1 h", "24h": "24 h",
  "7d": "7 days", "28d": "28 days", "30d": "30 days", "90d": "90 days",
};
/** @type {Record<string, string>} */
const WINDOW_SHORT = {
  "1m": "1 m", "5m": "5 m", "30m": "30 m", "1h": "1 h", "24h": "24 h",
  "7d": "7 d", "28d": "28 d", "30d": "30 d", "90d": "90 d",
};

/** @param {number | null | undefined} n */
export function count(n) {
  return n === null || n === undefined ? NONE : WHOLE.format(n);
}

/** @param {number | null | undefined} n */
export function decimal(n) {
  return n === null || n === undefined ? NONE : TWO.format(n);
}

/** @param {number | null | undefined} n */
export function oneDecimal(n) {
  return n === null || n === undefined ? NONE : ONE.format(n);
}

/** @param {number | null | undefined} share from 0 to 1 */
export function percent(share) {
  return share === null || share === undefined ? NONE : `${ONE.format(100 * share)} %`;
}

/**
 * A length of time: `4.2 s`, `5:00 min`, `1:02 h`, `3.5 days`.
 * @param {number | null | undefined} ms
 * @returns {string}
 */
export function duration(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 59_950) return `${ONE.format(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
  return `${ONE.format(ms / 86_400_000)} days`;
}

/** @param {number} n */
function two(n) {
  return String(n).padStart(2, "0");
}

/**
 * How old something is: `0.4 s`, `14 s`, `3 min`.
 * @param {number} ms
 */
export function age(ms) {
  if (ms < 9_950) return `${ONE.format(Math.max(0, ms) / 1000)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

/** @param {string} name such as `5m` */
export function windowWords(name) {
  return name === "all" ? "the whole time" : (WINDOW_WORDS[name] ?? name);
}

/** @param {string} name */
export function windowShort(name) {
  return WINDOW_SHORT[name] ?? name;
}

/** @param {string} name */
export function lastWindow(name) {
  return name === "all" ? "since the beginning" : `last ${windowWords(name)}`;
}

/** @param {string} dimension such as `landing_page` or `channel+device` */
export function dimensionWords(dimension) {
  return dimension.replaceAll("_", " ").replace("+", " and ");
}

/**
 * The value of a KPI and its unit, apart: the unit is shown smaller.
 * @param {string} id
 * @param {Kpi} kpi
 * @returns {[string, string]}
 */
export function valueAndUnit(id, kpi) {
  const [value = NONE, unit = ""] = writeKpi(id, kpi, kpi.value).split(" ");
  return [value, unit];
}

/**
 * A number as values of this KPI are written.
 * @param {string} id
 * @param {Kpi} kpi
 * @param {number | null | undefined} number
 */
export function writeKpi(id, kpi, number) {
  if (number === null || number === undefined) return NONE;
  if (kpi.type === "rate") return percent(number);
  if (kpi.type === "count") return count(number);
  if (kpi.type === "score") return points(number);
  return id.endsWith("_ms") ? duration(number) : decimal(number);
}

/**
 * A net promoter score, half away from zero.
 * @param {number | null | undefined} score
 */
export function points(score) {
  if (score === null || score === undefined) return NONE;
  const whole = Math.sign(score) * Math.round(Math.abs(score));
  return count(whole === 0 ? 0 : whole).replace("-", "−");
}

/**
 * The interval, without repeating the unit: `8.3–12.0 %`. '' where there is none.
 * @param {string} id
 * @param {Kpi} kpi
 */
export function interval(id, kpi) {
  if (kpi.low === null || kpi.low === undefined || kpi.high === null || kpi.high === undefined) return "";
  const low = writeKpi(id, kpi, kpi.low);
  const high = writeKpi(id, kpi, kpi.high);
  const [, unit] = high.split(" ");
  const dash = kpi.type === "score" ? " to " : "–";
  return `${unit && low.endsWith(unit) ? low.slice(0, -unit.length - 1) : low}${dash}${high}`;
}

/**
 * The change against the window before; null where it has no exact value.
 * @param {string} id
 * @param {Kpi} kpi
 * @returns {{up: boolean | null, text: string} | null} up null: as before
 */
export function change(id, kpi) {
  if (kpi.value === null || kpi.previous === null || kpi.previous === undefined) return null;
  const by = kpi.value - kpi.previous;
  const size = Math.abs(by);
  const text = kpi.type === "rate" ? `${ONE.format(100 * size)} pt` : writeKpi(id, kpi, size);
  const nothing = writeKpi(id, kpi, 0) === writeKpi(id, kpi, size);
  return { up: nothing ? null : by > 0, text };
}

/**
 * On how many a number stands: `12 of 38`, `n = 38`; '' for a count.
 * @param {Kpi} kpi
 */
export function basis(kpi) {
  if (kpi.type === "rate") return `${count(kpi.numerator)} of ${count(kpi.denominator)}`;
  return kpi.type === "count" ? "" : `n = ${count(kpi.n)}`;
}

/**
 * A time of day, or a day and a time when it is not of today.
 * @param {string | null | undefined} rfc3339
 */
export function clock(rfc3339) {
  if (!rfc3339) return NONE;
  const time = new Date(rfc3339);
  const today = time.toDateString() === new Date().toDateString();
  const hours = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return today ? hours : `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${hours}`;
}
