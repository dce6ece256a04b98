/** What this tab remembers, and nothing beyond it: the key, and how times are shown. */

import { store } from "/app/store.js";

const KEY = "bridge.key";
const TIMES = "bridge.times";

/** The tab's own memory, or none that outlives this page: where a browser blocks what sites want to keep, asking for it throws. */
const memory = (() => {
  try {
    return window.sessionStorage;
  } catch {
    return { getItem: () => null, setItem() {}, removeItem() {} };
  }
})();

/** The bearer key; null while the page is locked. */
export const key = store(memory.getItem(KEY));

/** Set while the last key was refused, which the dialog says: "nothing", or whether an act was "undone" by it or is "unsure". */
export const refused = store(null);

/** "relative", "local" or "utc". */
export const times = store(memory.getItem(TIMES) ?? "relative");

/** Let this tab use a key that was found to be right. */
export function unlock(given) {
  memory.setItem(KEY, given);
  refused.set(null);
  key.set(given);
}

/** Forget the key. `why`: where the server refused it, what became of an act: "nothing", "undone" or "unsure". */
export function lock(why = null) {
  memory.removeItem(KEY);
  refused.set(why);
  key.set(null);
}

/** Show times in another way. */
export function showTimes(how) {
  memory.setItem(TIMES, how);
  times.set(how);
}
