// What visitors do: clicks, conversions, funnels, where they come from, where they begin and leave.
import { basis, count, dimensionWords, interval, lastWindow, percent, writeKpi } from "../format.js";
import { html } from "../html.js";
import { CLICK_DIMENSIONS } from "../address.js";
import { label, usePage } from "../page.js";
import { isAnswered, kpiOf, nearestWindow, OTHER, valuesOf } from "../records.js";
import { Card } from "../parts/card.js";
import { scaleOf, Whisker } from "../parts/charts.js";
import { Choices, Select } from "../parts/pickers.js";
import { Ranking, RateTable } from "../parts/tables.js";

/** @typedef {import("../types.js").View} View */
/** @typedef {import("../types.js").Choice} Choice */
/** @typedef {import("../types.js").Freshness} Freshness */
/** @typedef {import("../types.js").SnapshotRecord} SnapshotRecord */

export const PAGE_WINDOWS = ["24h", "all"];
const VISIT_DIMENSIONS = ["channel", "device", "country", "campaign", "referrer", "plan", "landing_page", "exit_page"];
const PAGES = ["landing_page", "exit_page"];
const SMALL_LISTS = ["channel", "device", "country"];
const VISIT_RATE = "session_conversion_rate";
/** @type {Record<string, string>} */
const TITLES = {
  landing_page: "Landing pages", exit_page: "Exit pages", channel: "Channels", device: "Devices", country: "Countries",
};
/** @type {[string, string][]} */
const AUDIENCE = [["24h", "dau"], ["7d", "wau"], ["28d", "mau"], ["28d", "stickiness"], ["28d", "visits_per_visitor"]];
export const AUDIENCE_WINDOWS = AUDIENCE.map(([window]) => window);
export const SHOWN = 8;

/**
 * The window in which a dimension is counted: pages are not, in minutes.
 * @param {string} dimension
 * @param {string} window
 */
export function windowOf(dimension, window) {
  return dimension.includes("_page") ? nearestWindow(window, PAGE_WINDOWS) : window;
}

/**
 * @param {{view: View, overview: View, choice: Choice, fresh: Freshness, change: (part: Partial<Choice>) => void}} props
 */
export function Engagement({ view, overview, choice, fresh, change }) {
  const { site, wall } = usePage();
  const rows = (/** @type {string} */ dimension) => valuesOf(view.records, site, windowOf(dimension, choice.window), dimension);
  /** What every table of values of a dimension is told. */
  const told = (/** @type {string} */ dimension) => ({
    choice, fresh, records: rows(dimension), heard: isAnswered(view, site, windowOf(dimension, choice.window), dimension),
  });
  if (wall) return html`<${Clicks} ...${told(choice.clicks)} change=${change} /><${List} dimension="channel" ...${told("channel")} />`;
  const list = (/** @type {string} */ one) => html`<${List} key=${one} dimension=${one} ...${told(one)} />`;
  const dimensions = [...new Set([...VISIT_DIMENSIONS, ...view.dimensions.filter((one) => one.includes("+"))])];
  return html`
    <${Clicks} ...${told(choice.clicks)} change=${change} />
    <${Audience} view=${overview} choice=${choice} />
    <${Funnels} ...${told("funnel")} steps=${rows("funnel_step")} />
    <${Visits} ...${told(choice.dimension)} dimensions=${dimensions} change=${change} />
    <${Goals} ...${told("goal")} />
    ${SMALL_LISTS.filter((one) => one !== choice.dimension).slice(0, 2).map(list)}
    ${PAGES.map(list)}`;
}

/**
 * The same figures as a file.
 * @param {string} site
 * @param {string} window
 * @param {string} dimension
 */
function file(site, window, dimension) {
  return `kpis.csv?${new URLSearchParams({ site, window, dimension })}`;
}

/**
 * What is told of a dimension's values.
 * @typedef {object} Told
 * @property {SnapshotRecord[]} records
 * @property {boolean} heard whether they were answered
 * @property {Choice} choice
 * @property {Freshness} fresh
 */

/** @param {Told & {change: (part: Partial<Choice>) => void}} props */
function Clicks({ records, heard, choice, fresh, change }) {
  const { site, wall } = usePage();
  const tools = !wall && html`<${Choices} name="clicks" legend="Click-through rate by" value=${choice.clicks}
    options=${CLICK_DIMENSIONS.slice(0, 4)} write=${dimensionWords} onPick=${(/** @type {string} */ clicks) => change({ clicks })} />`;
  return html`<${Card} kpi="ctr" title=${`Click-through rate by ${dimensionWords(choice.clicks)}`} window=${choice.window}
    note=${`${lastWindow(choice.window)} · whiskers: 95 % interval`} area="clicks" fresh=${fresh} heard=${heard} tools=${tools}
    csv=${!wall && file(site, choice.window, choice.clicks)}>
    <${RateTable} records=${top(records, wall ? 6 : SHOWN)} dimension=${choice.clicks} counts=${["impressions", "clicks"]}
      rate="ctr"
      nothing=${`Nothing was shown or clicked (${lastWindow(choice.window)}). Elements send impression and click events.`} />
  <//>`;
}

/**
 * The largest, and what was cut off.
 * @param {SnapshotRecord[]} records
 * @param {number} [shown]
 */
function top(records, shown = SHOWN) {
  const values = records.filter((record) => record.segment.value !== OTHER);
  return [...values.slice(0, shown), ...records.filter((record) => record.segment.value === OTHER)];
}

