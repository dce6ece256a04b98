/**
 * The one polite live region: what has happened is said once, to eyes and to screen readers.
 *
 * While a modal dialog is open, everything outside of it is silent: so the region goes where it is heard.
 */

const SHOWN = 5000; // ms; long enough to read a line
const HEARD = 60; // ms; a region must be there before its words are

const region = document.createElement("div");
region.className = "said";
region.setAttribute("role", "status");
region.setAttribute("aria-live", "polite");
document.body.append(region);
let timer;

/** Say something. */
export function announce(text) {
  clearTimeout(timer);
  region.replaceChildren();
  ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(region);
  timer = setTimeout(() => {
    const line = document.createElement("p");
    line.textContent = text;
    region.append(line);
    timer = setTimeout(() => {
      region.replaceChildren();
      document.body.append(region);
    }, SHOWN);
  }, HEARD);
}
