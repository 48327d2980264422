// The page: what the address chooses, two streams, five sections.
import { useChoice, WINDOWS } from "./address.js";
import { windowShort } from "./format.js";
import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { freshness, useAnswer, useClock, useStream } from "./live.js";
import { PageContext } from "./page.js";
import { kpiOf } from "./records.js";
import { useSeries } from "./series.js";
import { ExplainDialog } from "./parts/explain.js";
import { Banner, Chip, Empty } from "./parts/notice.js";
import { Choices, Select, ThemeSwitch } from "./parts/pickers.js";
import { Customers } from "./sections/customers.js";
import { AUDIENCE_WINDOWS, Engagement, SHOWN, windowOf } from "./sections/engagement.js";
import { Health } from "./sections/health.js";
import { ENDED, NOW_WINDOW, Pulse, STARTED, VIEWS } from "./sections/pulse.js";
import { Voice } from "./sections/voice.js";

/** @typedef {import("./types.js").Choice} Choice */
/** @typedef {import("./types.js").View} View */
/** @typedef {import("./types.js").Freshness} Freshness */

/** @type {[string, string][]} */
const SECTIONS = [["pulse", "Pulse"], ["engagement", "Engagement"], ["voice", "Voice"], ["customers", "Customers"], ["health", "Health"]];
// Counts since the beginning only grow: how fast is what is drawn.
const TOTALS_WINDOW = "all";
const BREAKDOWNS = ["goal", "funnel", "funnel_step", "landing_page", "exit_page", "channel", "device", "country"];
const BREAKDOWN_KPIS = [
  "sessions", "session_conversion_rate", "bounce_rate", "session_duration_ms", "impressions", "clicks", "ctr",
  "conversions", "cvr_visitors", "cvr_sessions", "funnel_started", "funnel_abandonment", "funnel_step_sessions", "funnel_step_overall",
];
const LINES = [
  "pages_per_session", "session_duration_ms", "bounce_rate", "session_conversion_rate",
  "page_views", "engaged_session_rate", "active_session_rate", "engaged_time_ms",
];

/** The whole page. */
export function App() {
  const [choice, change] = useChoice();
  const now = useClock();
  const [asked, setAsked] = useState(/** @type {import("./parts/explain.js").Asked | null} */ (null));
  const seen = useSeen(SECTIONS.map(([id]) => id));
  const overview = useStream(overviewQuery(choice));
  const site = choice.site || overview.sites[0] || "";
  const breakdown = useStream(site && (seen.engagement || choice.wall) ? breakdownQuery(choice, site) : null);
  /** @type {import("./types.js").Definition[] | null} */
  const definitions = useAnswer("registry", 0, true);
  const registry = useMemo(() => Object.fromEntries((definitions ?? []).map((one) => [one.id, one])), [definitions]);
  const fresh = freshness(overview, now);
  const series = useSeries(site, choice.window, valuesOfNow(overview, site, choice.window, fresh.current), overview.state?.as_of);
  useTitle(overview, site, fresh);
  const page = useMemo(() => ({
    registry, site, fresh, wall: choice.wall,
    explain: setAsked,
  }), [registry, site, choice.wall, fresh.status, Math.round((fresh.ageMs ?? 0) / 500)]);
  const sections = { overview, breakdown, choice, change, series, now, seen };
  return html`<${PageContext.Provider} value=${page}>
    <${Head} choice=${choice} change=${change} overview=${overview} site=${site} fresh=${fresh} />
    <main>
      <${Banner} fresh=${fresh} />
      ${fresh.status === "empty" || overview.state === null ? html`<${Before} fresh=${fresh} />` : html`<${Sections} ...${sections} />`}
    </main>
    <${ExplainDialog} asked=${asked} onClose=${() => setAsked(null)} />
  <//>`;
}

/** @param {{fresh: Freshness}} props */
function Before({ fresh }) {
  if (fresh.status === "empty") return html`<${Empty} fresh=${fresh} />`;
  return html`<p class="waiting">${fresh.text}</p>`;
}

/**
 * @param {object} props
 * @param {View} props.overview
 * @param {View} props.breakdown
 * @param {Choice} props.choice
 * @param {(part: Partial<Choice>) => void} props.change
 * @param {Record<string, import("./series.js").Series>} props.series
 * @param {number} props.now
 * @param {Record<string, boolean>} props.seen
 */
function Sections({ overview, breakdown, choice, change, series, now, seen }) {
  const details = freshness(breakdown, now);
  return html`
    <section id="pulse" class="grid"><h2>Pulse</h2><${Pulse} view=${overview} choice=${choice} series=${series} /></section>
    <section id="engagement" class="grid"><h2>Engagement</h2>
      ${details.status === "lost" && freshness(overview, now).current && html`<${Banner} fresh=${details} />`}
      <${Engagement} view=${breakdown} overview=${overview} choice=${choice} fresh=${details} change=${change} /></section>
    <section id="voice" class="grid"><h2>Voice</h2><${Voice} view=${overview} choice=${choice} change=${change} seen=${seen.voice} /></section>
    <section id="customers" class="grid"><h2>Customers</h2><${Customers} view=${overview} seen=${seen.customers} /></section>
    <section id="health" class="grid"><h2>Health</h2><${Health} view=${overview} seen=${seen.health} /></section>`;
}

