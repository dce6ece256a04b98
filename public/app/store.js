/** A value that several parts show: whoever uses it is drawn again when it changes. */

import { useLayoutEffect, useState } from "/app/markup.js";

/**
 * @template T
 * @param {T} value at the beginning
 * @returns {{get: () => T, set: (value: T) => void, subscribe: (told: () => void) => () => void}}
 */
export function store(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const told of [...listeners]) told();
    },
    subscribe(told) {
      listeners.add(told);
      return () => listeners.delete(told);
    },
  };
}

/** The value of a store, now and whenever it changes. */
export function useStore(of) {
  const [, draw] = useState(0);
  useLayoutEffect(() => of.subscribe(() => draw((count) => count + 1)), [of]);
  return of.get();
}
