// Which record holds what: by site, window and segment. Pure.

/** @typedef {import("./types.js").SnapshotRecord} SnapshotRecord */
/** @typedef {import("./types.js").Kpi} Kpi */
/** @typedef {import("./types.js").Definition} Definition */
/** @typedef {Map<string, SnapshotRecord>} Records */

export const OTHER = "(other)";
const ORDER = ["1m", "5m", "30m", "1h", "24h", "7d", "28d", "30d", "90d", "all"];
// By what values are ordered, as the publisher cuts them: by the first, where equal by the next.
const SIZES = [["sessions"], ["impressions", "clicks"], ["nps", "csat"], ["conversions", "funnel_step_sessions"]];

/**
 * The Kafka key of a snapshot's parts, as schemas/keys.py writes it.
 * @param {string[]} parts
 */
export function joinKey(...parts) {
  return parts.map((part) => part.replace(/[^ -$&-{}~]/gu, encodeURIComponent)).join("|");
}

/** @param {SnapshotRecord} record */
export function recordKey({ site_id, window, segment }) {
  return joinKey(site_id, window.name, segmentName(segment));
}

/** @param {{dimension: string, value: string | null}} segment */
export function segmentName({ dimension, value }) {
  return value === null ? dimension : `${dimension}=${value}`;
}

/**
 * A KPI of the whole site.
 * @param {Records} records
 * @param {string} site
 * @param {string} window
 * @param {string} kpi
 * @returns {Kpi | null}
 */
export function kpiOf(records, site, window, kpi) {
  return records.get(joinKey(site, window, "all"))?.kpis[kpi] ?? null;
}

/**
 * Whether a view answers for this: after another choice it still holds the answer to the one before.
 * @param {import("./types.js").View} view
 * @param {string} site
 * @param {string} window
 * @param {string} [dimension] of the whole site where left out
 */
export function isAnswered({ query }, site, window, dimension) {
  const asked = new URLSearchParams(query);
  return [site, null].includes(asked.get("site")) && asked.getAll("window").includes(window)
    && (dimension === undefined || asked.getAll("dimension").includes(dimension));
}

/**
 * State -> how many customers of a site; null where none is known.
 * @param {Records} records
 * @param {string} site
 * @returns {Record<string, number> | null}
 */
export function customersOf(records, site) {
  return records.get(joinKey(site, "all", "all"))?.customers ?? null;
}

/**
 * The values of a dimension, the largest first; what was cut off comes last.
 * @param {Records} records
 * @param {string} site
 * @param {string} window
 * @param {string} dimension
 * @returns {SnapshotRecord[]}
 */
export function valuesOf(records, site, window, dimension) {
  const found = [...records.values()].filter(
    (one) => one.site_id === site && one.window.name === window && one.segment.dimension === dimension,
  );
  return found.sort(bySize);
}

/**
 * @param {SnapshotRecord} one
 * @param {SnapshotRecord} other
 */
function bySize(one, other) {
  const last = Number(one.segment.value === OTHER) - Number(other.segment.value === OTHER);
  if (last) return last;
  for (const names of SIZES) {
    const more = sizeOf(other, names) - sizeOf(one, names);
    if (more) return more;
  }
  return (one.segment.value ?? "") < (other.segment.value ?? "") ? -1 : 1;
}

/**
 * @param {SnapshotRecord} record
 * @param {string[]} names
 */
function sizeOf(record, names) {
  return names.reduce((sum, name) => sum + sizeOfKpi(record.kpis[name]), 0);
}

/** @param {Kpi | undefined} kpi */
function sizeOfKpi(kpi) {
  return kpi === undefined ? 0 : (kpi.n ?? kpi.denominator ?? kpi.value ?? 0);
}

/**
 * The window that comes nearest to the wanted one: itself, else the next longer, else the longest there is.
 * @param {string} wanted
 * @param {readonly string[] | undefined} there all of them when nobody knows
 */
export function nearestWindow(wanted, there) {
  if (there === undefined || there.includes(wanted)) return wanted;
  const known = ORDER.filter((name) => there.includes(name));
  const longer = known.find((name) => ORDER.indexOf(name) > ORDER.indexOf(wanted));
  return longer ?? known.at(-1) ?? wanted;
}
