// What is said when there are no numbers, or when those there are must not be taken for those of now.
import { age } from "../format.js";
import { html } from "../html.js";

/** @typedef {import("../types.js").Freshness} Freshness */

/** @type {Record<string, string>} */
const WORDS = {
  connecting: "connecting", complete: "complete", catching_up: "catching up", partial: "partial",
  stale: "stale", unreachable: "store gone", empty: "nothing yet", lost: "no connection",
};

/**
 * The state in a word and the age of the numbers, always in sight.
 * @param {{fresh: Freshness}} props
 */
export function Chip({ fresh }) {
  return html`<span class="chip" data-status=${fresh.status} title=${fresh.text}>
    <i aria-hidden="true"></i>${WORDS[fresh.status]}${fresh.ageMs !== null && html` <span class="chip-age">· ${age(fresh.ageMs)} ago</span>`}
  </span>`;
}

/**
 * A sentence across the page, unless everything is as it should be.
 * @param {{fresh: Freshness}} props
 */
export function Banner({ fresh }) {
  const silent = fresh.current || fresh.status === "connecting" || fresh.status === "empty";
  return html`<div class="banner-place" role="status">
    ${!silent && html`<p class="banner" data-status=${fresh.status}><b>${fresh.text}</b> ${fresh.whatToDo}</p>`}
  </div>`;
}

const EVENT = `curl -X POST http://127.0.0.1:8080/v1/events -H 'content-type: application/json' -d '{
  "event_id": "my-first", "type": "page_view", "visitor_id": "me",
  "occurred_at": "'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'", "url": "/pricing"}'`;

/**
 * Before the first event: how to send one.
 * @param {{fresh: Freshness}} props
 */
export function Empty({ fresh }) {
  return html`<section class="card whole empty" data-status="empty">
    <h2>Nothing has been counted yet</h2>
    <p>${fresh.text} ${fresh.whatToDo}</p>
    <p>Send one event to the collector (<code>latido collector</code>, while a <code>latido worker</code> runs):</p>
    <pre tabindex="0"><code>${EVENT}</code></pre>
    <p>or <code>latido send page_view --visitor me --url /pricing</code>. This page shows it as soon as it is counted.</p>
  </section>`;
}
