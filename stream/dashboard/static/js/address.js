// What is shown is in the address: it can be kept, sent and gone back to.
import { useEffect, useState } from "./html.js";

/** @typedef {import("./types.js").Choice} Choice */

export const WINDOWS = ["1m", "5m", "30m", "1h", "24h", "all"];
export const ANSWER_WINDOWS = ["24h", "7d", "30d", "90d", "all"];
export const CLICK_DIMENSIONS = ["element", "campaign", "channel", "variant", "surface", "position"];

const DEFAULTS = { site: "", window: "5m", dimension: "channel", clicks: "element", answers: "30d" };
/** @type {(keyof typeof DEFAULTS)[]} */
const NAMES = ["site", "window", "dimension", "clicks", "answers"];
/** @type {Record<string, string[]>} */
const ALLOWED = { window: WINDOWS, answers: ANSWER_WINDOWS, clicks: CLICK_DIMENSIONS };

/**
 * What a query asks for; what it does not name, or names wrongly, is the default.
 * @param {string} query such as `?site=shop-es&window=1h`
 * @returns {Choice}
 */
export function readChoice(query) {
  const given = new URLSearchParams(query);
  const choice = { ...DEFAULTS, wall: given.get("wall") === "1" };
  for (const name of NAMES) {
    const value = given.get(name);
    if (value && (ALLOWED[name]?.includes(value) ?? true)) choice[name] = value;
  }
  return choice;
}

/**
 * The query that asks for a choice, without what is the default.
 * @param {Choice} choice
 */
export function writeChoice(choice) {
  const query = new URLSearchParams();
  for (const name of NAMES) if (choice[name] !== DEFAULTS[name]) query.set(name, choice[name]);
  if (choice.wall) query.set("wall", "1");
  const text = query.toString();
  return text && `?${text}`;
}

/**
 * The choice in the address, and a function that changes it.
 * @returns {[Choice, (change: Partial<Choice>) => void]}
 */
export function useChoice() {
  const [choice, setChoice] = useState(() => readChoice(location.search));
  useEffect(() => {
    const read = () => setChoice(readChoice(location.search));
    addEventListener("popstate", read);
    return () => removeEventListener("popstate", read);
  }, []);
  const change = (/** @type {Partial<Choice>} */ part) => {
    const next = { ...choice, ...part };
    history.pushState(null, "", (writeChoice(next) || location.pathname) + location.hash);
    setChoice(next);
  };
  return [choice, change];
}
