/**
 * The focus stays where somebody is. What has it may go away by itself, such as a row that the next look does not find any
 * more: then it goes to what was around it, and not back to the beginning of the page.
 */

const PLACES = "[tabindex], dialog"; // what can have it and holds something

/** From now on. */
export function keepFocus() {
  let line = []; // what has the focus, and the places around it, from the inside out
  document.addEventListener("focusin", ({ target }) => {
    line = [target, ...around(target)];
  });
  document.addEventListener("focusout", ({ target }) => {
    queueMicrotask(() => {
      if (target.isConnected && line[0] === target && document.activeElement === document.body) line = []; // left, not taken away
    });
  });
  new MutationObserver(() => {
    if (!line.length || line[0].isConnected || document.activeElement !== document.body) return;
    line.find((one) => one.isConnected)?.focus({ preventScroll: true });
  }).observe(document.body, { childList: true, subtree: true });
}

function around(element) {
  const place = element.parentElement?.closest(PLACES);
  return place ? [place, ...around(place)] : [];
}
