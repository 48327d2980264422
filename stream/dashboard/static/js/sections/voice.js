// What visitors say: NPS and CSAT with their intervals, and how the answers went over time.
import { ANSWER_WINDOWS } from "../address.js";
import { basis, clock, count, decimal, interval, lastWindow, percent, points, windowShort } from "../format.js";
import { html } from "../html.js";
import { useAnswer } from "../live.js";
import { usePage } from "../page.js";
import { isAnswered, kpiOf } from "../records.js";
import { Card } from "../parts/card.js";
import { Answers, Gauge, scaleOf, Whisker } from "../parts/charts.js";
import { Choices } from "../parts/pickers.js";
import { Rows } from "../parts/tables.js";

/** @typedef {import("../types.js").View} View */
/** @typedef {import("../types.js").Kpi} Kpi */
/** @typedef {import("../types.js").Choice} Choice */
/** @typedef {import("../types.js").Score} Score */

const RESULTS_EVERY_MS = 20_000;
const SURVEYS_EVERY_MS = 5_000;
const LATEST_EVERY_MS = 2_000;
const LATEST_SHOWN = 10;
const HOURS = 24;
/** @type {Record<string, string>} */
const CLASS_OF = {
  promoter: "promoters", passive: "passives", detractor: "detractors", satisfied: "promoters", "not satisfied": "detractors",
};
const NO_ANSWERS = "No answers yet. Surveys send survey_answer events with a score.";

/** @param {{view: View, choice: Choice, change: (part: Partial<Choice>) => void, seen: boolean}} props */
export function Voice({ view, choice, change, seen }) {
  const { site, wall } = usePage();
  const nps = kpiOf(view.records, site, choice.answers, "nps");
  const heard = isAnswered(view, site, choice.answers);
  return html`<${Nps} nps=${nps} heard=${heard} choice=${choice} change=${change} />
    ${!wall && html`<${OverTime} seen=${seen} />
      <${Csat} view=${view} heard=${heard} choice=${choice} />
      <${Surveys} choice=${choice} seen=${seen} />
      <${Latest} seen=${seen} />`}`;
}

/** @param {{nps: Kpi | null, heard: boolean, choice: Choice, change: (part: Partial<Choice>) => void}} props */
function Nps({ nps, heard, choice, change }) {
  const { wall } = usePage();
  const tools = !wall && html`<${Choices} name="answers" legend="Time of the answers" value=${choice.answers} options=${ANSWER_WINDOWS}
    write=${windowShort} onPick=${(/** @type {string} */ answers) => change({ answers })} />`;
  return html`<${Card} kpi="nps" title="Net promoter score" window=${choice.answers}
    note=${`${lastWindow(choice.answers)}, latest answer each`} area="nps" heard=${heard} tools=${tools}>
    ${nps && nps.value !== null ? html`
      <p class="number large"><span data-kpi="nps">${points(nps.value)}</span>
        <small> ${[interval("nps", nps), basis(nps)].filter(Boolean).join(" · ")}</small></p>
      <${Gauge} kpi=${nps} />
      <${Answers} kpi=${nps} />
      <${Legend} kpi=${nps} />` : html`<p class="nothing">${NO_ANSWERS}</p>`}
  <//>`;
}

/** @param {{kpi: Kpi}} props */
function Legend({ kpi }) {
  const parts = /** @type {const} */ (["promoters", "passives", "detractors"]);
  return html`<p class="facts">
    ${parts.map((name) => html`<span key=${name}><i class=${`key ${name}`} aria-hidden="true"></i>
      <b data-kpi=${name}>${count(kpi[name])}</b> ${name}</span>`)}
    ${kpi.skipped ? html`<span class="quiet">${count(kpi.skipped)} skipped</span>` : null}
  </p>`;
}

/** @param {{view: View, heard: boolean, choice: Choice}} props */
function Csat({ view, heard, choice }) {
  const { site } = usePage();
  const csat = kpiOf(view.records, site, choice.answers, "csat");
  const score = kpiOf(view.records, site, choice.answers, "csat_score");
  return html`<${Card} kpi="csat" title="Customer satisfaction" window=${choice.answers}
    note=${lastWindow(choice.answers)} area="csat" heard=${heard}>
    ${csat && csat.value !== null ? html`
      <p class="number large"><span data-kpi="csat">${percent(csat.value).replace(" %", "")}</span><small> % satisfied</small></p>
      <${Whisker} id="csat" kpi=${csat} most=${1} />
      <p class="basis">${[basis(csat), interval("csat", csat)].filter(Boolean).join(" · ")}</p>
      ${score && score.value !== null && html`<p class="facts"><span>mean score${" "}
        <b data-kpi="csat_score">${decimal(score.value)}</b>${" "}
        ${["of 5", interval("csat_score", score)].filter(Boolean).join(" · ")}</span></p>`}` : html`
      <p class="nothing">${NO_ANSWERS}</p>`}
  <//>`;
}

/**
 * Each hour's answers as they were settled.
 * @param {{seen: boolean}} props
 */
