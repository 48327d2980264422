// Whether the numbers may be trusted: how much of the input is in, what was left out, who counts.
import { age, clock, count } from "../format.js";
import { html } from "../html.js";
import { useAnswer } from "../live.js";
import { usePage } from "../page.js";
import { Card } from "../parts/card.js";
import { Rows } from "../parts/tables.js";

/** @typedef {import("../types.js").View} View */
/** @typedef {import("../types.js").Header} Header */

/** @typedef {import("../types.js").StandingAlert} StandingAlert */

const HEALTH_EVERY_MS = 2_000;
const ALERTS_EVERY_MS = 2_000;
const ALERTS_SHOWN = 20;
/** @type {Record<string, string>} */
const MARK = { critical: "detractors", warning: "warned", info: "passives" };

/** @param {{view: View, seen: boolean}} props */
export function Health({ view, seen }) {
  const { wall } = usePage();
  const health = useAnswer("health", HEALTH_EVERY_MS, seen);
  return html`<${Facts} view=${view} header=${newest(view.header, health?.header ?? null)} />
    ${!wall && html`<${Alerts} seen=${seen} />
      <${Partitions} health=${health} />
      <${Refusals} health=${health} />
      <${Workers} health=${health} />`}`;
}

/**
 * A stream tells of the input only together with numbers that changed: while none do, the answer is newer.
 * @param {Header | null} streamed
 * @param {Header | null} answered
 */
function newest(streamed, answered) {
  return answered !== null && answered.sequence >= (streamed?.sequence ?? 0) ? answered : streamed;
}

/** @param {{view: View, header: Header | null}} props */
function Facts({ view, header }) {
  const { fresh } = usePage();
  const found = header?.completeness;
  /** @type {[string, string, string][]} */
  const facts = [
    ["as_of", clock(view.state?.as_of), "as of"],
    ["age", fresh.ageMs === null ? "–" : age(fresh.ageMs), "snapshot age"],
    ["partitions", found ? `${found.partitions_current} of ${found.partitions}` : "–", "partitions current"],
    ["lag_records", count(found?.lag_records), "records to be read"],
    ["late_records", count(found?.late_records), "late"],
    ["refused_records", count(found?.refused_records), "refused"],
  ];
  if (found?.held_by) facts.push(["held_by", found.held_by, "time held back by"]);
  if (found?.lost_records) facts.push(["lost_records", count(found.lost_records), "lost"]);
  return html`<${Card} title="Completeness" note=${fresh.text} area="whole health">
    <dl class="facts-row">${facts.map(([name, value, words]) => html`<div key=${name}>
      <dt>${words}</dt><dd data-health=${name}>${value}</dd></div>`)}</dl>
  <//>`;
}

/**
 * What fires and what will, of every site: who watches one should hear of another.
 * @param {{seen: boolean}} props
 */
function Alerts({ seen }) {
  const answer = useAnswer("alerts", ALERTS_EVERY_MS, seen);
  /** @type {StandingAlert[]} */
  const alerts = (answer?.alerts ?? []).slice(0, ALERTS_SHOWN);
  return html`<${Card} title="Alerts" note="firing, pending, then resolved" area="whole alerts" csv="alerts.csv"
    heard=${answer !== null}>
    ${alerts.length === 0 ? html`<p class="nothing">Nothing has fired. Rules are set under <code>[[alerts.rules]]</code>.</p>` : html`
    <${Rows} rows=${alerts} keyOf=${(/** @type {StandingAlert} */ one) => [one.site_id, one.rule, one.segment.dimension, one.segment.value].join("|")}
      classOf=${(/** @type {StandingAlert} */ one) => (one.standing === "firing" ? "" : "quiet")} columns=${[
      { name: "state", cell: (/** @type {StandingAlert} */ one) => html`<i class=${`key ${markOf(one)}`}
        aria-hidden="true"></i>${one.standing === "firing" ? one.alert?.severity : one.standing}` },
      { name: "since", label: "since", cell: (/** @type {StandingAlert} */ one) => clock(one.since) },
      { name: "rule", label: "rule", cell: (/** @type {StandingAlert} */ one) => html`<bdi class="name">${one.rule}</bdi>` },
      { name: "what", cell: (/** @type {StandingAlert} */ one) => html`<bdi>${textOf(one)}</bdi>`,
        title: (/** @type {StandingAlert} */ one) => (one.alert?.reasons ?? []).join("\n") },
    ]} />`}
  <//>`;
}

