// A line over the last minutes, drawn by uPlot; what it shows stands below it in words, and as a table.
import { byMinute, summary } from "../series.js";
import { clock, count } from "../format.js";
import { html, useEffect, useRef } from "../html.js";

/** @typedef {import("../series.js").Series} Series */

const LEAST_S = 120;

/**
 * @param {object} props
 * @param {Series} props.series
 * @param {string} props.name what the line is, such as `page views per second`
 * @param {(n: number) => string} props.write
 * @param {boolean} [props.table] whether it can be had as a table
 */
export function LineChart({ series, name, write, table = true }) {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const chart = useRef(/** @type {any} */ (null));
  const points = useRef(series);
  points.current = series;
  useEffect(() => {
    const box = place.current;
    if (box === null) return undefined;
    let stopped = false;
    /** @type {(() => void) | undefined} */
    let remove;
    // The library comes after the first numbers: they must not wait for it.
    import("../../vendor/uplot.js").then(({ default: UPlot }) => {
      if (!stopped) remove = draw(box, UPlot, chart, points, write);
    }).catch(() => undefined); // without a drawing the words below it are there
    return () => {
      stopped = true;
      remove?.();
    };
  }, []);
  useEffect(() => chart.current?.setData([series.times, series.values]), [series]);
  const told = summary(series);
  return html`<figure class="line">
    <div ref=${place} class="plot" role="img" aria-label=${told ? `${name}: now ${write(told.now)}` : `${name}: no values yet`}></div>
    <figcaption>
      ${told === null && "the line begins with the next numbers"}
      ${told && html`now <b>${write(told.now)}</b> · lowest <b>${write(told.low)}</b>${" "}
        · highest <b>${write(told.high)}</b> · mean <b>${write(told.mean)}</b>`}
      ${table && told && html`<${AsTable} series=${series} name=${name} write=${write} />`}
    </figcaption>
  </figure>`;
}

/** @param {{series: Series, name: string, write: (n: number) => string}} props */
function AsTable({ series, name, write }) {
  return html`<details class="as-table"><summary>as a table</summary>
    <table><caption class="hidden">${name}, by the minute</caption>
      <thead><tr><th scope="col">time</th><th scope="col" class="n">${name}</th></tr></thead>
      <tbody>${byMinute(series).map(([time, value]) => html`<tr key=${time}>
        <td>${clock(new Date(time * 1000).toISOString())}</td><td class="n">${write(value)}</td></tr>`)}</tbody>
    </table></details>`;
}

/**
 * Draw into a box, as large as it is and in its colours, until removed.
 * @param {HTMLDivElement} box
 * @param {any} UPlot
 * @param {{current: any}} chart
 * @param {{current: Series}} points
 * @param {(n: number) => string} write
 * @returns {() => void} removes the drawing
 */
function draw(box, UPlot, chart, points, write) {
  const anew = () => {
    chart.current?.destroy();
    const data = [points.current.times, points.current.values];
    chart.current = new UPlot(options(box, write), data, box);
  };
  anew();
  const sizes = new ResizeObserver(() => chart.current.setSize(sizeOf(box)));
  sizes.observe(box);
  // Colours are painted: when those of the page change, it is painted anew.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", anew);
  const theme = new MutationObserver(anew);
  theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  theme.observe(box.closest(".card") ?? box, { attributes: true, attributeFilter: ["class"] });
  return () => {
    sizes.disconnect();
    theme.disconnect();
    dark.removeEventListener("change", anew);
    chart.current.destroy();
    chart.current = null;
  };
}

/** @param {HTMLElement} box */
function sizeOf(box) {
  return { width: Math.max(60, box.clientWidth), height: Math.max(60, box.clientHeight) };
}

/**
 * The time shown: as far back as there are values, but minutes even when there are seconds.
 * @param {any} _
 * @param {number | null} first no number without values
 * @param {number | null} last
 */
function lastMinutes(_, first, last) {
  const end = Number.isFinite(last) ? Number(last) : Date.now() / 1000;
  return [Math.min(Number.isFinite(first) ? Number(first) : end, end - LEAST_S), end];
}

/**
 * @param {any} _
 * @param {number | null} low
 * @param {number | null} high no number without values
 */
function fromZero(_, low, high) {
  return [0, Number(high) > 0 && Number.isFinite(high) ? Number(high) * 1.15 : 1];
}

/**
 * @param {any} _
 * @param {number[]} seconds
 */
function times(_, seconds) {
  const whole = seconds.every((one) => one % 60 === 0);
  return seconds.map((one) => clock(new Date(one * 1000).toISOString()).slice(-8, whole ? -3 : undefined));
}

/**
 * @param {HTMLElement} box
 * @param {(n: number) => string} write
 */
function options(box, write) {
  const style = getComputedStyle(box);
  const em = parseFloat(style.fontSize);
  const tick = (/** @type {number} */ n) => (Number.isInteger(n) ? count(n) : write(n));
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name);
  const axis = {
    stroke: colour("--mute"), font: `${em}px ${style.fontFamily}`,
    ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 },
  };
  return {
    ...sizeOf(box),
    legend: { show: false },
    cursor: { show: false },
    padding: [em / 2, 2 * em, 0, 0], // half a label of the time is right of its end
    scales: { x: { range: lastMinutes }, y: { range: fromZero } },
    axes: [
      { ...axis, grid: { show: false }, size: 2.4 * em, gap: 0.8 * em, space: 7 * em, values: times },
      { ...axis, size: 3.4 * em, space: 3.2 * em, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map(tick) },
    ],
    series: [{}, {
      stroke: colour("--accent"), width: em / 6, points: { show: false },
      fill: colour("--accent-soft"),
    }],
  };
}
