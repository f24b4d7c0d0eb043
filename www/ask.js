// One request to this page's Sluice, and what the answer means for the page.

import { isStatus } from "./model.js";

/** A request that has said nothing for this long has failed, milliseconds. */
const TIMEOUT_MS = 8_000;

/** Longest text of the server's that the page shows, characters. */
const LONGEST = 400;

/**
 * The status.
 * @param {typeof globalThis.fetch} fetch
 * @param {string | null} key without one the answer still tells whether the installation is set up
 * @returns {Promise<{kind: "status", status: object} | {kind: "refused" | "setup" | "failed", detail: string}>}
 */
export async function ask(fetch, key) {
  const said = await request(fetch, key, "/status.json");
  if (said.kind === "answered") return isStatus(said.body) ? { kind: "status", status: said.body } : failed("the answer is no status document");
  const { kind, detail } = said;
  return { kind, detail };
}

/**
 * Any of Sluice's addresses. `refused` is about the key, `failed` about all else; `status` is 0 when nothing was answered.
 * @returns {Promise<{kind: "answered", body: any} | {kind: "refused" | "setup" | "failed", status: number, detail: string}>}
 */
export async function request(fetch, key, path, method = "GET") {
  try {
    const answer = await fetch(path, {
      method,
      headers: key === null ? {} : { "Sluice-Key": key },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const body = await json(answer);
    if (answer.ok) return { kind: "answered", body };
    const { status } = answer;
    const detail = saying(body) ?? `status ${status}`;
    if (status === 401 || status === 403) return { kind: "refused", status, detail };
    const setup = status === 503 && answer.headers.get("Sluice-Reason") === "setup";
    return { kind: setup ? "setup" : "failed", status, detail };
  } catch (error) {
    return { status: 0, ...failed(error?.name === "TimeoutError" ? `no answer within ${TIMEOUT_MS / 1000} s` : "the server cannot be reached") };
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
