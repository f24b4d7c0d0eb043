// Makes what the page shows of a connection's seven days, by app and by error code, from the
// reports in the form of Marketo's usage API.

import { count, percent } from "./format.js";
import { isObject, list, number, objects, text } from "./fields.js";

/**
 * The most apps that the chart shows by name; the others are added up, since a chart of more apps
 * cannot be read.
 */
export const MOST_APPS = 5;
/**
 * The number of colours for apps: `--app-0` to `--app-5` in the style sheet, beside `--app-others`.
 */
export const HUES = 6;

/** The most error codes that are shown. */
const MOST_CODES = 12;

/**
 * The meaning of error codes: Marketo's, HTTP's, Salesforce's, and Sluice's words for answers that
 * did not come.
 */
const MEANINGS = {
  606: "rate limit", 607: "daily quota", 615: "too many at once", 601: "token invalid", 602: "token expired", 608: "unavailable", 611: "system error",
  400: "bad request", 401: "not authorised", 403: "forbidden", 404: "not found", 408: "timed out at the vendor", 409: "conflict", 413: "too large", 414: "address too long",
  422: "not processable", 429: "too many requests", 500: "vendor's own error", 502: "bad gateway", 503: "unavailable", 504: "gateway timed out",
  REQUEST_LIMIT_EXCEEDED: "request limit", timeout: "no answer in time", unreachable: "could not be reached", other: "all other codes",
};

/** Returns whether a value has the form of a report of `/stats/…/last7days.json`. */
export function isReport(body) {
  return isObject(body) && Array.isArray(body.result) && body.result.every((day) => isObject(day) && typeof day.date === "string");
}

/**
 * Returns what the page shows of a connection's two reports.
 * @param {object} usage calls by app
 * @param {object} errors errors by code
 * @param {Map<string, number>} hues the tenant's apps, each with its colour
 */
export function usageOf(usage, errors, hues) {
  const days = usage.result.map(({ date }, index, all) => ({ ...dayName(date), today: index === all.length - 1 }));
  const apps = byApp(usage.result, hues);
  const totals = usage.result.map((day) => number(day.total) || 0);
  return { days, totals, apps, empty: totals.every((total) => total === 0), errors: errors ? byCode(errors.result) : [], table: weekTable(days, totals, apps) };
}

/**
 * Gives each app a colour, which is the same in every chart of the page and does not change with
 * the counts.
 */
export function huesOf(reports) {
  const names = reports.flatMap((report) => report.result.flatMap((day) => objects(day.users).map((user) => user.userId)));
  const sorted = [...new Set(names.filter((name) => typeof name === "string"))].sort();
  return new Map(sorted.map((name, index) => [name, index % HUES]));
}

// Returns the apps, the largest first, as the chart stacks them from below.
function byApp(days, hues) {
  const counts = countsBy(days, "users", "userId");
  const sorted = [...counts].sort(([a, x], [b, y]) => sum(y) - sum(x) || (a < b ? -1 : 1));
  const shown = sorted.slice(0, sorted.length > MOST_APPS + 1 ? MOST_APPS : MOST_APPS + 1);
  const taken = new Set();
  const apps = shown.map(([name, perDay]) => {
    const hue = freeHue(hues.get(name) ?? 0, taken);
    return { key: name, name: text(name), hue: String(hue), counts: perDay };
  });
  const rest = sorted.slice(shown.length);
  if (rest.length > 0) {
    const counts = days.map((_, index) => rest.reduce((total, [, perDay]) => total + perDay[index], 0));
    apps.push({ key: " others", name: `${rest.length} others`, hue: "others", counts });
  }
  return apps;
}

// Returns the next colour that no app of the chart has: of seven apps two share a colour, which one
// chart must not show.
function freeHue(hue, taken) {
  for (let step = 0; step < HUES; step += 1) {
    const next = (hue + step) % HUES;
    if (taken.has(next)) continue;
    taken.add(next);
    return next;
  }
  return hue;
}

function byCode(days) {
  const rows = [...countsBy(days, "errors", "errorCode")].map(([code, perDay]) => ({ code, today: perDay.at(-1) ?? 0, week: sum(perDay) }));
  return rows
    .sort((a, b) => b.today - a.today || b.week - a.week)
    .slice(0, MOST_CODES)
    .map(({ code, today, week }) => ({
      key: code,
      code: text(code),
      today,
      cells: [text(code), Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : "", count(today), count(week)],
      state: today > 0 ? "tight" : null,
    }));
}

// Returns the counts of each name, one for each day.
function countsBy(days, listName, nameField) {
  const counts = new Map();
  days.forEach((day, index) => {
    for (const item of objects(day[listName])) {
      const name = item[nameField];
      if (typeof name !== "string") continue;
      if (!counts.has(name)) counts.set(name, days.map(() => 0));
      counts.get(name)[index] += number(item.count) || 0;
    }
  });
  return counts;
}

/**
 * Returns the apps that made calls on a day, the largest first, each with its part of the day's
 * calls.
 */
export function dayShares({ apps, totals }, index) {
  const total = totals[index];
  return apps.map((app) => {
    const calls = app.counts[index];
    const part = total > 0 ? calls / total : 0;
    return { key: app.key, name: app.name, hue: app.hue, count: count(calls), part, share: total > 0 ? percent(part) : "" };
  });
}

/** Returns today's errors as one line of text, the most frequent first. */
export function errorLine(errors) {
  const today = errors.filter((row) => row.today > 0);
  const shown = today.slice(0, 4).map((row) => `${row.code} × ${count(row.today)}`);
  return shown.length > 0 ? `Errors today: ${shown.join(" · ")}${today.length > 4 ? " · …" : ""}` : "";
}

function weekTable(days, totals, apps) {
  const rows = days.map((day, index) => ({ key: day.date, cells: [day.long, count(totals[index]), ...apps.map((app) => count(app.counts[index]))], state: null }));
  return { heads: ["Day", "Calls", ...apps.map((app) => app.name)], rows: rows.reverse() };
}

// A quota day is a date without a zone, so it is formatted in UTC.
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short", timeZone: "UTC" });
const full = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });

function dayName(date) {
  const at = Date.parse(`${date}T00:00:00Z`);
  if (!Number.isFinite(at)) return { date, short: text(date), long: text(date) };
  return { date, short: weekday.format(at), long: full.format(at) };
}

const sum = (numbers) => list(numbers).reduce((total, n) => total + n, 0);
