/** The pictures of the navigation: drawn with lines, in the colour of the text. */

import { html } from "/app/markup.js";

const PATHS = {
  overview: "M3 12l3-5 3 4 3-7 5 9",
  customers: "M10 10a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 10 10zM3.8 17c.6-3 3-4.6 6.2-4.6s5.6 1.6 6.2 4.6",
  work: "M4 5h12M4 10h12M4 15h7",
  plans: "M4 4h5v5H4zM11 11h5v5h-5zM9 6.5h4.5V11",
  events: "M11 2L4 11h5l-1 7 7-9h-5z",
  orders: "M5 3h10v14l-2.5-1.6L10 17l-2.5-1.6L5 17zM8 7h4M8 10.5h4",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l4 4",
  lock: "M6 9V7a4 4 0 0 1 8 0v2M5 9h10v7H5z",
};

/** @param {{name: keyof PATHS}} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
