// Keeps the lists of jobs and dead letters while there are any, and does to them what an operator asks.

import { request } from "./ask.js";
import { isJobList } from "./jobs.js";

/** Jobs shown at first, and more at each press. */
const PAGE = 10;
/** Most that the page holds of one list: past that, a person uses the API. */
export const MOST = 200;
/** Lists are not asked for more often than this, however often the counts change, milliseconds. */
export const FRESH_MS = 3_000;
/** After a failure. */
const RETRY_MS = 15_000;

const LISTS = { dead: "/dead-letters", running: "/jobs?state=running", queued: "/jobs?state=queued" };

export class JobsFeed {
  constructor(key, changed, world) {
    this.key = key;
    this.changed = changed;
    this.world = world;
    /** List → `{items, next, error}`. */
    this.lists = { dead: none(), running: none(), queued: none() };
    /** Why the server refused what an operator may do. */
    this.refused = "";
    this.wanted = { dead: PAGE, running: PAGE, queued: PAGE };
    this.seen = "";
    this.at = -Infinity;
    this.turn = 0;
    this.busy = false;
    this.failed = false;
    this.stopped = false;
  }

  stop() {
    this.stopped = true;
  }

  /** Sees to it that the lists are those of these totals. */
  async follow(totals) {
    if (!totals || this.busy || this.stopped) return;
    const signature = JSON.stringify(totals);
    const due = signature !== this.seen ? FRESH_MS : this.failed ? RETRY_MS : Infinity;
    if (this.world.now() - this.at < due) return;
    await this.load(totals, signature);
  }

  async load(totals, signature) {
    this.busy = true;
    this.failed = false;
    const turn = this.turn;
    for (const name of Object.keys(LISTS)) this.lists[name] = totals[name] > 0 ? await this.list(name) : none();
    this.busy = false;
    if (turn === this.turn) [this.seen, this.at] = [signature, this.world.now()];
    if (!this.stopped) this.changed();
  }

  async list(name) {
    const items = [];
    let after = null;
    do {
      const path = LISTS[name];
      const more = `${path.includes("?") ? "&" : "?"}limit=${PAGE}${after === null ? "" : `&after=${encodeURIComponent(after)}`}`;
      const said = await request(this.world.fetch, this.key, path + more);
      if (said.kind !== "answered" || !isJobList(said.body)) {
        this.failed = true;
        return { ...this.lists[name], error: said.detail ?? "the answer is no list" };
      }
      items.push(...said.body.items);
      after = typeof said.body.next === "string" ? said.body.next : null;
    } while (after !== null && items.length < this.wanted[name]);
    return { items: items.slice(0, MOST), next: after !== null && items.length < MOST, error: "" };
  }

  /** Shows more of a list. */
  more(name) {
    this.wanted[name] = Math.min(MOST, this.wanted[name] + PAGE);
    this.again();
  }

  /** The lists as they are now, at the next word of the status. */
  again() {
    this.turn += 1;
    this.seen = "";
    this.at = -Infinity;
    this.changed();
  }

  /**
   * Replays or deletes; `what` is a path under this page's Sluice.
   * @returns {Promise<string>} what went wrong; empty when it is done
   */
  async act(method, what) {
    const said = await request(this.world.fetch, this.key, what, method);
    if (this.stopped) return "";
    if (said.kind === "refused" && said.status === 403) this.refused = said.detail;
    this.again();
    return said.kind === "answered" || said.status === 404 ? "" : said.detail;
  }
}

function none() {
  return { items: [], next: false, error: "" };
}
