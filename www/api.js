// Sends a request to the Sluice that serves this page, and sorts what came back by what it means
// for the page.

import { isStatus } from "./model/board.js";

/** A request without an answer fails after this time, milliseconds. */
const TIMEOUT_MS = 8_000;

/** The longest error text of the server that the page shows, characters. */
const LONGEST_DETAIL = 400;

/**
 * Fetches `/status.json`.
 * @param {typeof globalThis.fetch} fetch
 * @param {string | null} key null asks only whether the installation is set up: the answer says
 *   so without a key
 * @returns {Promise<{kind: "status", status: object} | {kind: "refused" | "setup" | "failed",
 *   detail: string}>}
 */
export async function fetchStatus(fetch, key) {
  const answer = await request(fetch, key, "/status.json");
  if (answer.kind === "answered") return isStatus(answer.body) ? { kind: "status", status: answer.body } : failed("the answer is not a status document");
  const { kind, detail } = answer;
  return { kind, detail };
}

/**
 * Sends a request to one of Sluice's addresses. `refused` means that the key was refused, `setup`
 * that a secret of the installation is missing, `failed` anything else. `status` is 0 when there
 * was no answer.
 * @returns {Promise<{kind: "answered", body: any} | {kind: "refused" | "setup" | "failed",
 *   status: number, detail: string}>}
 */
export async function request(fetch, key, path, method = "GET") {
  try {
    const response = await fetch(path, {
      method,
      headers: key === null ? {} : { "Sluice-Key": key },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const body = await parseBody(response);
    if (response.ok) return { kind: "answered", body };
    const { status } = response;
    const detail = problemDetail(body) ?? `status ${status}`;
    if (status === 401 || status === 403) return { kind: "refused", status, detail };
    const setup = status === 503 && response.headers.get("Sluice-Reason") === "setup";
    return { kind: setup ? "setup" : "failed", status, detail };
  } catch (error) {
    return { status: 0, ...failed(error?.name === "TimeoutError" ? `no answer within ${TIMEOUT_MS / 1000} s` : "the server cannot be reached") };
  }
}

function failed(detail) {
  return { kind: "failed", detail };
}

// Returns null for a body that is not JSON.
async function parseBody(response) {
  const body = await response.text();
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

// Returns the sentence of a problem document (RFC 9457), or null.
function problemDetail(problem) {
  const detail = problem?.detail ?? problem?.title;
  return typeof detail === "string" && detail !== "" ? detail.slice(0, LONGEST_DETAIL) : null;
}
