// Small pictures of numbers, in SVG by shares of their width. Each has its numbers in text, too.
import { count, interval, writeKpi } from "../format.js";
import { html } from "../html.js";

/** @typedef {import("../types.js").Kpi} Kpi */

/** @param {number} share */
function pc(share) {
  return `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
}

/**
 * The interval for whoever hears the page.
 * @param {string} id
 * @param {Kpi} kpi
 */
function intervalWords(id, kpi) {
  const written = interval(id, kpi);
  return written ? `95 % interval ${written.replace("–", " to ")}` : "no interval";
}

/**
 * A value as a bar and its interval as a whisker; both ends of the scale are the same for a whole table.
 * @param {{id: string, kpi: Kpi, most: number}} props most: the number at the right end
 */
export function Whisker({ id, kpi, most }) {
  const value = kpi.value ?? 0;
  const there = typeof kpi.low === "number" && typeof kpi.high === "number";
  const words = `${writeKpi(id, kpi, kpi.value)}, ${intervalWords(id, kpi)}`;
  return html`<svg class="whisker" role="img" aria-label=${words}>
    <rect class="track" width="100%" height="100%" rx="4" />
    <rect class="bar" width=${pc(value / most)} height="100%" rx="4" />
    ${there && html`<${Span} low=${(kpi.low ?? 0) / most} high=${(kpi.high ?? 0) / most} />`}
  </svg>`;
}

/**
 * From low to high, with an end at each.
 * @param {{low: number, high: number}} props shares of the width
 */
function Span({ low, high }) {
  return html`<g class="span">
    <line x1=${pc(low)} x2=${pc(high)} y1="50%" y2="50%" />
    <line x1=${pc(low)} x2=${pc(low)} y1="20%" y2="80%" />
    <line x1=${pc(high)} x2=${pc(high)} y1="20%" y2="80%" />
  </g>`;
}

/**
 * The largest number a table's whiskers must hold, so that all rows have one scale.
 * @param {(Kpi | undefined)[]} kpis
 */
export function scaleOf(kpis) {
  const most = Math.max(0, ...kpis.map((kpi) => kpi?.high ?? kpi?.value ?? 0));
  return most > 0 ? most : 1;
}

/** @param {{share: number}} props beside the number itself, so of no use to whoever hears the page */
export function Bar({ share }) {
  return html`<svg class="whisker thin" aria-hidden="true">
    <rect class="track" width="100%" height="100%" rx="4" />
    <rect class="bar strong" width=${pc(share)} height="100%" rx="4" />
  </svg>`;
}

/**
 * A line as large as a word. It shows the course only: the number stands beside it.
 * @param {{values: (number | null)[]}} props
 */
export function Spark({ values }) {
  const known = /** @type {number[]} */ (values.filter((value) => value !== null));
  if (known.length < 2) return null;
  const low = Math.min(...known);
  const height = Math.max(...known) - low || 1;
  const step = 100 / (values.length - 1);
  let drawing = false;
  const path = values.map((value, index) => {
    const starts = !drawing;
    drawing = value !== null;
    if (value === null) return "";
    return `${starts ? "M" : "L"}${(index * step).toFixed(1)} ${(26 - (24 * (value - low)) / height).toFixed(1)}`;
  });
  return html`<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
    <path d=${path.join("")} />
  </svg>`;
}

/**
 * A score from -100 to 100, its interval drawn on it.
 * @param {{kpi: Kpi}} props with a value
 */
export function Gauge({ kpi }) {
  const at = (/** @type {number} */ score) => (score + 100) / 200;
  const there = typeof kpi.low === "number" && typeof kpi.high === "number";
  const words = `NPS ${writeKpi("nps", kpi, kpi.value)}, ${intervalWords("nps", kpi)}, on a scale from -100 to 100`;
  return html`<div class="gauge" role="img" aria-label=${words}>
    <svg>
      <g class="zero"><line x1="50%" x2="50%" y1="25%" y2="75%" /></g>
      ${there && html`<${Span} low=${at(kpi.low ?? 0)} high=${at(kpi.high ?? 0)} />`}
      <circle cx=${pc(at(kpi.value ?? 0))} cy="50%" r="6" />
    </svg>
    <div class="gauge-ends" aria-hidden="true"><span>−100</span><span>0</span><span>100</span></div>
  </div>`;
}

/**
 * Those who would recommend, those who would not, and those between.
 * @param {{kpi: Kpi}} props of an NPS
 */
export function Answers({ kpi }) {
  const { promoters = 0, passives = 0, detractors = 0 } = kpi;
  return html`<${Stack} parts=${[["promoters", promoters], ["passives", passives], ["detractors", detractors]]} />`;
}

/**
 * Parts of a whole, side by side.
 * @param {{parts: [string, number][]}} props class and number of each
 */
export function Stack({ parts }) {
  const whole = parts.reduce((sum, [, n]) => sum + n, 0);
  let before = 0;
  return html`<svg class="stack" role="img" aria-label=${parts.map(([name, n]) => `${count(n)} ${name.replaceAll("_", " ")}`).join(", ")}>
    ${whole > 0 && parts.map(([name, n]) => {
      const x = before;
      before += n;
      return html`<rect class=${name} x=${pc(x / whole)} width=${pc(n / whole)} height="100%" />`;
    })}
  </svg>`;
}
