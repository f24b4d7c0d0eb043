// Makes what the page shows of a connection's last hour: calls, throttles by endpoint, and attempts
// that calls took.

import { count, counted, percent } from "./format.js";
import { isObject, number, objects, text } from "./fields.js";

/** The most endpoints that are shown, of the hundred that a document may have. */
export const MOST_ENDPOINTS = 12;

/** The longest path that is shown, characters. */
const LONGEST_PATH = 120;

/** Returns the figures of the last hour as one line of text. */
export function hourLine({ last_hour: hour }) {
  if (!isObject(hour)) return "";
  const ratio = number(hour.throttled_ratio);
  const throttled = `${count(number(hour.throttled))} throttled by the vendor`;
  const parts = [
    `Last hour: ${counted(number(hour.calls), "call")}`,
    ratio > 0 ? `${throttled} (${percent(ratio)})` : throttled,
    `${count(number(hour.refused))} refused by Sluice`,
  ];
  return parts.join(" · ");
}

/** Returns the rows of the tables that explain that line. */
export function hourOf({ last_hour: hour }) {
  if (!isObject(hour)) return { endpoints: [], more: "", retries: [] };
  const endpoints = objects(hour.by_endpoint)
    .map(({ method, path, calls, throttled }) => ({ method: text(method), path: text(path, LONGEST_PATH), calls: number(calls), throttled: number(throttled) }))
    .sort((a, b) => (b.throttled || 0) - (a.throttled || 0) || (b.calls || 0) - (a.calls || 0));
  const retries = objects(hour.retries_histogram).map(({ attempts, calls }) => ({ attempts: number(attempts), calls: number(calls) }));
  return {
    endpoints: endpoints.slice(0, MOST_ENDPOINTS).map(endpointRow),
    more: endpoints.length > MOST_ENDPOINTS ? `${counted(endpoints.length - MOST_ENDPOINTS, "endpoint")} more with fewer` : "",
    retries: retries.sort((a, b) => a.attempts - b.attempts).map(retryRow),
  };
}

function endpointRow({ method, path, calls, throttled }, index) {
  const share = throttled > 0 && calls > 0 ? ` (${percent(throttled / calls)})` : "";
  // The endpoints that are counted together have `other` as their method and as their path.
  const name = method === path ? path : `${method} ${path}`;
  return { key: `${index} ${name}`, cells: [name, count(calls), `${count(throttled)}${share}`], state: throttled > 0 ? "tight" : null };
}

function retryRow({ attempts, calls }, index) {
  return { key: String(index), cells: [counted(attempts, "attempt"), count(calls)], state: null };
}
