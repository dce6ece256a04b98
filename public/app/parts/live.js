/**
 * The polite live region of what has no place of its own on the page: what has happened is said once, to eyes and to screen readers.
 *
 * While a modal dialog is open, everything outside of it is silent: so the region goes where it is heard.
 */

import { html } from "/app/markup.js";

const SHOWN = 5000; // ms; long enough to read a line
const HEARD = 60; // ms; a region must be there before its words are

const region = document.createElement("div");
region.className = "said";
region.setAttribute("role", "status");
region.setAttribute("aria-live", "polite");
document.body.append(region);
const waiting = []; // what is not said yet
let timer;

/**
 * What stands on the page, for those who hear it. It must be there before its words are, so it is always there: an element
 * that comes together with its words is read aloud by few.
 */
export const Heard = ({ children }) => html`<p class="hidden" role="status">${children}</p>`;

/** Say something; what was said a moment ago and is not spoken yet comes before it. */
export function announce(text) {
  waiting.push(text);
  if (waiting.length === 1) place();
}

const where = () => [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;

function place() {
  clearTimeout(timer);
  region.replaceChildren();
  where().append(region);
  timer = setTimeout(speak, HEARD);
}

function speak() {
  if (region.parentNode !== where()) return place(); // a dialog was opened or closed since
  region.append(...waiting.splice(0).map((text) => Object.assign(document.createElement("p"), { textContent: text })));
  timer = setTimeout(() => {
    region.replaceChildren();
    document.body.append(region);
  }, SHOWN);
}
