// How one number came about: what the registry says of it at once, and its formula with the counts put in.
import { html, useEffect, useRef, useState } from "../html.js";
import { ask } from "../live.js";
import { label, usePage } from "../page.js";

/** @typedef {import("../types.js").Explanation} Explanation */
/** @typedef {{kpi: string, window: string, segment: string, at?: string}} Asked at: of an hour or a day */

/** @type {[keyof Explanation, string][]} */
const ROWS = [
  ["value", "Value"], ["counts", "Counts"], ["interval", "Interval"], ["before", "Before"],
  ["window", "Window"], ["state", "State"], ["segment", "Segment"], ["site", "Site"], ["completeness", "Complete?"], ["held_by", "Held back by"],
];

/**
 * @param {{asked: Asked | null, onClose: () => void}} props
 */
export function ExplainDialog({ asked, onClose }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    if (asked !== null) dialog.current?.showModal();
    else dialog.current?.close();
  }, [asked]);
  const outside = (/** @type {MouseEvent} */ event) => {
    if (event.target === dialog.current) onClose();
  };
  return html`<dialog ref=${dialog} class="explain" aria-labelledby="explain-title" onClose=${onClose} onClick=${outside}>
    ${asked && html`<${Content} key=${JSON.stringify(asked)} asked=${asked} onClose=${onClose} />`}
  </dialog>`;
}

/** @param {{asked: Asked, onClose: () => void}} props */
function Content({ asked, onClose }) {
  const { registry, site } = usePage();
  const [explanation, setExplanation] = useState(/** @type {Explanation | null} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const query = new URLSearchParams({ ...asked, site });
    ask(`explain?${query}`).then(setExplanation, (error) => setProblem(error.message));
  }, []);
  const definition = registry[asked.kpi];
  return html`<div class="explain-body">
    <header><h2 id="explain-title">${label(registry, asked.kpi)}</h2>
      <button type="button" class="close" aria-label="Close" onClick=${onClose}>×</button></header>
    <p class="lead">${definition?.meaning ?? explanation?.meaning ?? ""}</p>
    <dl>
      <dt>Formula</dt><dd>${definition?.formula ?? explanation?.formula ?? ""}</dd>
      ${explanation && ROWS.map(([name, words]) => explanation[name] && html`<dt>${words}</dt><dd>${explanation[name]}</dd>`)}
      ${definition?.source && html`<dt>Source</dt><dd>${definition.source}</dd>`}
    </dl>
    ${explanation && explanation.caveats.map((caveat) => html`<p class="caveat">${caveat}</p>`)}
    ${problem && html`<p class="caveat">${problem}</p>`}
  </div>`;
}
