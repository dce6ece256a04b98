/** Dates that a person typed. */

/** What a `datetime-local` field holds, in UTC for the API; null when it is empty. */
export function toUtc(typed) {
  return typed ? new Date(typed).toISOString() : null;
}

/** A time of the API for a `datetime-local` field, where the reader is. */
export function forField(at) {
  const when = new Date(at);
  return new Date(when - when.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
