// The frame of everything shown: a title that can be asked what it means, and how old the numbers are.
import { age } from "../format.js";
import { html } from "../html.js";
import { label, usePage } from "../page.js";

/** @typedef {import("../types.js").Freshness} Freshness */

/** @type {Record<string, string>} */
const NOT_OF_NOW = {
  catching_up: "catching up", partial: "partial", stale: "stale", lost: "no connection", unreachable: "store gone",
  connecting: "connecting", empty: "nothing yet",
};

/**
 * @param {object} props
 * @param {string} [props.title]
 * @param {string} [props.kpi] whose meaning the title's button tells; its label is the title where none is given
 * @param {string} [props.window] of the number, for the explanation
 * @param {string} [props.note] what stands beside the title
 * @param {string} props.area the place in the grid
 * @param {string} [props.csv] what to ask the API for to have the same figures as a file
 * @param {Freshness} [props.fresh] where it is not that of the page
 * @param {any} [props.tools] controls of this card
 * @param {boolean} [props.heard] whether what is in it was answered: before that nobody knows that there is nothing
 * @param {any} props.children
 */
export function Card({ title, kpi, window = "", note, area, csv, fresh, tools, heard = true, children }) {
  const page = usePage();
  const trust = fresh ?? page.fresh;
  const known = heard && (trust.current || trust.ageMs !== null);
  return html`
    <section class=${`card ${area} ${trust.current ? "" : "old"}`} data-status=${trust.status}>
      <header class="card-head">
        <h3>${title ?? (kpi ? label(page.registry, kpi) : "")}</h3>
        ${kpi && html`<${Meaning} kpi=${kpi} window=${window} />`}
        ${note && html`<span class="note">${note}</span>`}
        <${Age} fresh=${trust} />
        <span class="tools">
          ${tools}
          ${csv && html`<a class="csv" href=${`/api/v1/${csv}`} download
            aria-label=${`${title ?? kpi} as a CSV file`}>CSV</a>`}
        </span>
      </header>
      ${known ? children : html`<p class="nothing">Not known yet.</p>`}
    </section>`;
}

/**
 * Only where the numbers are not those of now.
 * @param {{fresh: Freshness}} props
 */
export function Age({ fresh }) {
  const word = fresh.current ? undefined : NOT_OF_NOW[fresh.status];
  if (!word) return null;
  return html`<span class="tag">${word}${fresh.ageMs !== null && ` · ${age(fresh.ageMs)}`}</span>`;
}

/**
 * The button that tells what a KPI means: in one sentence at once, then how this number came about.
 * @param {{kpi: string, window: string, segment?: string, name?: string}} props
 */
export function Meaning({ kpi, window, segment = "all", name }) {
  const { registry, explain, wall } = usePage();
  if (wall) return null;
  return html`<button type="button" class="meaning" title=${registry[kpi]?.meaning ?? ""}
    aria-label=${`What is ${name ?? label(registry, kpi)}?`} onClick=${() => explain({ kpi, window, segment })}>?</button>`;
}
