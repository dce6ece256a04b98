/**
 * What is done twice by habit counts once: a double click, and Enter held down. Between the two another button may have
 * come to the same place, such as "Apply" to that of "Preview", or the focus into a dialog, where Enter does what it asks.
 */

/** From now on. */
export function countOnce() {
  const stop = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener("click", (event) => event.detail > 1 && event.target.closest("button") && stop(event), true);
  document.addEventListener("keydown", (event) => event.key === "Enter" && event.repeat && stop(event), true);
}
