/**
 * How many digits of an amount stand behind the point, for what a person types before the server has said it of anything.
 *
 * Stripe's own table, the same as in lib/policy/currencies.py: a test holds them equal. Two digits where none is named.
 */

const ZERO = ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
const THREE = ["bhd", "jod", "kwd", "omr", "tnd"];

/** @param {string} currency such as "eur" */
export function digits(currency) {
  const code = currency.toLowerCase();
  return ZERO.includes(code) ? 0 : THREE.includes(code) ? 3 : 2;
}
