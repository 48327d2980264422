// What every part of the page may ask for: the registry, the site, how fresh the numbers are, an explanation.
import { useContext } from "../vendor/hooks.js";
import { createContext } from "../vendor/preact.js";

/**
 * @typedef {object} Page
 * @property {import("./types.js").Registry} registry
 * @property {string} site
 * @property {import("./types.js").Freshness} fresh
 * @property {boolean} wall
 * @property {(asked: import("./parts/explain.js").Asked) => void} explain
 */

/** @type {Page} */
const NOBODY = {
  registry: {}, site: "", wall: false, explain: () => undefined,
  fresh: { status: "connecting", current: false, ageMs: null, text: "", whatToDo: null },
};
export const PageContext = createContext(NOBODY);

/** @returns {Page} */
export function usePage() {
  return useContext(PageContext);
}

/**
 * What a KPI is called; the registry comes a moment after the first numbers.
 * @param {import("./types.js").Registry} registry
 * @param {string} id
 */
export function label(registry, id) {
  const plain = id.replace(/_ms$/, "").replaceAll("_", " ");
  return registry[id]?.label ?? plain.charAt(0).toUpperCase() + plain.slice(1);
}