/** @param {Told & {dimensions: string[], change: (part: Partial<Choice>) => void}} props */
function Visits({ records, heard, choice, fresh, dimensions, change }) {
  const { site } = usePage();
  const tools = html`<${Select} legend="Visits by" value=${choice.dimension} options=${dimensions} write=${dimensionWords}
    onPick=${(/** @type {string} */ dimension) => change({ dimension })} />`;
  const window = windowOf(choice.dimension, choice.window);
  return html`<${Card} title=${`Visits by ${dimensionWords(choice.dimension)}`} kpi=${VISIT_RATE} window=${window}
    note=${`${lastWindow(window)} · whiskers: 95 % interval`} area="whole" fresh=${fresh} heard=${heard} tools=${tools}
    csv=${file(site, window, choice.dimension)}>
    <${RateTable} records=${top(records)} dimension=${choice.dimension} counts=${["sessions"]} rate=${VISIT_RATE}
      more=${["bounce_rate", "session_duration_ms"]}
      nothing=${`No visit with ${a(dimensionWords(choice.dimension))} (${lastWindow(window)}).`} />
  <//>`;
}

/** @param {string} noun */
function a(noun) {
  return `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;
}

/** @param {Told & {dimension: string}} props */
function List({ dimension, records, heard, choice, fresh }) {
  const { site, wall } = usePage();
  const window = windowOf(dimension, choice.window);
  return html`<${Card} title=${TITLES[dimension]} note=${`${lastWindow(window)} · sessions, converted`}
    area=${`list ${dimension}`} fresh=${fresh} heard=${heard} csv=${!wall && file(site, window, dimension)}>
    <${Ranking} records=${top(records, 6)} size="sessions" rate=${VISIT_RATE}
      nothing=${`No visit with ${a(dimensionWords(dimension))} (${lastWindow(window)}).`} />
  <//>`;
}

/** @param {Told} props */
function Goals({ records, heard, choice, fresh }) {
  const { site } = usePage();
  return html`<${Card} title="Conversions" kpi="cvr_visitors" window=${choice.window} note=${lastWindow(choice.window)}
    area="goals" fresh=${fresh} heard=${heard} csv=${file(site, choice.window, "goal")}>
    <${RateTable} records=${top(records)} dimension="goal" counts=${["conversions"]} rate="cvr_visitors" more=${["cvr_sessions"]}
      nothing="No goal was reached. Goals are named in the settings, under [[goals]]." />
  <//>`;
}

/** @param {Told & {steps: SnapshotRecord[]}} props steps: of all funnels */
function Funnels({ records: funnels, heard, steps, choice, fresh }) {
  const { site, registry } = usePage();
  return html`<${Card} title="Funnels" kpi="funnel_abandonment" window=${choice.window}
    note=${`${lastWindow(choice.window)} · ended sessions`} area="funnels" fresh=${fresh} heard=${heard}
    csv=${file(site, choice.window, "funnel_step")}>
    ${funnels.length === 0 && html`<p class="nothing">
      No visit that has ended began a funnel. Funnels are named in the settings, under [[funnels]].</p>`}
    ${funnels.map((funnel) => html`<${Funnel} key=${funnel.segment.value} funnel=${funnel} steps=${stepsOf(funnel, steps)}
      abandonment=${label(registry, "funnel_abandonment")} />`)}
  <//>`;
}

/**
 * @param {SnapshotRecord} funnel
 * @param {SnapshotRecord[]} steps of all funnels: `checkout#2` is the second of checkout
 */
function stepsOf(funnel, steps) {
  const prefix = `${funnel.segment.value}#`;
  return steps
    .filter((step) => step.segment.value?.startsWith(prefix))
    .sort((a, b) => Number(a.segment.value?.slice(prefix.length)) - Number(b.segment.value?.slice(prefix.length)));
}

/** @param {{funnel: SnapshotRecord, steps: SnapshotRecord[], abandonment: string}} props */
function Funnel({ funnel, steps, abandonment }) {
  const left = funnel.kpis.funnel_abandonment;
  const most = scaleOf(steps.map((step) => step.kpis.funnel_step_overall));
  return html`<div class="funnel"><h4><bdi class="name">${funnel.segment.value}</bdi></h4>
    <ol class="steps">${steps.map((step, index) => {
      const overall = step.kpis.funnel_step_overall;
      return html`<li key=${step.segment.value}>
        <span class="step">step ${index + 1}</span>
        ${overall && html`<${Whisker} id="funnel_step_overall" kpi=${overall} most=${most} />`}
        <b>${count(step.kpis.funnel_step_sessions?.value)}</b>
        <span class="quiet">${overall ? percent(overall.value) : ""}</span></li>`;
    })}</ol>
    ${left && html`<p class="basis">${abandonment} <b>${percent(left.value)}</b>${" "}
      · ${[basis(left), interval("funnel_abandonment", left)].filter(Boolean).join(" · ")}</p>`}
  </div>`;
}

/**
 * How many come, and come back.
 * @param {{view: View, choice: Choice}} props
 */
function Audience({ view, choice }) {
  const { site, registry } = usePage();
  const of = (/** @type {string} */ window, /** @type {string} */ id) => kpiOf(view.records, site, window, id);
  const first = of(choice.window, "new_visitors");
  const again = of(choice.window, "returning_visitors");
  return html`<${Card} title="New and returning" kpi="returning_visitors" window=${choice.window} note=${lastWindow(choice.window)} area="audience">
    <p class="facts"><span><b class="big" data-kpi="new_visitors">${count(first?.value)}</b> new</span>
      <span><b class="big" data-kpi="returning_visitors">${count(again?.value)}</b> returning</span></p>
    <dl class="pairs">${AUDIENCE.map(([window, id]) => {
      const kpi = of(window, id);
      return kpi && html`<div key=${id}><dt>${label(registry, id)}</dt><dd data-kpi=${id}>${writeKpi(id, kpi, kpi.value)}</dd></div>`;
    })}</dl>
  <//>`;
}
