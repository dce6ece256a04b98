/**
 * The admin API. Whatever goes wrong becomes a `Problem` that can say what failed and what to do.
 *
 * A refused key locks the page, which then asks for another one.
 */

import { key, lock } from "/app/session.js";
import { texts } from "/app/texts.js";

const PATIENCE = { GET: 40_000, POST: 310_000 }; // ms; an act may take as long as its function

/** Why something could not be read or done. */
export class Problem extends Error {
  /** @param {{code: string, status?: number, detail: string, field?: string, errors?: {field: string, detail: string}[], preview?: object}} about */
  constructor(about) {
    super(about.detail);
    this.code = about.code;
    this.status = about.status ?? 0;
    this.detail = about.detail;
    this.field = about.field ?? null;
    this.errors = about.errors ?? [];
    this.preview = about.preview ?? null; // what matches now, where it is not what was shown
  }

  /** What to do about it. */
  get remedy() {
    const said = texts.problems;
    return said.byCode[this.code] ?? (this.status >= 500 ? said.server : this.status === 409 ? said.changed : said.other);
  }
}

/**
 * A path with its query; what is empty is left out.
 *
 * @param {string} path
 * @param {Record<string, unknown>} [query]
 */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length ? `${path}?${search}` : path;
}

/**
 * Ask the API; the answer as an object.
 *
 * @param {string} path such as "/api/admin/work"
 * @param {{query?: object, method?: string, body?: object, signal?: AbortSignal, as?: string, idempotencyKey?: string}} [how]
 *   `as`: another key than the tab's, to try it.
 * @throws {Problem} or the signal's own reason, when whoever asked has gone on.
 */
export async function ask(path, how = {}) {
  const answer = await send(path, "application/json", how);
  try {
    return await answer.json();
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new Problem({ code: "no_json", status: answer.status, detail: texts.problems.noJson });
  }
}

/** Change something: `ask` with a body. */
export function post(path, body, how = {}) {
  return ask(path, { method: "POST", ...how, body });
}

/**
 * A whole list as a file.
 *
 * @param {string} name of the file
 * @param {string} accept "text/csv" or "text/calendar"
 */
export async function download(path, query, name, accept = "text/csv") {
  const answer = await send(path, accept, { query });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await answer.blob()), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A text as it is, such as a dispute's pack. */
export async function text(path, query, signal) {
  return (await send(path, "text/plain", { query, signal })).text();
}

async function send(path, accept, { query, method = "GET", body, signal, as, idempotencyKey }) {
  const late = AbortSignal.timeout(PATIENCE[method] ?? PATIENCE.POST);
  const headers = { Accept: accept, Authorization: `Bearer ${as ?? key.get()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const slow = late.aborted;
    throw new Problem({ code: slow ? "slow" : "unreachable", detail: slow ? texts.problems.slow : texts.problems.unreachable });
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && as === undefined) lock(true);
  throw await problemOf(answer);
}

async function problemOf(answer) {
  try {
    const told = await answer.json();
    return new Problem({ ...told, status: answer.status, detail: told.detail ?? told.title });
  } catch {
    return new Problem({ code: "no_json", status: answer.status, detail: texts.problems.status(answer.status) });
  }
}
