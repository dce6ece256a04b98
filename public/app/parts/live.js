/** The one polite live region: what has happened is said once, to eyes and to screen readers. */

import { html, useEffect } from "/app/markup.js";
import { store, useStore } from "/app/store.js";

const said = store("");
const SHOWN = 5000; // ms; long enough to read a line

/** Say something in the live region. */
export function announce(text) {
  said.set("");
  setTimeout(() => said.set(text), 30); // the same words twice are heard twice
}

/** Where it is said. */
export function Live() {
  const text = useStore(said);
  useEffect(() => {
    if (!text) return undefined;
    const timer = setTimeout(() => said.set(""), SHOWN);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<div class="said" role="status" aria-live="polite">${text && html`<p>${text}</p>`}</div>`;
}
