// The pulse of the site: who is there, what is opened, what a visit is like.
import { basis, change, count, interval, lastWindow, oneDecimal, percent, valueAndUnit, windowWords, writeKpi } from "../format.js";
import { html } from "../html.js";
import { usePage } from "../page.js";
import { isAnswered, kpiOf } from "../records.js";
import { EMPTY, smoothed } from "../series.js";
import { Card } from "../parts/card.js";
import { Spark } from "../parts/charts.js";
import { LineChart } from "../parts/line.js";

/** @typedef {import("../types.js").Kpi} Kpi */
/** @typedef {import("../types.js").View} View */
/** @typedef {import("../types.js").Choice} Choice */
/** @typedef {Record<string, import("../series.js").Series>} AllSeries */

export const NOW_WINDOW = "5m";
const SMOOTHED_S = 10;
// Series of what grows, by the second.
export const VIEWS = "page_views_per_s";
export const STARTED = "sessions_per_s";
export const ENDED = "sessions_ended_per_s";
export const TILES = ["pages_per_session", "session_duration_ms", "bounce_rate", "session_conversion_rate"];
const MORE_TILES = ["page_views", "engaged_session_rate", "active_session_rate", "engaged_time_ms"];

/**
 * @param {{view: View, choice: Choice, series: AllSeries}} props
 */
export function Pulse({ view, choice, series }) {
  const { site, wall } = usePage();
  const of = (/** @type {string} */ kpi) => kpiOf(view.records, site, choice.window, kpi);
  const heard = isAnswered(view, site, choice.window);
  const tiles = wall ? TILES : [...TILES, ...MORE_TILES];
  return html`
    <${ActiveNow} view=${view} choice=${choice} series=${series} />
    <${Card} title="Page views per second" note=${`up to 15 min, means of ${SMOOTHED_S} s`} area="views">
      <${LineChart} series=${smoothed(series[VIEWS] ?? EMPTY, SMOOTHED_S)} name="page views per second" write=${oneDecimal}
        table=${!wall} />
    <//>
    ${tiles.map((id) => html`<${Tile} key=${id} id=${id} kpi=${of(id)} heard=${heard} window=${choice.window}
      values=${(series[id] ?? EMPTY).values} />`)}`;
}

/** @param {{view: View, choice: Choice, series: AllSeries}} props */
function ActiveNow({ view, choice, series }) {
  const { site } = usePage();
  const active = kpiOf(view.records, site, NOW_WINDOW, "active_visitors");
  const sessions = kpiOf(view.records, site, choice.window, "sessions");
  const first = kpiOf(view.records, site, choice.window, "new_visitor_rate");
  const within = lastWindow(choice.window);
  return html`<${Card} kpi="active_visitors" title="Active visitors now" window=${NOW_WINDOW}
    note=${`seen in the last ${windowWords(NOW_WINDOW)}, exact`} area="active">
    <p class="number huge"><i class="beat" aria-hidden="true"></i>
      <span data-kpi="active_visitors">${count(active?.value)}</span></p>
    <div><p class="facts">
      <span><b data-kpi="sessions_started">${count(aMinute(series[STARTED]))}</b> sessions started / min</span>
      <span><b data-kpi="sessions_ended_now">${count(aMinute(series[ENDED]))}</b> ended / min</span>
    </p>
    <p class="facts"><span class="quiet">${within}</span>
      <span><b data-kpi="sessions_open">${count(sessions?.open)}</b> sessions open</span>
      <span><b data-kpi="sessions_ended">${count(sessions?.ended)}</b> ended</span>
      ${first && first.value !== null && html`<span><b data-kpi="new_visitor_rate">${percent(first.value)}</b> new visitors</span>`}
    </p></div>
  <//>`;
}

/**
 * How many there were in the last minute, by the seconds of it that are known.
 * @param {import("../series.js").Series | undefined} series
 */
function aMinute(series) {
  const mean = smoothed(series ?? EMPTY, 60).values.at(-1);
  return mean === undefined || mean === null ? null : 60 * mean;
}

/**
 * One KPI: its value, its course, its change, and what it stands on.
 * @param {{id: string, kpi: Kpi | null, heard: boolean, window: string, values: (number | null)[]}} props
 */
function Tile({ id, kpi, heard, window, values }) {
  const [value, unit] = kpi ? valueAndUnit(id, kpi) : ["–", ""];
  return html`<${Card} kpi=${id} window=${window} area="tile" heard=${heard}>
    <p class="number"><span data-kpi=${id}>${value}</span>${unit && html`<small> ${unit}</small>`}</p>
    <${Spark} values=${values} />
    ${kpi && kpi.value !== null && html`<${Delta} id=${id} kpi=${kpi} window=${window} />`}
    <p class="basis">${kpi ? standing(id, kpi, window) : `not counted for ${windowWords(window)}`}</p>
  <//>`;
}

/**
 * What a number stands on; of one that is not there yet, why.
 * @param {string} id
 * @param {Kpi} kpi
 * @param {string} window
 */
function standing(id, kpi, window) {
  if (kpi.value !== null) {
    return [basis(kpi), median(id, kpi), interval(id, kpi)].filter(Boolean).join(" · ") || lastWindow(window);
  }
  const none = `no ${kpi.of || "values"} yet, ${lastWindow(window)}`;
  const soFar = kpi.with_open ?? null;
  return soFar === null ? none : `${none} · ${writeKpi(id, kpi, soFar)} with open ones`;
}

/**
 * @param {string} id
 * @param {Kpi} kpi
 */
function median(id, kpi) {
  return kpi.p50 === null || kpi.p50 === undefined || !id.endsWith("_ms") ? "" : `median ${writeKpi(id, kpi, kpi.p50)}`;
}

/**
 * Against the window before. Good and bad have a colour and a word, up and down a sign.
 * @param {{id: string, kpi: Kpi, window: string}} props
 */
export function Delta({ id, kpi, window }) {
  const { registry } = usePage();
  const by = change(id, kpi);
  if (by === null) {
    return html`<p class="delta quiet">${window === "all" ? "since the beginning" : "no number for the window before"}</p>`;
  }
  if (by.up === null) return html`<p class="delta quiet">as in the ${windowWords(window)} before</p>`;
  const upIsGood = registry[id]?.up_is_good;
  const judged = upIsGood === null || upIsGood === undefined ? "" : by.up === upIsGood ? "good" : "bad";
  return html`<p class="delta"><b class=${judged}>${by.up ? "▲" : "▼"} ${by.text}</b>
    <span class="hidden">${by.up ? "up" : "down"}${judged && `, which is ${judged}`}</span> vs the ${windowWords(window)} before</p>`;
}
