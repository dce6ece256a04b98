/** Reading from the API: aborted when nobody wants it any more, and looked at again while somebody sees it. */

import { ask } from "/app/api.js";
import { useLayoutEffect, useRef, useState } from "/app/markup.js";

const POLL = 15_000; // ms between two looks at what is on the screen
const NOTHING = { data: null, problem: null, at: null };
const NO_MORE = { pages: [], busy: false, problem: null };

/**
 * What a route answers, and again every 15 seconds while the page is visible. The last answer stays while the next one
 * is fetched, and when it fails.
 *
 * @param {string|null} path null: nothing is asked yet
 * @param {Record<string, unknown>} [query]
 * @param {{poll?: boolean, still?: boolean}} [how] `still`: it is not to change just now, so it is not looked at again
 * @returns {{data: any, problem: import("/app/api.js").Problem|null, at: number|null, loading: boolean, reload: () => void}}
 */
export function useData(path, query = {}, { poll = true, still = false } = {}) {
  const asked = path && `${path} ${JSON.stringify(query)}`;
  const [found, setFound] = useState({ ...NOTHING, asked });
  const load = useRef(() => {});
  const rests = useRef(still);
  rests.current = still;
  useLayoutEffect(() => {
    if (!path) return undefined;
    const watch = watching(
      (signal) => ask(path, { query, signal }),
      (part) => setFound((before) => ({ ...(before.asked === asked ? before : NOTHING), ...part, asked })),
      { poll, rests },
    );
    load.current = watch.load;
    return watch.end;
  }, [asked, poll]);
  const current = found.asked === asked ? found : NOTHING;
  return { ...current, loading: Boolean(path) && current.data === null && current.problem === null, reload: () => load.current() };
}

/**
 * A list by its pages: the first one is looked at again as `useData` does, until more of them are wanted. From then on
 * all of them stay as they are: a page follows the one that it was asked after, and none that was read anew.
 *
 * @returns {{rows: any[]|null, answer: any, problem: any, at: number|null, loading: boolean, more: (() => void)|null, busy: boolean, lack: any, reload: () => void}}
 *   `answer`: the first page, whole; `more` does nothing while `busy`; `lack`: why there is no further page.
 */
export function useList(path, query = {}) {
  const asked = `${path} ${JSON.stringify(query)}`;
  const [kept, setKept] = useState({ ...NO_MORE, asked });
  const here = kept.asked === asked ? kept : NO_MORE;
  const first = useData(path, query, { still: here.pages.length > 0 });
  const pages = here.pages.length || !first.data ? here.pages : [first.data];
  const further = useFurther([asked]);
  const more = () => {
    const tell = (part) => setKept({ ...NO_MORE, asked, ...part });
    further.ask(path, { ...query, cursor: pages.at(-1).nextCursor }, {
      begun: () => tell({ pages, busy: true }),
      come: (page) => tell({ pages: [...pages, page] }),
      failed: (problem) => tell({ pages: here.pages, problem }),
    });
  };
  return {
    ...first,
    answer: pages[0] ?? null,
    rows: pages.length ? pages.flatMap((page) => page.data) : null,
    lack: here.problem,
    busy: here.busy,
    more: pages.at(-1)?.nextCursor ? more : null,
    reload: () => {
      further.stop();
      setKept((before) => ({ ...NO_MORE, asked: before.asked })); // of what is shown now, whatever it was when this was made
      first.reload();
    },
  };
}

/**
 * Further pages of a list: one at a time, and none that belongs to what is not shown any more.
 *
 * @param {unknown[]} of what is shown: when it changes, a page that is on its way is of no use
 */
export function useFurther(of) {
  const life = useRef(null);
  const stop = () => {
    life.current?.abort();
    life.current = null;
  };
  useLayoutEffect(() => stop, of);
  return {
    stop,
    async ask(path, query, { begun, come, failed }) {
      if (life.current) return; // asked for already
      const { signal } = (life.current = new AbortController());
      begun();
      try {
        const page = await ask(path, { query, signal });
        if (!signal.aborted) come(page);
      } catch (problem) {
        if (!signal.aborted) failed(problem);
      }
      if (!signal.aborted) life.current = null;
    },
  };
}

function watching(read, tell, { poll, rests }) {
  const life = new AbortController();
  let timer;
  let busy = false;
  let wanted = false;
  let last = 0;
  let failed = false;
  const load = async () => {
    wanted = busy; // what is on its way may be older than what was done since: it is read once more
    if (busy || life.signal.aborted) return;
    busy = true;
    clearTimeout(timer);
    try {
      tell({ data: await read(life.signal), problem: null, at: Date.now() });
      failed = false;
    } catch (problem) {
      failed = true;
      if (!life.signal.aborted) tell({ problem });
    }
    busy = false;
    last = Date.now();
    if (wanted) return void load();
    if (poll && !life.signal.aborted) timer = setTimeout(look, POLL);
  };
  const look = () => {
    if (document.hidden) return; // until it is seen again
    if (rests.current) timer = setTimeout(look, POLL);
    else load();
  };
  const seen = () => {
    if (poll && !busy && !rests.current && !document.hidden && Date.now() - last >= POLL) load();
  };
  const online = () => failed && !busy && load();
  document.addEventListener("visibilitychange", seen);
  addEventListener("online", online);
  load();
  return {
    load,
    end: () => {
      life.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      removeEventListener("online", online);
    },
  };
}
