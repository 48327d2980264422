// Templates as JSX would write them, without a build step: values become text nodes and attributes, never markup.
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

export const html = htm.bind(h);
export { Fragment, render } from "../vendor/preact.js";
export { useEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
