/** Times, amounts and words as people read them. */

const LOCALE = "en-GB";
const NOW = "now";
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" }); // not "yesterday": 47 hours ago was the day before
const stamp = { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const clocks = (zone) => ({ near: new Intl.DateTimeFormat(LOCALE, { ...stamp, ...zone }), far: new Intl.DateTimeFormat(LOCALE, { ...stamp, year: "numeric", ...zone }) });
const zones = { utc: clocks({ timeZone: "UTC" }), local: clocks({}) };
const days = {
  utc: new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }),
  local: new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short", year: "numeric" }),
};
const numbers = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact" });

/**
 * A time as the switch wants it; its year only where it is another one than now.
 *
 * @param {string} at ISO 8601
 * @param {"relative"|"local"|"utc"} how
 */
export function time(at, how) {
  if (how === "relative") return ago(at);
  const when = new Date(at);
  const year = (one) => (how === "utc" ? one.getUTCFullYear() : one.getFullYear());
  const told = zones[how][year(when) === year(new Date()) ? "near" : "far"].format(when);
  return how === "utc" ? `${told} UTC` : told;
}

/** Whether a word is a time of the API's: what people typed may look like one, and name no day there is. */
export const isTime = (word) => /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(word) && !Number.isNaN(Date.parse(word));

/** How far away a time is: "now", "3 min ago", "in 2 days". */
export function ago(at, now = Date.now()) {
  const seconds = Math.round((new Date(at) - now) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return seconds ? relative.format(Math.trunc(seconds / size), unit) : NOW;
}

/** The day of a time: in UTC when times are shown so, else where the reader is. */
export const day = (at, how) => days[how === "utc" ? "utc" : "local"].format(new Date(at));

/** A length of time: "48 s", "3 min", "2 h 5 min", "4 d". */
export function duration(seconds) {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/**
 * An amount by the exponent that the server sends, never by a guess.
 *
 * @param {number|null} amount in minor units
 * @param {string|null} currency "eur"
 * @param {number|null|undefined} exponent digits behind the point; unknown: the minor units are shown as they are
 */
export function money(amount, currency, exponent) {
  if (amount === null || amount === undefined || !currency) return "";
  const code = currency.toUpperCase();
  if (exponent === null || exponent === undefined) return `${numbers.format(amount)} ${code} (minor units)`;
  const digits = { minimumFractionDigits: exponent, maximumFractionDigits: exponent };
  return `${new Intl.NumberFormat("en", digits).format(amount / 10 ** exponent)} ${code}`;
}

/**
 * What a person typed as an amount, in minor units; null where it is none of this currency.
 *
 * @param {string} typed "19.00"
 */
export function minorUnits(typed, exponent) {
  const found = /^(\d{1,12})(?:\.(\d+))?$/.exec(typed.trim());
  if (!found || (found[2] ?? "").length > exponent) return null;
  return Number(found[1] + (found[2] ?? "").padEnd(exponent, "0"));
}

/** A whole number with its thousands apart. */
export const count = (value) => numbers.format(value);

/** A whole number where there is room for four signs: "950", "12K". */
export const shortCount = (value) => short.format(value);

/** A word of the API as people read it: "domain_in_use" is "domain in use". */
export const words = (word) => String(word ?? "").replaceAll("_", " ").replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
