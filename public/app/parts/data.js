/** Reading from the API: aborted when nobody wants it any more, and looked at again while somebody sees it. */

import { ask } from "/app/api.js";
import { useLayoutEffect, useRef, useState } from "/app/markup.js";

const POLL = 15_000; // ms between two looks at what is on the screen
const NOTHING = { data: null, problem: null, at: null };

/**
 * What a route answers, and again every 15 seconds while the page is visible. The last answer stays while the next one
 * is fetched, and when it fails.
 *
 * @param {string|null} path null: nothing is asked yet
 * @param {Record<string, unknown>} [query]
 * @param {{poll?: boolean}} [how]
 * @returns {{data: any, problem: import("/app/api.js").Problem|null, at: number|null, loading: boolean, reload: () => void}}
 */
export function useData(path, query = {}, { poll = true } = {}) {
  const asked = path && `${path} ${JSON.stringify(query)}`;
  const [found, setFound] = useState({ ...NOTHING, asked });
  const load = useRef(() => {});
  useLayoutEffect(() => {
    if (!path) return undefined;
    const watch = watching(
      (signal) => ask(path, { query, signal }),
      (part) => setFound((before) => ({ ...(before.asked === asked ? before : NOTHING), ...part, asked })),
      poll,
    );
    load.current = watch.load;
    return watch.end;
  }, [asked, poll]);
  const current = found.asked === asked ? found : NOTHING;
  return { ...current, loading: Boolean(path) && current.data === null && current.problem === null, reload: () => load.current() };
}

/**
 * A list by its pages: the first one is looked at again as `useData` does, until more of them are loaded.
 *
 * @returns {{rows: any[]|null, answer: any, problem: any, at: number|null, loading: boolean, more: (() => void)|null, reload: () => void}}
 *   `answer`: the first page, whole.
 */
export function useList(path, query = {}) {
  const asked = `${path} ${JSON.stringify(query)}`;
  const [further, setFurther] = useState({ asked, pages: [], busy: false, problem: null });
  const here = further.asked === asked ? further : { asked, pages: [], busy: false, problem: null };
  const first = useData(path, query, { poll: here.pages.length === 0 });
  const last = here.pages.at(-1) ?? first.data;
  const more = async () => {
    setFurther({ ...here, busy: true, problem: null });
    try {
      const page = await ask(path, { query: { ...query, cursor: last.nextCursor } });
      setFurther({ ...here, pages: [...here.pages, page], busy: false });
    } catch (problem) {
      setFurther({ ...here, busy: false, problem });
    }
  };
  return {
    ...first,
    answer: first.data,
    rows: first.data && [first.data, ...here.pages].flatMap((page) => page.data),
    problem: here.problem ?? first.problem,
    busy: here.busy,
    more: last?.nextCursor ? more : null,
    reload: () => {
      setFurther({ asked, pages: [], busy: false, problem: null });
      first.reload();
    },
  };
}

function watching(read, tell, poll) {
  const life = new AbortController();
  let timer;
  let busy = false;
  let wanted = false;
  let last = 0;
  const load = async () => {
    wanted = busy; // what is on its way may be older than what was done since: it is read once more
    if (busy || life.signal.aborted) return;
    busy = true;
    clearTimeout(timer);
    try {
      tell({ data: await read(life.signal), problem: null, at: Date.now() });
    } catch (problem) {
      if (!life.signal.aborted) tell({ problem });
    }
    busy = false;
    last = Date.now();
    if (wanted) return void load();
    if (poll && !life.signal.aborted) timer = setTimeout(look, POLL);
  };
  const look = () => {
    if (!document.hidden) load();
  };
  const seen = () => {
    if (poll && !busy && !document.hidden && Date.now() - last >= POLL) load();
  };
  document.addEventListener("visibilitychange", seen);
  load();
  return {
    load,
    end: () => {
      life.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    },
  };
}
