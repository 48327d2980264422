// Values of a dimension: as a table with intervals, or as a short list.
import { basis, count, dimensionWords, interval, percent, writeKpi } from "../format.js";
import { html } from "../html.js";
import { label, usePage } from "../page.js";
import { OTHER } from "../records.js";
import { Bar, scaleOf, Whisker } from "./charts.js";

/** @typedef {import("../types.js").Kpi} Kpi */
/** @typedef {import("../types.js").SnapshotRecord} SnapshotRecord */

// Where the title of the table says it at length.
/** @type {Record<string, string>} */
const SHORT = {
  ctr: "CTR", session_conversion_rate: "Converted", session_duration_ms: "Duration",
  conversions: "Reached", cvr_visitors: "CVR", cvr_sessions: "of sessions",
};

/**
 * What stands in a column.
 * @typedef {object} Column
 * @property {string} name its heading
 * @property {string} [kind] classes: `n` a number, `strong` the number of the row, `drawn` a picture, `interval`, `quiet`
 * @property {string} [label] beside the cell on a narrow screen, where there are no headings
 * @property {string} [meaning] of the heading
 * @property {string} [kpi] whose number it is
 * @property {(row: any) => any} cell
 * @property {(row: any) => string} [title]
 */

/**
 * A table; on a narrow screen a row is a few lines, so that nothing is left out and nothing scrolls sideways.
 * Its roles are named, because a table that is drawn as something else is none any more to who hears it.
 * @param {object} props
 * @param {Column[]} props.columns the first one names the row
 * @param {any[]} props.rows
 * @param {(row: any) => string | number} props.keyOf
 * @param {(row: any) => string} [props.classOf]
 */
export function Rows({ columns, rows, keyOf, classOf = () => "" }) {
  const [first, ...rest] = columns;
  if (first === undefined) return null;
  return html`<table class="rows" role="table">
    <thead role="rowgroup"><tr role="row">${columns.map((one) => html`<th key=${one.name} scope="col" role="columnheader"
      class=${one.kind ?? ""} title=${one.meaning}>${one.kind === "drawn" ? html`<span class="hidden">${one.name}</span>` : one.name}</th>`)}
    </tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<tr key=${keyOf(row)} role="row" class=${classOf(row)}>
      <th scope="row" role="rowheader" data-label=${first.label}>${first.cell(row)}</th>
      ${rest.map((one) => html`<td key=${one.name} role="cell" class=${one.kind ?? ""} data-kpi=${one.kpi} data-label=${one.label}
        title=${one.title?.(row)}>${one.cell(row)}</td>`)}</tr>`)}</tbody>
  </table>`;
}

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
  const heading = (/** @type {string} */ id) => ({
    name: SHORT[id] ?? label(registry, id), meaning: registry[id]?.meaning ?? "", kpi: id,
  });
  const plain = (/** @type {string} */ id) => ({
    ...heading(id), kind: "n", label: label(registry, id), cell: given(id, (kpi) => writeKpi(id, kpi, kpi.value)),
  });
  return html`<${Rows} rows=${records} keyOf=${(/** @type {SnapshotRecord} */ one) => one.segment.value} columns=${[
    { name: dimensionWords(dimension), cell: (/** @type {SnapshotRecord} */ one) => html`<${Name} record=${one} />` },
    ...counts.map(plain),
    { ...heading(rate), kind: "n strong", title: given(rate, basis), cell: given(rate, (kpi) => html`${percent(kpi.value)}${
      kpi.suspect && html`<span class="suspect"> more hits than trials</span>`}`) },
    { name: "value and interval, drawn", kind: "drawn",
      cell: given(rate, (kpi) => kpi.value !== null && html`<${Whisker} id=${rate} kpi=${kpi} most=${most} />`) },
    { name: "95 % interval", kind: "n quiet interval", cell: given(rate, (kpi) => interval(rate, kpi)) },
    ...more.map(plain),
  ]} />`;
}

/**
 * What is written of a KPI of a record; nothing where it has none.
 * @param {string} id
 * @param {(kpi: Kpi) => any} write
 */
function given(id, write) {
  return (/** @type {SnapshotRecord} */ { kpis: { [id]: kpi } }) => (kpi ? write(kpi) : "");
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
