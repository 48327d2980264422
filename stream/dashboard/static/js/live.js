// The streams of the page: records as they change, and how far to trust them by the page's own clock.
import { useEffect, useState } from "./html.js";
import { recordKey } from "./records.js";

/** @typedef {import("./types.js").View} View */
/** @typedef {import("./types.js").Freshness} Freshness */

const API = "/api/v1";
// The server speaks every second. Three times that without a word, and the page says that it is deaf.
const DEAF_AFTER_MS = 3000;
// A connection may die without anybody noticing, when a laptop sleeps: then another one is made.
const ANEW_AFTER_MS = 8000;
const LOOK_EVERY_MS = 500;
const LONGEST_PAUSE_MS = 5000;
const LONG_HIDDEN_MS = 30000;
// While events come there are always some to be read: numbers of so short a time ago are still those of now.
const BEHIND_MS = 5000;

/** @type {View} */
const NOTHING = {
  records: new Map(), header: null, state: null, sites: [], dimensions: [],
  query: "", heardAt: -Infinity, problem: null,
};

/**
 * What an event of the stream makes of a view. Pure.
 * @param {View} view
 * @param {"snapshot" | "change" | "state"} kind
 * @param {any} body
 * @param {number} now
 * @returns {View}
 */
export function heard(view, kind, body, now) {
  const next = { ...view, state: body.state, header: body.header ?? view.header, heardAt: now, problem: null };
  if (kind === "state") return next;
  const records = kind === "snapshot" ? new Map() : new Map(view.records);
  for (const key of body.gone ?? []) records.delete(key);
  for (const record of body.records ?? []) records.set(recordKey(record), record);
  next.records = records;
  if (kind === "snapshot") {
    next.sites = body.sites;
    next.dimensions = body.dimensions;
  }
  // A site may be new since the snapshot: its records say so.
  const named = (body.records ?? []).map((/** @type {any} */ one) => one.site_id);
  if (named.some((/** @type {string} */ site) => !next.sites.includes(site))) {
    next.sites = [...new Set([...next.sites, ...named])].sort();
  }
  return next;
}

/**
 * How far a view may be trusted at `now`.
 * @param {View} view
 * @param {number} now
 * @returns {Freshness}
 */
export function freshness(view, now) {
  const silentMs = now - view.heardAt;
  const { state } = view;
  if (state === null) {
    const text = view.problem ?? "Connecting to the monitor's server.";
    return { status: view.problem ? "lost" : "connecting", current: false, ageMs: null, text, whatToDo: null };
  }
  const ageMs = state.age_ms === null ? null : state.age_ms + silentMs;
  if (view.problem !== null || silentMs > DEAF_AFTER_MS) {
    const text = view.problem ?? "This page has lost the monitor's server.";
    const whatToDo = "It tries again by itself; the numbers are the last it heard.";
    return { status: "lost", current: false, ageMs, text, whatToDo };
  }
  const behindMs = state.as_of === null ? 0 : Date.parse(state.now) - Date.parse(state.as_of);
  const current = state.status === "complete" || (state.status === "catching_up" && behindMs < BEHIND_MS);
  return { status: state.status, current, ageMs, text: state.text, whatToDo: state.what_to_do };
}

/**
 * Follow a stream. It closes while the page is hidden for long: browsers allow few connections to one place.
 * @param {string | null} query null: nothing is followed yet
 * @returns {View}
 */
export function useStream(query) {
  const [view, setView] = useState(NOTHING);
  useEffect(() => (query === null ? undefined : follow(query, setView)), [query]);
  return view;
}

/**
 * @param {string} query
 * @param {(change: (view: View) => View) => void} update
 * @returns {() => void} stops following
 */
function follow(query, update) {
  /** @type {EventSource | null} */
  let source = null;
  let openedAt = 0;
  let heardAt = 0;
  let pauseMs = 500;
  let hiddenAt = Infinity;
  let stopped = false;

  const open = () => {
    source?.close();
    openedAt = heardAt = performance.now();
    source = new EventSource(`${API}/kpis/stream?${query}`);
    for (const kind of /** @type {const} */ (["snapshot", "change", "state"])) {
      source.addEventListener(kind, (event) => {
        heardAt = performance.now();
        pauseMs = 500;
        const body = JSON.parse(/** @type {MessageEvent} */ (event).data);
        update((view) => ({ ...heard(view, kind, body, heardAt), query: kind === "snapshot" ? query : view.query }));
      });
    }
    // A stream that was refused stays closed, and does not say why: asking for the same once does.
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) refusal(query).then((problem) => {
        if (!stopped) update((view) => ({ ...view, problem }));
      });
    };
  };
  const look = () => {
    const now = performance.now();
    if (now - hiddenAt > LONG_HIDDEN_MS) source?.close();
    else if (source?.readyState === EventSource.CLOSED ? now - openedAt > pauseMs : now - heardAt > ANEW_AFTER_MS) {
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      open();
    }
  };
  const seen = () => {
    hiddenAt = document.hidden ? performance.now() : Infinity;
    look();
  };
  open();
  const timer = setInterval(look, LOOK_EVERY_MS);
  document.addEventListener("visibilitychange", seen);
  return () => {
    stopped = true;
    source?.close();
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}

/**
 * Why a stream is refused, in a sentence.
 * @param {string} query
 * @returns {Promise<string>}
 */
async function refusal(query) {
  try {
    await ask(`kpis?${query}`);
    return "The stream of numbers was closed.";
  } catch (error) {
    return /** @type {Error} */ (error).message;
  }
}

/**
 * Ask the API once. Throws an Error whose message a person can act on.
 * @param {string} path such as `registry`
 * @returns {Promise<any>}
 */
export async function ask(path) {
  const answer = await fetch(`${API}/${path}`, { headers: { accept: "application/json" } }).catch(() => null);
  if (answer === null) throw new Error("The monitor's server does not answer: is 'latido dashboard' running?");
  if (answer.ok) return answer.json();
  if (answer.status === 401) {
    throw new Error("The monitor wants its token: open this page once with ?token=… at the end of its address.");
  }
  const said = await answer.json().catch(() => ({}));
  const why = said.detail ?? said.error ?? said.message;
  throw new Error(typeof why === "string" ? why : `The monitor's server answers ${answer.status}.`);
}

/**
 * An answer of the API, asked for again every so often while `wanted`; null before the first to this path.
 * @param {string} path
 * @param {number} everyMs 0: once
 * @param {boolean} wanted
 * @returns {any}
 */
export function useAnswer(path, everyMs, wanted) {
  const [answer, setAnswer] = useState(/** @type {{path: string, body: any} | null} */ (null));
  useEffect(() => {
    if (!wanted) return undefined;
    let stopped = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const look = async () => {
      const found = document.hidden ? null : await ask(path).catch(() => null);
      if (stopped) return;
      if (found !== null) setAnswer({ path, body: found });
      // What is asked for once is asked until it is there.
      if (everyMs || found === null) timer = setTimeout(look, everyMs || LONGEST_PAUSE_MS);
    };
    look();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [path, everyMs, wanted]);
  return answer?.path === path ? answer.body : null;
}

/** This page's own clock in ms, twice a second: what makes it notice silence. */
export function useClock() {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
