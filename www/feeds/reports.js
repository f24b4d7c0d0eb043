// Loads the connections' reports of usage and errors, one request at a time, and loads those of a
// connection again once its figures have changed.

import { request } from "../api.js";
import { huesOf, isReport, usageOf } from "../model/usage.js";

/**
 * The age at which the reports of a connection whose figures have changed are loaded again,
 * milliseconds. It is long, so that a page that stays open costs the tenant next to nothing.
 */
export const FRESH_MS = 30_000;
/**
 * The age at which reports are loaded again though no figure has changed, milliseconds: days end
 * without a call.
 */
export const OLD_MS = 600_000;
/** The time between a failed request and the next, milliseconds. */
export const RETRY_MS = 60_000;

export class ReportsFeed {
  /**
   * @param {string} key
   * @param {() => void} onChange is called when there are new reports
   * @param {object} platform as in `StatusFeed`
   */
  constructor(key, onChange, platform) {
    this.key = key;
    this.onChange = onChange;
    this.platform = platform;
    /** The reports by the connection's name: `{activity, loadedAt, usage, errors, error}`. */
    this.reports = new Map();
    this.loading = false;
    this.stopped = false;
    this.usage = null;
  }

  /** Stops for good: nothing is reported afterwards. */
  stop() {
    this.stopped = true;
  }

  /**
   * Loads the reports of one connection, if those of any are missing or too old. `rows` are
   * `{key, activity}`.
   */
  async refresh(rows) {
    this.removeOthers(rows);
    if (this.loading || this.stopped) return;
    const row = rows.find((row) => this.isDue(row));
    if (!row) return;
    this.loading = true;
    const before = this.reports.get(row.key);
    const query = `?connection=${encodeURIComponent(row.key)}`;
    const usage = await this.fetchReport(`/stats/usage/last7days.json${query}`);
    const errors = usage.error ? usage : await this.fetchReport(`/stats/errors/last7days.json${query}`);
    this.loading = false;
    if (this.stopped) return;
    this.reports.set(row.key, {
      activity: row.activity,
      loadedAt: this.platform.now(),
      usage: usage.body ?? before?.usage ?? null,
      errors: errors.body ?? before?.errors ?? null,
      error: usage.error ?? errors.error ?? "",
    });
    this.usage = null;
    this.onChange();
  }

  isDue({ key, activity }) {
    const report = this.reports.get(key);
    if (!report) return true;
    const age = this.platform.now() - report.loadedAt;
    if (report.error) return age >= RETRY_MS;
    return age >= (report.activity === activity ? OLD_MS : FRESH_MS);
  }

  async fetchReport(path) {
    const answer = await request(this.platform.fetch, this.key, path);
    if (answer.kind !== "answered") return { error: answer.detail };
    return isReport(answer.body) ? { body: answer.body } : { error: "the answer is not a report" };
  }

  removeOthers(rows) {
    for (const name of this.reports.keys()) {
      if (rows.some((row) => row.key === name)) continue;
      this.reports.delete(name);
      this.usage = null;
    }
  }

  /**
   * Returns what the page shows of the reports, `{usage, error}` by the connection's name: the same
   * objects until a report has been loaded.
   */
  usageByConnection() {
    if (this.usage) return this.usage;
    const hues = huesOf([...this.reports.values()].map((report) => report.usage).filter(Boolean));
    this.usage = new Map([...this.reports].map(([name, { usage, errors, error }]) => [name, { usage: usage && usageOf(usage, errors, hues), error }]));
    return this.usage;
  }
}
