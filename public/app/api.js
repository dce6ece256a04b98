/**
 * The admin API. Whatever goes wrong becomes a `Problem` that can say what failed and what to do.
 *
 * A refused key locks the page, which then asks for another one.
 */

import { answering } from "/app/parts/presented.js";
import { key, lock } from "/app/session.js";
import { texts } from "/app/texts.js";

const PATIENCE = { GET: 40_000, POST: 310_000, file: 310_000 }; // ms; an act may take as long as its function, and a file as long as its network

/** Why something could not be read or done. */
export class Problem extends Error {
  /** @param {{code: string, status?: number, detail: string, field?: string, errors?: {field: string, detail: string}[], preview?: object, unsure?: boolean}} about */
  constructor(about) {
    super(about.detail);
    this.code = about.code;
    this.status = about.status ?? 0;
    this.detail = about.detail;
    this.field = about.field ?? null;
    this.errors = about.errors ?? [];
    this.preview = about.preview ?? null; // what matches now, where it is not what was shown
    this.unsure = about.unsure ?? false; // it may have been done all the same
  }

  /** What to do about it. */
  get remedy() {
    const said = texts.problems;
    if (this.unsure) return said.look;
    return said.byStatus[this.status] ?? said.byCode[this.code] ?? (this.status >= 500 ? said.server : this.status === 409 ? said.changed : said.other);
  }
}

/** An answer that is none of the API's: a page of a proxy, half of an answer, nothing. `changes`: it was asked to do something. */
export const unreadable = (status, changes) => new Problem({ code: "no_json", status, detail: texts.problems.noJson, unsure: changes });

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
 * @param {{query?: object, method?: string, body?: object, signal?: AbortSignal, as?: string, idempotencyKey?: string, harmless?: boolean}} [how]
 *   `as`: another key than the tab's, to try it; `harmless`: it changes nothing, whatever its method, such as a preview.
 * @throws {Problem} or the signal's own reason, when whoever asked has gone on.
 */
export function ask(path, how = {}) {
  return send(path, "application/json", how, (answer) => answer.json().then((found) => (found && typeof found === "object" ? found : Promise.reject(new SyntaxError("no object")))));
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
  const found = await send(path, accept, { query }, (answer) => answer.blob());
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(found), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A text as it is, such as a dispute's pack. */
export function text(path, query, signal) {
  return send(path, "text/plain", { query, signal }, (answer) => answer.text());
}

async function send(path, accept, { query, method = "GET", body, signal, as, idempotencyKey, harmless }, read) {
  const late = AbortSignal.timeout(accept === "application/json" ? (PATIENCE[method] ?? PATIENCE.POST) : PATIENCE.file);
  const by = as ?? key.get();
  const changes = method !== "GET" && !harmless;
  const headers = { Accept: accept, Authorization: `Bearer ${by}` };
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
    if (answer.ok) return await read(answer);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error instanceof SyntaxError) throw unreadable(answer.status, changes);
    const slow = late.aborted;
    throw new Problem({ code: slow ? "slow" : "unreachable", detail: slow ? texts.problems.slow : texts.problems.unreachable, unsure: changes });
  }
  if (answer.status === 401 && by === key.get()) lock(changes ? "undone" : answering() ? "unsure" : "nothing"); // not where another key is used by now
  throw await problemOf(answer, changes);
}

async function problemOf(answer, changes) {
  try {
    const told = await answer.json();
    return new Problem({ ...told, status: answer.status, detail: told.detail ?? told.title });
  } catch {
    const cut = answer.status >= 500; // a function that was cut off; otherwise a proxy before it
    return new Problem({ code: cut ? "cut_off" : "no_json", status: answer.status, detail: texts.problems.status(answer.status), unsure: changes && cut });
  }
}
