// One request for `/status.json`, and what the answer means for the page.

import { isStatus } from "./model.js";

/** A request that has said nothing for this long has failed, milliseconds. */
const TIMEOUT_MS = 8_000;

/** Longest text of the server's that the page shows, characters. */
const LONGEST = 400;

/**
 * @param {typeof globalThis.fetch} fetch
 * @param {string | null} key without one the answer still tells whether the installation is set up
 * @returns {Promise<{kind: "status", status: object} | {kind: "refused" | "setup" | "failed", detail: string}>}
 */
export async function ask(fetch, key) {
  let answer;
  try {
    answer = await fetch("/status.json", {
      headers: key === null ? {} : { "Sluice-Key": key },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const body = await json(answer);
    if (answer.ok) {
      return isStatus(body) ? { kind: "status", status: body } : failed("the answer is no status document");
    }
    const detail = saying(body) ?? `status ${answer.status}`;
    if (answer.status === 401 || answer.status === 403) return { kind: "refused", detail };
    const setup = answer.status === 503 && answer.headers.get("Sluice-Reason") === "setup";
    return setup ? { kind: "setup", detail } : failed(detail);
  } catch (error) {
    return failed(error?.name === "TimeoutError" ? `no answer within ${TIMEOUT_MS / 1000} s` : "the server cannot be reached");
  }
}

function failed(detail) {
  return { kind: "failed", detail };
}

async function json(answer) {
  const body = await answer.text();
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

// The sentence of a problem document (RFC 9457).
function saying(problem) {
  const detail = problem?.detail ?? problem?.title;
  return typeof detail === "string" && detail !== "" ? detail.slice(0, LONGEST) : null;
}
