// Who is about to leave: how many customers stand how, and whose state changed last.
import { clock, count, percent } from "../format.js";
import { html } from "../html.js";
import { useAnswer } from "../live.js";
import { usePage } from "../page.js";
import { customersOf } from "../records.js";
import { Card } from "../parts/card.js";
import { Stack } from "../parts/charts.js";
import { Rows } from "../parts/tables.js";

/** @typedef {import("../types.js").View} View */
/** @typedef {import("../types.js").Signal} Signal */

const SIGNALS_EVERY_MS = 2_000;
const SIGNALS_SHOWN = 10;
const STATES = ["healthy", "watch", "at_risk", "lost"];
/** @type {Record<string, string>} */
const CAUSES = {
  time: "silence", returned: "came back", answer: "an answer", activity: "a visit",
  promoter: "promoter now", high_value: "of high value now",
};

/** @param {{view: View, seen: boolean}} props */
export function Customers({ view, seen }) {
  const { site, wall } = usePage();
  const counts = customersOf(view.records, site);
  if (wall) return counts && html`<${States} counts=${counts} />`;
  return html`<${States} counts=${counts} /><${Latest} seen=${seen} />`;
}

/** @param {{counts: Record<string, number> | null}} props */
function States({ counts }) {
  const of = (/** @type {string} */ state) => counts?.[state] ?? 0;
  const whole = STATES.reduce((sum, state) => sum + of(state), 0);
  return html`<${Card} title="Customers by state" note="now" area="whole states">
    ${counts === null ? html`<p class="nothing">No customer is known. Workers keep
      customers where <code>[churn]</code> has <code>live = true</code>, from events with a <code>customer_id</code>,
      once these are a minute old.</p>` : html`
    <p class="number large"><span data-customers="leaving">${count(of("at_risk"))}</span>
      <small> at risk of ${count(whole)}</small></p>
    <div><${Stack} parts=${STATES.map((state) => [state, of(state)])} />
      <p class="facts">${STATES.map((state) => html`<span key=${state}><i class=${`key ${state}`} aria-hidden="true"></i>
        <b data-customers=${state}>${count(of(state))}</b> ${words(state)}
        <span class="quiet"> ${whole ? percent(of(state) / whole) : ""}</span></span>`)}</p></div>`}
  <//>`;
}

/** @param {{seen: boolean}} props */
function Latest({ seen }) {
  const { site } = usePage();
  const query = new URLSearchParams({ site });
  const answer = useAnswer(`churn/signals?${query}`, SIGNALS_EVERY_MS, seen);
  /** @type {Signal[]} */
  const signals = (answer?.signals ?? []).slice(0, SIGNALS_SHOWN);
  return html`<${Card} title="Latest signals" note="changes of a customer's state, and why" area="whole signals"
    csv=${`churn/signals.csv?${query}`} heard=${answer !== null}>
    ${signals.length === 0 ? html`<p class="nothing">No customer's state has changed.</p>` : html`
    <${Rows} rows=${signals} keyOf=${(/** @type {Signal} */ one) => `${one.transition} ${one.customer_id}`} columns=${[
      { name: "customer", cell: (/** @type {Signal} */ one) => html`<${Name} signal=${one} />` },
      { name: "health", kind: "n strong", label: "health", cell: (/** @type {Signal} */ one) => count(one.health_score) },
      { name: "state", kind: "change", cell: (/** @type {Signal} */ one) => html`<i class=${`key ${one.state}`}
        aria-hidden="true"></i>${change(one)}` },
      { name: "cause", cell: (/** @type {Signal} */ one) => CAUSES[one.cause] ?? one.cause },
      { name: "main reason", kind: "reason", cell: (/** @type {Signal} */ one) => one.reason && html`<bdi>${one.reason}</bdi>` },
      { name: "changed", kind: "quiet", cell: (/** @type {Signal} */ one) => clock(one.changed_at) },
    ]} />`}
  <//>`;
}

/**
 * Ids come out of events: text of bounded length, with its own direction.
 * @param {{signal: Signal}} props
 */
function Name({ signal: { customer_id: id, is_high_value: valued } }) {
  return html`<bdi class="name" title=${id.slice(0, 300)}>${id}</bdi>
    ${valued && html`<span class="valued" title="of high value"><span aria-hidden="true">★</span><span class="hidden">of high value</span></span>`}`;
}

/** @param {Signal} signal a promoter's state stays as it is */
function change({ previous_state: before, state }) {
  return before === state ? words(state) : `${words(before)} → ${words(state)}`;
}

/** @param {string} state */
function words(state) {
  return state.replaceAll("_", " ");
}