function OverTime({ seen }) {
  const { site, explain } = usePage();
  const query = new URLSearchParams({ kind: "hour", kpi: "nps", site });
  const answer = useAnswer(`results?${query}`, RESULTS_EVERY_MS, seen);
  /** @type {any[]} */
  const all = answer?.records ?? [];
  const hours = all.filter((one) => one.segment.dimension === "all" && one.kpis.nps?.n > 0).slice(-HOURS);
  return html`<${Card} title="Answers by the hour" note="promoters, passives, detractors" area="over-time"
    csv=${`results.csv?${query}`} heard=${answer !== null}>
    ${hours.length === 0 ? html`<p class="nothing">No hour with answers is settled yet.</p>` : html`
    <${Rows} rows=${hours.reverse()} keyOf=${(/** @type {any} */ one) => one.window.start} columns=${[
      { name: "hour", cell: (/** @type {any} */ one) => clock(one.window.start).replace(/^\d+-/, "").replace(/:00$/, "") },
      { name: "parts, drawn", kind: "drawn", cell: (/** @type {any} */ one) => html`<${Answers} kpi=${one.kpis.nps} />` },
      { name: "NPS", kind: "n strong", cell: (/** @type {any} */ one) => points(one.kpis.nps.value) },
      { name: "n", kind: "n", label: "n", cell: (/** @type {any} */ one) => count(one.kpis.nps.n) },
      { name: "state", kind: "quiet", cell: (/** @type {any} */ one) => html`<button type="button" class="word"
        aria-label=${`${one.state}: explain NPS of ${clock(one.window.start)}`}
        onClick=${() => explain({ kpi: "nps", window: "hour", segment: "all", at: one.window.start })}>${one.state}</button>` },
    ]} />`}
  <//>`;
}

/** @param {{choice: Choice, seen: boolean}} props */
function Surveys({ choice, seen }) {
  const { site } = usePage();
  const query = new URLSearchParams({ site, window: choice.answers, dimension: "survey" });
  const answer = useAnswer(`kpis?${query}&kpi=nps&kpi=csat&limit=8`, SURVEYS_EVERY_MS, seen);
  /** @type {import("../types.js").SnapshotRecord[]} */
  const records = (answer?.records ?? []).filter((/** @type {any} */ one) => one.segment.dimension === "survey");
  const most = scaleOf(records.map((record) => record.kpis.csat));
  const found = records.flatMap((record) => ["nps", "csat"].map((id) => ({ id, survey: record.segment.value, kpi: record.kpis[id] })))
    .filter((one) => one.kpi !== undefined && one.kpi.value !== null);
  return html`<${Card} title="Surveys" note=${lastWindow(choice.answers)} area="surveys" csv=${`kpis.csv?${query}`}
    heard=${answer !== null}>
    ${found.length === 0 ? html`<p class="nothing">${NO_ANSWERS}</p>` : html`
    <${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => `${one.id} ${one.survey}`} columns=${[
      { name: "survey", cell: (/** @type {any} */ one) => html`<bdi class="name">${one.survey}</bdi>` },
      { name: "score", kind: "n strong", cell: (/** @type {any} */ { id, kpi }) =>
        (id === "nps" ? `NPS ${points(kpi.value)}` : `CSAT ${percent(kpi.value)}`) },
      { name: "drawn", kind: "drawn", cell: (/** @type {any} */ { id, kpi }) =>
        (id === "nps" ? html`<${Answers} kpi=${kpi} />` : html`<${Whisker} id=${id} kpi=${kpi} most=${most} />`) },
      { name: "95 % interval", kind: "n quiet interval", cell: (/** @type {any} */ { id, kpi }) => interval(id, kpi) },
      { name: "n", kind: "n", label: "n", cell: (/** @type {any} */ { kpi }) => count(kpi.n ?? kpi.denominator) },
    ]} />`}
  <//>`;
}

/**
 * What was answered last, without a word of who answered.
 * @param {{seen: boolean}} props
 */
function Latest({ seen }) {
  const { site } = usePage();
  const query = new URLSearchParams({ site });
  const answer = useAnswer(`scores?${query}`, LATEST_EVERY_MS, seen);
  /** @type {Score[]} */
  const scores = (answer?.scores ?? []).slice(0, LATEST_SHOWN);
  return html`<${Card} title="Latest scores" note="each answer, also one that was replaced later" area="latest"
    csv=${`scores.csv?${query}`} heard=${answer !== null}>
    ${scores.length === 0 ? html`<p class="nothing">${NO_ANSWERS}</p>` : html`
    <${Rows} rows=${scores} keyOf=${(/** @type {Score} */ one) => scores.indexOf(one)} columns=${[
      { name: "answered", cell: (/** @type {Score} */ one) => clock(one.answered_at) },
      { name: "score", kind: "n strong", cell: (/** @type {Score} */ one) => html`
        <i class=${`key ${CLASS_OF[one.says] ?? ""}`} aria-hidden="true"></i>${one.score} <small>of ${one.scale_max}</small>` },
      { name: "says", cell: (/** @type {Score} */ one) => one.says },
      { name: "survey", cell: (/** @type {Score} */ one) => html`<bdi class="name">${one.survey_id}</bdi>` },
      { name: "segment", kind: "quiet", cell: (/** @type {Score} */ one) => html`<bdi class="name">${segmentOf(one)}</bdi>` },
    ]} />`}
  <//>`;
}

/** @param {Score} score what its answer says of itself */
function segmentOf({ channel, campaign, device, country, plan }) {
  return [channel, campaign, device, country, plan].filter(Boolean).join(" · ");
}
