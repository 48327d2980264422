// What visitors say: NPS and CSAT with their intervals, and how the answers went over time.
import { ANSWER_WINDOWS } from "../address.js";
import { basis, clock, count, decimal, interval, lastWindow, percent, points, windowShort } from "../format.js";
import { html } from "../html.js";
import { useAnswer } from "../live.js";
import { usePage } from "../page.js";
import { kpiOf } from "../records.js";
import { Card } from "../parts/card.js";
import { Answers, Gauge, scaleOf, Whisker } from "../parts/charts.js";
import { Choices } from "../parts/pickers.js";

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
  return html`<${Nps} nps=${nps} choice=${choice} change=${change} />
    ${!wall && html`<${OverTime} seen=${seen} />
      <${Csat} view=${view} choice=${choice} />
      <${Surveys} choice=${choice} seen=${seen} />
      <${Latest} seen=${seen} />`}`;
}

/** @param {{nps: Kpi | null, choice: Choice, change: (part: Partial<Choice>) => void}} props */
function Nps({ nps, choice, change }) {
  const { wall } = usePage();
  const tools = !wall && html`<${Choices} name="answers" legend="Time of the answers" value=${choice.answers} options=${ANSWER_WINDOWS}
    write=${windowShort} onPick=${(/** @type {string} */ answers) => change({ answers })} />`;
  return html`<${Card} kpi="nps" title="Net promoter score" window=${choice.answers}
    note=${`${lastWindow(choice.answers)}, latest answer each`} area="nps" tools=${tools}>
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

/** @param {{view: View, choice: Choice}} props */
function Csat({ view, choice }) {
  const { site } = usePage();
  const csat = kpiOf(view.records, site, choice.answers, "csat");
  const score = kpiOf(view.records, site, choice.answers, "csat_score");
  return html`<${Card} kpi="csat" title="Customer satisfaction" window=${choice.answers}
    note=${lastWindow(choice.answers)} area="csat">
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
  const { site } = usePage();
  const query = new URLSearchParams({ kind: "hour", kpi: "nps", site });
  const answer = useAnswer(`results?${query}`, RESULTS_EVERY_MS, seen);
  /** @type {any[]} */
  const all = answer?.records ?? [];
  const hours = all.filter((one) => one.segment.dimension === "all" && one.kpis.nps?.n > 0).slice(-HOURS);
  return html`<${Card} title="Answers by the hour" note="promoters, passives, detractors" area="over-time">
    ${hours.length === 0 ? html`<p class="nothing">No hour with answers is settled yet.</p>` : html`
    <table class="hours"><thead><tr><th scope="col">hour</th><th scope="col"><span class="hidden">parts</span></th>
      <th scope="col" class="n">NPS</th><th scope="col" class="n">n</th><th scope="col">state</th></tr></thead>
      <tbody>${hours.reverse().map((one) => html`<tr key=${one.window.start}>
        <th scope="row">${clock(one.window.start).replace(/^\d+-/, "").replace(/:00$/, "")}</th>
        <td class="wide"><${Answers} kpi=${one.kpis.nps} /></td>
        <td class="n strong">${points(one.kpis.nps.value)}</td><td class="n">${count(one.kpis.nps.n)}</td>
        <td class="quiet">${one.state}</td></tr>`)}</tbody></table>`}
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
  return html`<${Card} title="Surveys" note=${lastWindow(choice.answers)} area="surveys" csv=${query.toString()}>
    ${records.length === 0 ? html`<p class="nothing">${NO_ANSWERS}</p>` : html`
    <table class="hours"><thead><tr><th scope="col">survey</th><th scope="col" class="n">score</th>
      <th scope="col"><span class="hidden">drawn</span></th>
      <th scope="col" class="n">95 % interval</th><th scope="col" class="n">n</th></tr></thead>
      <tbody>${records.map((record) => html`<${Survey} key=${record.segment.value} record=${record} most=${most} />`)}</tbody></table>`}
  <//>`;
}

/** @param {{record: import("../types.js").SnapshotRecord, most: number}} props */
function Survey({ record, most }) {
  const { nps, csat } = record.kpis;
  const answered = (/** @type {Kpi | undefined} */ kpi) => kpi !== undefined && kpi.value !== null;
  return [["nps", nps], ["csat", csat]].map(([id, one]) => {
    const kpi = /** @type {Kpi} */ (one);
    return answered(kpi) && html`<tr key=${id}>
      <th scope="row"><bdi class="name">${record.segment.value}</bdi></th>
      <td class="n strong">${id === "nps" ? `NPS ${points(kpi.value)}` : `CSAT ${percent(kpi.value)}`}</td>
      <td class="wide">${id === "csat" ? html`<${Whisker} id="csat" kpi=${kpi} most=${most} />` : html`<${Answers} kpi=${kpi} />`}</td>
      <td class="n quiet">${interval(String(id), kpi)}</td><td class="n">${count(kpi.n ?? kpi.denominator)}</td></tr>`;
  });
}

/**
 * What was answered last, without a word of who answered.
 * @param {{seen: boolean}} props
 */
function Latest({ seen }) {
  const { site } = usePage();
  const answer = useAnswer(`scores?${new URLSearchParams({ site })}`, LATEST_EVERY_MS, seen);
  /** @type {Score[]} */
  const scores = (answer?.scores ?? []).slice(0, LATEST_SHOWN);
  return html`<${Card} title="Latest scores" note="each answer, also one that was replaced later" area="latest">
    ${scores.length === 0 ? html`<p class="nothing">${NO_ANSWERS}</p>` : html`
    <table class="hours scores"><thead><tr><th scope="col">answered</th><th scope="col" class="n">score</th>
      <th scope="col">says</th><th scope="col">survey</th><th scope="col">of a visitor</th></tr></thead>
      <tbody>${scores.map((one, index) => html`<tr key=${index}>
        <th scope="row">${clock(one.answered_at)}</th>
        <td class="n"><b>${one.score}</b> <span class="quiet">of ${one.scale_max}</span></td>
        <td><i class=${`key ${CLASS_OF[one.says] ?? ""}`} aria-hidden="true"></i>${one.says}</td>
        <td><bdi class="name">${one.survey_id}</bdi></td>
        <td class="quiet"><bdi class="name">${segmentOf(one)}</bdi></td></tr>`)}</tbody></table>`}
  <//>`;
}

/** @param {Score} score what its answer says of itself */
function segmentOf({ channel, campaign, device, country, plan }) {
  return [channel, campaign, device, country, plan].filter(Boolean).join(" · ");
}
