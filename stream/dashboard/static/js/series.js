// Values over the last minutes: what the server kept, and what came since. Pure, but for the hook at the end.
import { useEffect, useRef, useState } from "./html.js";
import { ask } from "./live.js";

/** @typedef {{times: number[], values: (number | null)[]}} Series times in whole seconds since 1970 */
/**
 * @typedef {object} Moment
 * @property {number} time in whole seconds since 1970
 * @property {Record<string, number | null>} totals counts since the beginning
 * @property {number | null} views page views among them
 * @property {number | null} read records read since the beginning
 */
/**
 * @typedef {object} History what the server kept
 * @property {string} end
 * @property {number} step_ms
 * @property {Record<string, string>} windows of each series that is of one
 * @property {Record<string, (number | null)[]>} series
 */

export const KEPT_S = 900;
// Further apart than this, nobody knows what was between: a line must not say so.
const GAP_S = 5;

/** @type {Series} */
export const EMPTY = { times: [], values: [] };

/**
 * The points that are known, and nothing before the first of them.
 * @param {History} history
 * @param {(number | null)[]} values
 * @returns {Series}
 */
export function seeded(history, values) {
  const first = values.findIndex((value) => value !== null);
  if (first < 0) return EMPTY;
  const end = Math.floor(Date.parse(history.end) / 1000);
  const step = history.step_ms / 1000;
  const times = values.map((_, index) => Math.round(end - (values.length - 1 - index) * step));
  return { times: times.slice(first), values: values.slice(first) };
}

/**
 * One more value; one of the same second takes the place of the one before.
 * @param {Series} series
 * @param {number} time
 * @param {number | null} value
 * @returns {Series}
 */
export function extended({ times, values }, time, value) {
  const last = times.at(-1) ?? -Infinity;
  if (time < last) return { times, values };
  const from = times.findIndex((one) => one > time - KEPT_S);
  const kept = { times: times.slice(Math.max(from, 0)), values: values.slice(Math.max(from, 0)) };
  if (time === last) kept.values[kept.values.length - 1] = value;
  else {
    if (Number.isFinite(last) && time - last > GAP_S) {
      kept.times.push(last + 1);
      kept.values.push(null);
    }
    kept.times.push(time);
    kept.values.push(value);
  }
  return kept;
}

/**
 * How fast counts grew since the moment before; null over a gap, where a count went back, and where more page
 * views came than records were read: those were read before, and are only told of now.
 * @param {Moment | null} before
 * @param {Moment} now
 * @returns {Record<string, number | null>}
 */
export function growth(before, now) {
  const step = before === null ? 0 : now.time - before.time;
  const by = (/** @type {"views" | "read"} */ name) => (before === null ? NaN : (now[name] ?? NaN) - (before[name] ?? NaN));
  const toldLate = by("views") > by("read");
  return Object.fromEntries(Object.entries(now.totals).map(([name, total]) => {
    const from = before?.totals[name] ?? null;
    const known = total !== null && from !== null && total >= from && step > 0 && step <= GAP_S && !toldLate;
    return [name, known ? (total - from) / step : null];
  }));
}

/**
 * Series by name: what the server kept of them, extended by what is now.
 * @param {string} site
 * @param {string} window series of another window start anew
 * @param {Omit<Moment, "time"> & {values: Record<string, number | null>}} now totals: counts whose series says
 *   how many a second they grow
 * @param {string | null | undefined} asOf when `now` is of; null: not to be counted
 * @returns {Record<string, Series>}
 */
export function useSeries(site, window, now, asOf) {
  const [kept, setKept] = useState(/** @type {Record<string, Series>} */ ({}));
  const before = useRef(/** @type {Moment | null} */ (null));
  useEffect(() => {
    let left = false;
    before.current = null;
    setKept({});
    if (site) {
      ask(`history?${new URLSearchParams({ site })}`).then((history) => {
        if (!left) setKept((series) => merged(series, history, window));
      }).catch(() => undefined); // without it the lines begin now
    }
    return () => {
      left = true;
    };
  }, [site, window]);
  useEffect(() => {
    if (!asOf) return;
    const moment = { ...now, time: Math.floor(Date.parse(asOf) / 1000) };
    const grown = moment.time === before.current?.time ? {} : growth(before.current, moment);
    if (moment.time !== before.current?.time) before.current = moment;
    setKept((series) => {
      const next = { ...series };
      for (const [name, value] of Object.entries({ ...now.values, ...grown })) {
        next[name] = extended(next[name] ?? EMPTY, moment.time, value);
      }
      return next;
    });
  }, [asOf, site, window]);
  return kept;
}

/**
 * @param {Record<string, Series>} series what came since the page was opened
 * @param {History} history
 * @param {string} window of others the history is of no use
 */
function merged(series, history, window) {
  const next = { ...series };
  for (const [name, values] of Object.entries(history.series)) {
    if ((history.windows[name] ?? window) !== window) continue;
    let all = seeded(history, values);
    const since = next[name] ?? EMPTY;
    since.times.forEach((time, index) => {
      const value = since.values[index] ?? null;
      if (value !== null) all = extended(all, time, value);
    });
    next[name] = all;
  }
  return next;
}

/**
 * Each value as the mean of the known ones of the seconds up to it: single seconds jump, and hide the course.
 * @param {Series} series
 * @param {number} seconds
 * @returns {Series}
 */
export function smoothed({ times, values }, seconds) {
  let from = 0;
  return { times, values: values.map((value, index) => {
    while ((times[from] ?? 0) <= (times[index] ?? 0) - seconds) from += 1;
    if (value === null) return null;
    const known = /** @type {number[]} */ (values.slice(from, index + 1).filter((one) => one !== null));
    return known.reduce((sum, one) => sum + one, 0) / known.length;
  }) };
}

/**
 * What a line shows, in words' numbers: now, lowest, highest, mean. null without any value.
 * @param {Series} series
 */
export function summary({ values }) {
  const known = /** @type {number[]} */ (values.filter((value) => value !== null));
  const now = known.at(-1);
  if (now === undefined) return null;
  const sum = known.reduce((total, value) => total + value, 0);
  return { now, low: Math.min(...known), high: Math.max(...known), mean: sum / known.length };
}

/**
 * The last known value of each minute: a chart as a table.
 * @param {Series} series
 * @returns {[number, number][]} second and value, the newest first
 */
export function byMinute({ times, values }) {
  /** @type {Map<number, [number, number]>} */
  const found = new Map();
  times.forEach((time, index) => {
    const value = values[index];
    if (value !== null && value !== undefined) found.set(Math.floor(time / 60), [time, value]);
  });
  return [...found.values()].reverse();
}
