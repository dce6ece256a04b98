/** The keys: `/` finds, `j` and `k` go through rows, `?` helps. None of them changes anything. */

import { moveRow } from "/app/parts/table.js";

const typing = (target) => target.matches?.("input, select, textarea, [contenteditable]");

/** @param {{help: () => void}} does */
export function listen({ help }) {
  const keys = {
    "/": () => document.querySelector("header .search input").select(),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    "?": help,
  };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    const does = keys[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}
