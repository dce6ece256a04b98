/** Where one is: all of it stands in the address, `/?view=work&state=parked`, so that links and the back key work. */

import { store, useStore } from "/app/store.js";

const read = () => Object.fromEntries(new URLSearchParams(location.search));
const here = store(read());

window.addEventListener("popstate", () => here.set(read()));

/** Where one is just now, whatever was so when something was drawn. */
export const whereNow = () => here.get();

/** The parameters of the address: `{view, ...}`. */
export const useRoute = () => useStore(here);

/**
 * The address of a place; what is empty is left out.
 *
 * @param {Record<string, unknown>} params
 */
export function href(params) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length ? `/?${search}` : "/";
}

/**
 * Go there.
 *
 * @param {Record<string, unknown>} params all of them: what is not named is left out
 * @param {{replace?: boolean}} [how] `replace`: no step for the back key (a filter that is being typed)
 */
export function go(params, { replace = false } = {}) {
  const target = href(params);
  if (target === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  here.set(read());
}

/** Let links of this page go without loading it anew. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest?.("a[href]");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin || link.pathname !== "/") return;
    if (link.hash) return;
    event.preventDefault();
    go(Object.fromEntries(new URLSearchParams(link.search)));
  });
}