/** @param {StandingAlert} one */
function markOf({ standing, alert }) {
  return standing === "firing" ? (MARK[alert?.severity ?? ""] ?? "") : standing === "resolved" ? "promoters" : "";
}

/** @param {StandingAlert} one what fired or was resolved; of what waits whom it is about */
function textOf({ standing, alert, site_id: site, segment }) {
  if (alert !== null && standing !== "pending") return alert.summary;
  return `site ${site}, ${segment.value === null ? "all" : `${segment.dimension}=${segment.value}`}`;
}

/** @param {{health: any}} props */
function Partitions({ health }) {
  /** @type {any[]} */
  const partitions = health?.partitions ?? [];
  const now = Date.parse(health?.state.now);
  return html`<${Card} title="Partitions" area="partitions" csv="health.csv" heard=${health !== null}>
    ${partitions.length === 0 ? html`<p class="nothing">No partition has been counted yet.</p>` : html`
    <${Rows} rows=${partitions} keyOf=${(/** @type {any} */ one) => one.partition}
      classOf=${(/** @type {any} */ one) => (one.silent || one.behind ? "behind" : "")} columns=${[
      { name: "partition", label: "partition", cell: (/** @type {any} */ one) => one.partition },
      { name: "progress", label: "progress", cell: (/** @type {any} */ one) => clock(one.progress) },
      { name: "to be read", kind: "n strong", label: "to be read", cell: (/** @type {any} */ one) => count(one.lag_records) },
      { name: "worker", label: "worker", cell: (/** @type {any} */ one) => html`<bdi class="name">${one.worker ?? "nobody"}</bdi>` },
      { name: "written", kind: "n", label: "written", cell: (/** @type {any} */ one) =>
        `${one.silent ? "silent, " : ""}${age(now - Date.parse(one.written_at))} ago` },
    ]} />`}
  <//>`;
}

/** @param {{health: any}} props */
function Refusals({ health }) {
  const letters = health?.dead_letters ?? {};
  return html`<${Card} title="Every record accounted for" area="refusals" heard=${health !== null}>
    <${Counts} counts=${health?.accounting ?? {}} />
    <h4>Dead letters by reason</h4>
    ${Object.keys(letters).length === 0 ? html`<p class="nothing">None.</p>` : html`<${Counts} counts=${letters} />`}
  <//>`;
}

/** @param {{counts: Record<string, number>}} props by name */
function Counts({ counts }) {
  return html`<dl class="pairs">${Object.entries(counts).map(([name, n]) => html`<div key=${name}>
    <dt>${name.replaceAll("_", " ")}</dt><dd>${count(n)}</dd></div>`)}</dl>`;
}

/** @param {{health: any}} props */
function Workers({ health }) {
  /** @type {any[]} */
  const workers = health?.workers ?? [];
  return html`<${Card} title="Workers" area="workers" heard=${health !== null}>
    ${workers.length === 0 ? html`<p class="nothing">No worker. Start one with <code>latido worker</code>.</p>` : html`
    <dl class="pairs">${workers.map((one) => html`<div key=${one.id}><dt><bdi class="name">${one.id}</bdi></dt>
      <dd>${one.silent ? "silent, " : ""}partitions ${one.partitions.join(", ")}</dd></div>`)}</dl>`}
  <//>`;
}