/**
 * @param {{choice: Choice, change: (part: Partial<Choice>) => void, overview: View, site: string, fresh: Freshness}} props
 */
function Head({ choice, change, overview, site, fresh }) {
  return html`<header class="page-head">
    <a class="logo" href=${choice.wall ? "/" : "#pulse"}>
      <svg viewBox="0 0 40 18" aria-hidden="true"><path d="M1 10h9l4-8 6 15 5-10 3 3h11" /></svg>latido</a>
    ${choice.wall ? html`<span class="where"><bdi>${site}</bdi></span>` : html`
    <nav aria-label="Sections">${SECTIONS.map(([id, name]) => html`<a key=${id} href=${`#${id}`}>${name}</a>`)}</nav>
    <div class="controls">
      ${site && html`<${Select} legend="Site" value=${site} options=${overview.sites} write=${String}
        onPick=${(/** @type {string} */ one) => change({ site: one })} />`}
      <${Choices} name="window" legend="Window" value=${choice.window} options=${WINDOWS} write=${windowShort}
        onPick=${(/** @type {string} */ window) => change({ window })} />
      <${ThemeSwitch} />
    </div>`}
    <${Chip} fresh=${fresh} />
  </header>`;
}

/**
 * Numbers of the whole site, in every window that something is shown in.
 * @param {Choice} choice
 */
function overviewQuery(choice) {
  const query = new URLSearchParams({ segment: "all" });
  if (choice.site) query.set("site", choice.site);
  const windows = new Set([TOTALS_WINDOW, NOW_WINDOW, choice.window, choice.answers, ...AUDIENCE_WINDOWS]);
  for (const window of windows) query.append("window", window);
  return query.toString();
}

/**
 * The largest values of what is shown by its values.
 * @param {Choice} choice
 * @param {string} site
 */
function breakdownQuery(choice, site) {
  const query = new URLSearchParams({ site, limit: String(SHOWN) });
  const dimensions = choice.wall ? ["channel", choice.clicks] : [...BREAKDOWNS, choice.dimension, choice.clicks];
  for (const dimension of new Set(dimensions)) query.append("dimension", dimension);
  for (const window of new Set(dimensions.map((one) => windowOf(one, choice.window)))) query.append("window", window);
  for (const kpi of BREAKDOWN_KPIS) query.append("kpi", kpi);
  return query.toString();
}

/**
 * What the lines are extended by.
 * @param {View} view
 * @param {string} site
 * @param {string} window
 * @param {boolean} current what a worker makes up for did not happen just now
 */
function valuesOfNow(view, site, window, current) {
  const of = (/** @type {string} */ one, /** @type {string} */ id) => kpiOf(view.records, site, one, id)?.value ?? null;
  const sessions = kpiOf(view.records, site, TOTALS_WINDOW, "sessions");
  const positions = Object.values(view.header?.positions ?? {}).flatMap((topic) => Object.values(topic));
  return {
    views: of(TOTALS_WINDOW, "page_views"),
    read: view.header && positions.reduce((sum, position) => sum + position, 0),
    values: Object.fromEntries(LINES.map((id) => [id, of(window, id)])),
    totals: {
      [VIEWS]: current ? of(TOTALS_WINDOW, "page_views") : null,
      [STARTED]: current ? (sessions?.value ?? null) : null,
      [ENDED]: current ? (sessions?.ended ?? null) : null,
    },
  };
}

/**
 * The number in the tab's title, unless it is old.
 * @param {View} view
 * @param {string} site
 * @param {Freshness} fresh
 */
function useTitle(view, site, fresh) {
  const active = kpiOf(view.records, site, NOW_WINDOW, "active_visitors")?.value;
  const title = !fresh.current ? `(${fresh.status}) latido` : active === undefined ? "latido" : `${active} active · latido`;
  useEffect(() => {
    document.title = title;
  }, [title]);
}

/**
 * Which sections are in sight or near: what nobody looks at is not asked for.
 * @param {string[]} ids
 * @returns {Record<string, boolean>}
 */
function useSeen(ids) {
  const [seen, setSeen] = useState(/** @type {Record<string, boolean>} */ ({}));
  const watched = useRef(/** @type {Element[]} */ ([]));
  const observer = useMemo(() => new IntersectionObserver((entries) => {
    setSeen((before) => ({ ...before, ...Object.fromEntries(entries.map((one) => [one.target.id, one.isIntersecting])) }));
  }, { rootMargin: "300px" }), []);
  useEffect(() => {
    const there = ids.flatMap((id) => document.getElementById(id) ?? []);
    if (there.every((one) => watched.current.includes(one))) return;
    watched.current = there;
    observer.disconnect();
    for (const one of there) observer.observe(one);
  });
  return seen;
}
