// Where the page begins.
import { App } from "./app.js";
import { html, render } from "./html.js";

const place = document.getElementById("app");
if (place !== null) {
  place.replaceChildren();
  render(html`<${App} />`, place);
}
