// The last hour of a connection: calls, throttles by endpoint, how many attempts calls took. Pure.

import { count, counted, percent } from "./format.js";
import { isObject, number, objects, text } from "./read.js";

/** Endpoints shown of the hundred that a document may have: more than a screen of them helps nobody. */
export const MOST_ENDPOINTS = 12;

/** Longest path shown, characters. */
const LONGEST_PATH = 120;

/** One line that says how the last hour went. */
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

/** The tables behind that line. */
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
  // `other` stands for the method too where the rest is counted together.
  const name = method === path ? path : `${method} ${path}`;
  return { key: `${index} ${name}`, cells: [name, count(calls), `${count(throttled)}${share}`], state: throttled > 0 ? "tight" : null };
}

function retryRow({ attempts, calls }, index) {
  return { key: String(index), cells: [counted(attempts, "attempt"), count(calls)], state: null };
}
