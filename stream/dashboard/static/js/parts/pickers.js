// Controls that choose what is shown.
import { html, useState } from "../html.js";

/**
 * One of a few: radio buttons that look like one bar.
 * @param {object} props
 * @param {string} props.name
 * @param {string} props.legend what is chosen, for whoever cannot see the bar
 * @param {string} props.value
 * @param {string[]} props.options
 * @param {(option: string) => string} props.write
 * @param {(option: string) => void} props.onPick
 */
export function Choices({ name, legend, value, options, write, onPick }) {
  return html`<fieldset class="choices"><legend class="hidden">${legend}</legend>
    ${options.map((option) => html`<label key=${option}>
      <input type="radio" name=${name} value=${option} checked=${option === value} onChange=${() => onPick(option)} />
      <span>${write(option)}</span></label>`)}
  </fieldset>`;
}

/**
 * One of many.
 * @param {object} props
 * @param {string} props.legend
 * @param {string} props.value
 * @param {string[]} props.options
 * @param {(option: string) => string} props.write
 * @param {(option: string) => void} props.onPick
 */
export function Select({ legend, value, options, write, onPick }) {
  const all = options.includes(value) || !value ? options : [value, ...options];
  return html`<select aria-label=${legend} value=${value} onChange=${(/** @type {any} */ event) => onPick(event.target.value)}>
    ${all.map((option) => html`<option key=${option} value=${option} selected=${option === value}>${write(option)}</option>`)}
  </select>`;
}

const THEMES = ["system", "light", "dark"];
/** @type {Record<string, string>} */
const SIGNS = { system: "◐", light: "○", dark: "●" };

/** The colours: the system's, light, dark, and again. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? "system");
  const turn = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem("latido-theme");
      else localStorage.setItem("latido-theme", next);
    } catch {
      // Storage may be closed to us: then it holds until the page is left.
    }
    setTheme(next);
  };
  return html`<button type="button" class="theme" onClick=${turn} title=${`colours: ${theme}`}
    aria-label=${`Colours: ${theme}. Change.`}>${SIGNS[theme]}</button>`;
}
