// Loads the lists of jobs and dead letters while there are any, and replays or deletes those that
// an operator chooses.

import { request } from "../api.js";
import { isJobList } from "../model/jobs.js";

/**
 * The number of jobs of a list that are shown at first, and that each press of "Show more" adds.
 */
const PAGE = 10;
/** The most jobs of one list that the page shows: the API has the others. */
export const MOST = 200;
/** The least time between two loads of the lists, however often the counts change, milliseconds. */
export const FRESH_MS = 3_000;
/** The time between a failed load and the next, milliseconds. */
const RETRY_MS = 15_000;

const LISTS = { dead: "/dead-letters", running: "/jobs?state=running", queued: "/jobs?state=queued" };

export class JobsFeed {
  /**
   * @param {string} key
   * @param {() => void} onChange is called when the lists have changed
   * @param {object} platform as in `StatusFeed`
   */
  constructor(key, onChange, platform) {
    this.key = key;
    this.onChange = onChange;
    this.platform = platform;
    /** The lists by name, each `{items, next, error}`. */
    this.lists = { dead: emptyList(), running: emptyList(), queued: emptyList() };
    /** The server's reason when it refused to replay or delete; empty until then. */
    this.refused = "";
    this.wanted = { dead: PAGE, running: PAGE, queued: PAGE };
    this.loadedTotals = "";
    this.loadedAt = -Infinity;
    this.generation = 0;
    this.loading = false;
    this.failed = false;
    this.stopped = false;
  }

  /** Stops for good: nothing is reported afterwards. */
  stop() {
    this.stopped = true;
  }

  /** Loads the lists if they were loaded for other totals, or the last load failed. */
  async refresh(totals) {
    if (!totals || this.loading || this.stopped) return;
    const signature = JSON.stringify(totals);
    const due = signature !== this.loadedTotals ? FRESH_MS : this.failed ? RETRY_MS : Infinity;
    if (this.platform.now() - this.loadedAt < due) return;
    await this.load(totals, signature);
  }

  async load(totals, signature) {
    this.loading = true;
    this.failed = false;
    const generation = this.generation;
    for (const name of Object.keys(LISTS)) this.lists[name] = totals[name] > 0 ? await this.fetchList(name) : emptyList();
    this.loading = false;
    if (generation === this.generation) [this.loadedTotals, this.loadedAt] = [signature, this.platform.now()];
    if (!this.stopped) this.onChange();
  }

  async fetchList(name) {
    const items = [];
    let after = null;
    do {
      const path = LISTS[name];
      const more = `${path.includes("?") ? "&" : "?"}limit=${PAGE}${after === null ? "" : `&after=${encodeURIComponent(after)}`}`;
      const answer = await request(this.platform.fetch, this.key, path + more);
      if (answer.kind !== "answered" || !isJobList(answer.body)) {
        this.failed = true;
        return { ...this.lists[name], error: answer.detail ?? "the answer is not a list of jobs" };
      }
      items.push(...answer.body.items);
      after = typeof answer.body.next === "string" ? answer.body.next : null;
    } while (after !== null && items.length < this.wanted[name]);
    return { items: items.slice(0, MOST), next: after !== null && items.length < MOST, error: "" };
  }

  /** Makes a list longer by a page. */
  showMore(name) {
    this.wanted[name] = Math.min(MOST, this.wanted[name] + PAGE);
    this.invalidate();
  }

  /** Has the lists loaded again at the next `refresh`, also where a load is under way. */
  invalidate() {
    this.generation += 1;
    this.loadedTotals = "";
    this.loadedAt = -Infinity;
    this.onChange();
  }

  /**
   * Sends a request that replays or deletes jobs.
   * @returns {Promise<string>} what went wrong; empty if nothing did
   */
  async change(method, path) {
    const answer = await request(this.platform.fetch, this.key, path, method);
    if (this.stopped) return "";
    if (answer.kind === "refused" && answer.status === 403) this.refused = answer.detail;
    this.invalidate();
    // A job that is gone needs no message: the lists, once loaded again, show that it is.
    return answer.kind === "answered" || answer.status === 404 ? "" : answer.detail;
  }
}

function emptyList() {
  return { items: [], next: false, error: "" };
}
