// Values of a dimension: as a table with intervals, or as a short list.
import { basis, count, dimensionWords, interval, percent, writeKpi } from "../format.js";
import { html } from "../html.js";
import { label, usePage } from "../page.js";
import { OTHER } from "../records.js";
import { Bar, scaleOf, Whisker } from "./charts.js";

/** @typedef {import("../types.js").SnapshotRecord} SnapshotRecord */

// Where the title of the table says it at length.
/** @type {Record<string, string>} */
const SHORT = {
  ctr: "CTR", session_conversion_rate: "Converted", session_duration_ms: "Duration",
  conversions: "Reached", cvr_visitors: "CVR", cvr_sessions: "of sessions",
};

/**
 * A row per value: counts, then one rate with its interval drawn, then more rates.
 * @param {object} props
 * @param {SnapshotRecord[]} props.records
 * @param {string} props.dimension
 * @param {string[]} props.counts KPIs shown as plain numbers
 * @param {string} props.rate the KPI with the whisker
 * @param {string[]} [props.more] KPIs after it
 * @param {string} props.nothing what is said without any row
 */
export function RateTable({ records, dimension, counts, rate, more = [], nothing }) {
  const { registry } = usePage();
  if (records.length === 0) return html`<p class="nothing">${nothing}</p>`;
  const most = scaleOf(records.map((record) => record.kpis[rate]));
  const head = (/** @type {string} */ id) => html`<th scope="col" role="columnheader" class="n"
    title=${registry[id]?.meaning ?? ""}>${SHORT[id] ?? label(registry, id)}</th>`;
  return html`<table class="rates" role="table">
    <thead role="rowgroup"><tr role="row">
      <th scope="col" role="columnheader">${dimensionWords(dimension)}</th>
      ${counts.map(head)} ${head(rate)}
      <th scope="col" role="columnheader" class="whisker-cell"><span class="hidden">value and interval, drawn</span></th>
      <th scope="col" role="columnheader" class="n interval">95 % interval</th>
      ${more.map(head)}
    </tr></thead>
    <tbody role="rowgroup">${records.map((record) => html`<${Row} key=${record.segment.value} record=${record}
      counts=${counts} rate=${rate} more=${more} most=${most} />`)}</tbody>
  </table>`;
}

/** @param {{record: SnapshotRecord, counts: string[], rate: string, more: string[], most: number}} props */
function Row({ record, counts, rate, more, most }) {
  const { registry } = usePage();
  const cell = (/** @type {string} */ id) => {
    const kpi = record.kpis[id];
    return html`<td role="cell" class="n" data-kpi=${id} data-label=${label(registry, id)}>
      ${kpi ? writeKpi(id, kpi, kpi.value) : ""}</td>`;
  };
  const kpi = record.kpis[rate];
  return html`<tr role="row">
    <th scope="row" role="rowheader"><${Name} record=${record} /></th>
    ${counts.map(cell)}
    <td role="cell" class="n strong" data-kpi=${rate} data-label=${label(registry, rate)} title=${kpi ? basis(kpi) : ""}>
      ${kpi ? percent(kpi.value) : ""}${kpi?.suspect && html`<span class="suspect"> more hits than trials</span>`}</td>
    <td role="cell" class="whisker-cell">${kpi && kpi.value !== null && html`<${Whisker} id=${rate} kpi=${kpi} most=${most} />`}</td>
    <td role="cell" class="n quiet interval">${kpi ? interval(rate, kpi) : ""}</td>
    ${more.map(cell)}
  </tr>`;
}

/**
 * A value out of an event: hostile until shown, so text, of bounded length, with its own direction.
 * @param {{record: SnapshotRecord}} props
 */
function Name({ record }) {
  const value = record.segment.value ?? "";
  if (value === OTHER && record.truncated !== undefined) {
    return html`<span class="name rest">the rest of ${count(record.truncated)}</span>`;
  }
  return html`<bdi class="name" title=${value.slice(0, 300)}>${value === "" ? "(empty)" : value}</bdi>`;
}

/**
 * The largest values as bars with their number and one rate.
 * @param {object} props
 * @param {SnapshotRecord[]} props.records
 * @param {string} props.size the KPI that the bars show
 * @param {string} props.rate
 * @param {string} props.nothing
 */
export function Ranking({ records, size, rate, nothing }) {
  const { registry } = usePage();
  if (records.length === 0) return html`<p class="nothing">${nothing}</p>`;
  const most = Math.max(1, ...records.map((record) => record.kpis[size]?.value ?? 0));
  return html`<ol class="ranking">${records.map((record) => {
    const kpi = record.kpis[rate];
    const value = record.kpis[size]?.value ?? 0;
    const stands = kpi && `${label(registry, rate)}: ${basis(kpi)}, 95 % interval ${interval(rate, kpi) || "none"}`;
    return html`<li key=${record.segment.value}>
      <${Name} record=${record} />
      <${Bar} share=${value / most} />
      <b data-kpi=${size}>${count(value)}</b>
      <span class="quiet" title=${stands ?? ""}>${kpi ? percent(kpi.value) : ""}</span>
    </li>`;
  })}</ol>`;
}
