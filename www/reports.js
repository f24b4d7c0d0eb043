// Keeps the reports of usage and errors, one request at a time, and asks again only for a connection that has moved.

import { request } from "./ask.js";
import { huesOf, isReport, usageOf } from "./usage.js";

/** A connection's reports are at least this old before they are asked for again, milliseconds: a page left open is to
 * cost the tenant next to nothing. */
export const FRESH_MS = 30_000;
/** Without any call they are asked for this often, as days end and hours pass. */
export const OLD_MS = 600_000;
/** After a failure. */
export const RETRY_MS = 60_000;

export class Reports {
  /**
   * @param {string} key
   * @param {() => void} changed
   * @param {object} world as the feed's
   */
  constructor(key, changed, world) {
    this.key = key;
    this.changed = changed;
    this.world = world;
    /** Name → `{moved, at, usage, errors, error}`. */
    this.kept = new Map();
    this.asking = false;
    this.stopped = false;
    this.made = null;
  }

  stop() {
    this.stopped = true;
  }

  /** Sees to it that these connections' reports are there and new enough. `rows`: `{key, moved}`. */
  async follow(rows) {
    this.forget(rows);
    if (this.asking || this.stopped) return;
    const row = rows.find((row) => this.isDue(row));
    if (!row) return;
    this.asking = true;
    const before = this.kept.get(row.key);
    const query = `?connection=${encodeURIComponent(row.key)}`;
    const usage = await this.report(`/stats/usage/last7days.json${query}`);
    const errors = usage.error ? usage : await this.report(`/stats/errors/last7days.json${query}`);
    this.asking = false;
    if (this.stopped) return;
    this.kept.set(row.key, {
      moved: row.moved,
      at: this.world.now(),
      usage: usage.body ?? before?.usage ?? null,
      errors: errors.body ?? before?.errors ?? null,
      error: usage.error ?? errors.error ?? "",
    });
    this.made = null;
    this.changed();
  }

  isDue({ key, moved }) {
    const kept = this.kept.get(key);
    if (!kept) return true;
    const age = this.world.now() - kept.at;
    if (kept.error) return age >= RETRY_MS;
    return age >= (kept.moved === moved ? OLD_MS : FRESH_MS);
  }

  async report(path) {
    const said = await request(this.world.fetch, this.key, path);
    if (said.kind !== "answered") return { error: said.detail };
    return isReport(said.body) ? { body: said.body } : { error: "the answer is no report" };
  }

  forget(rows) {
    for (const name of this.kept.keys()) {
      if (rows.some((row) => row.key === name)) continue;
      this.kept.delete(name);
      this.made = null;
    }
  }

  /** Name → `{use, error}`: what there is to show. The same objects until something has come. */
  shown() {
    if (this.made) return this.made;
    const hues = huesOf([...this.kept.values()].map((one) => one.usage).filter(Boolean));
    this.made = new Map([...this.kept].map(([name, { usage, errors, error }]) => [name, { use: usage && usageOf(usage, errors, hues), error }]));
    return this.made;
  }
}
