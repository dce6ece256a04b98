/** What this tab remembers, and nothing beyond it: the key, and how times are shown. */

import { store } from "/app/store.js";

const KEY = "bridge.key";
const TIMES = "bridge.times";

/** The bearer key; null while the page is locked. */
export const key = store(sessionStorage.getItem(KEY));

/** Whether the last key was refused: the dialog says so. */
export const refused = store(false);

/** "relative", "local" or "utc". */
export const times = store(sessionStorage.getItem(TIMES) ?? "relative");

/** Let this tab use a key that was found to be right. */
export function unlock(given) {
  sessionStorage.setItem(KEY, given);
  refused.set(false);
  key.set(given);
}

/** Forget the key. `wrong`: because the server refused it. */
export function lock(wrong = false) {
  sessionStorage.removeItem(KEY);
  refused.set(wrong);
  key.set(null);
}

/** Show times in another way. */
export function showTimes(how) {
  sessionStorage.setItem(TIMES, how);
  times.set(how);
}
