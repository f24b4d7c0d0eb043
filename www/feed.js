// Keeps the page supplied with status documents: over the WebSocket while it holds, by polling while it does not.
//
//   start ─► poll ─► good ─► open the socket ─► live ──(closed)──► poll …
//              └► failed ─► lost, poll again with backoff       └► refused, setup: say so
//
// Polling comes first and after every loss, because a browser does not tell why a WebSocket failed and an answer does.
// The next timer is armed only after the last request has ended.

import { ask } from "./ask.js";
import { isStatus, nextChange } from "./model.js";

/** Between two polls while the socket is down, milliseconds after the last has ended. */
export const POLL_MS = 2_000;
/** Longest between two polls of a server that does not answer: after a restart the page is back within this. */
export const POLL_LONGEST_MS = 5_000;
/** Between two tries to open the socket, doubled from the first to the last. */
export const SOCKET_FIRST_MS = 1_000;
export const SOCKET_LONGEST_MS = 30_000;
/** A socket that has not opened by then has failed. */
export const SOCKET_OPENING_MS = 5_000;
/** A socket that lived this long was good: the next loss starts the backoff anew. */
const SOCKET_GOOD_MS = 10_000;
/** A silent socket is checked by a poll after this: documents are pushed on change alone, so silence may be loss. */
export const SILENCE_MS = 20_000;
/** … or sooner when a reset or the end of a pause falls due, this long after it and never more often than that. */
const DUE_MARGIN_MS = 250;
const CHECK_SHORTEST_MS = 2_000;
/** Figures older than this are stale, whatever the feed believes. */
export const STALE_MS = 30_000;

/**
 * Phases: `connecting`, `live` (socket), `polling`, `lost` (the last try failed), `setup`, `refused` (both: no figures).
 * @typedef {{phase: string, status: object | null, receivedAt: number, error: string, retryAt: number}} FeedState
 */
export class Feed {
  /**
   * @param {string} key
   * @param {(state: FeedState) => void} changed called after every change
   * @param {object} world `fetch`, `WebSocket`, `socketUrl`, `setTimeout`, `clearTimeout`, `now` (monotonic, milliseconds), `random`
   */
  constructor(key, changed, world) {
    this.key = key;
    this.changed = changed;
    this.world = world;
    this.state = { phase: "connecting", status: null, receivedAt: 0, error: "", retryAt: 0 };
    this.stopped = false;
    this.resting = false;
    this.timer = undefined;
    this.asking = false;
    this.failures = 0;
    this.socket = null;
    this.socketSince = 0;
    this.socketFailures = 0;
    this.socketNotBefore = 0;
  }

  start() {
    this.poll();
  }

  /** Ends it for good; nothing is reported afterwards. */
  stop() {
    this.stopped = true;
    this.disarm();
    this.dropSocket();
  }

  /** The page is hidden: stop asking. The socket stays, it costs nothing while nothing changes. */
  rest() {
    this.resting = true;
    this.disarm();
  }

  /** The page is seen again, or the network is back, or the person asks: look at once. */
  wake() {
    this.resting = false;
    this.failures = 0;
    this.socketNotBefore = 0;
    this.poll();
  }

  async poll() {
    if (this.asking || this.stopped) return;
    this.disarm();
    this.asking = true;
    const heardBefore = this.state.receivedAt;
    const answer = await ask(this.world.fetch, this.key);
    this.asking = false;
    if (this.stopped) return;
    switch (answer.kind) {
      case "status": {
        this.failures = 0;
        // The socket may have brought something newer while the answer was under way.
        const overtaken = this.state.receivedAt !== heardBefore;
        this.took(overtaken ? this.state.status : answer.status);
        return;
      }
      case "refused":
        this.dropSocket();
        this.report({ phase: "refused", status: null, error: answer.detail, retryAt: 0 });
        return;
      case "setup":
        this.dropSocket();
        this.retry({ phase: "setup", status: null, error: answer.detail }, POLL_LONGEST_MS);
        return;
      default:
        this.dropSocket();
        this.failures += 1;
        this.retry({ phase: "lost", error: answer.detail }, backoff(this.failures, 1_000, POLL_LONGEST_MS, this.world.random));
    }
  }

  // A good document by poll: note it, and see to the socket.
  took(status) {
    const live = this.socket !== null && this.state.phase === "live";
    this.report({ phase: live ? "live" : "polling", status, receivedAt: this.world.now(), error: "", retryAt: 0 });
    if (live) return this.armCheck();
    if (this.socket === null && this.world.now() >= this.socketNotBefore) this.openSocket();
    this.arm(POLL_MS);
  }

  openSocket() {
    let socket;
    this.socketSince = this.world.now();
    try {
      socket = new this.world.WebSocket(this.world.socketUrl, ["sluice.v1", this.key]);
    } catch {
      this.socketFailed();
      return;
    }
    this.socket = socket;
    const tooLong = this.world.setTimeout(() => this.closed(socket), SOCKET_OPENING_MS);
    socket.onopen = () => {
      this.world.clearTimeout(tooLong);
      if (this.socket !== socket) return;
      this.report({ phase: "live" });
      // Nothing tells what changed between the poll and the opening: look once more, unless the socket says it first.
      this.arm(1_000);
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.heard(socket, event.data);
    };
    socket.onclose = () => {
      this.world.clearTimeout(tooLong);
      this.closed(socket);
    };
    socket.onerror = () => {};
  }

  heard(socket, data) {
    let status = null;
    try {
      status = JSON.parse(data);
    } catch {
      // Answered below, as any other document that is none.
    }
    if (!isStatus(status)) return this.closed(socket);
    this.failures = 0;
    this.report({ phase: "live", status, receivedAt: this.world.now(), error: "", retryAt: 0 });
    this.armCheck();
  }

  // The socket is gone. Only an ordinary request can tell why.
  closed(socket) {
    if (this.socket !== socket) return;
    const wasLive = this.state.phase === "live";
    this.dropSocket();
    this.socketFailed();
    if (wasLive && !this.resting) this.poll();
  }

  socketFailed() {
    if (this.world.now() - this.socketSince >= SOCKET_GOOD_MS) this.socketFailures = 0;
    this.socketFailures += 1;
    const wait = backoff(this.socketFailures, SOCKET_FIRST_MS, SOCKET_LONGEST_MS, this.world.random);
    this.socketNotBefore = this.world.now() + wait;
  }

  dropSocket() {
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    try {
      socket.close();
    } catch {
      // It never opened.
    }
  }

  armCheck() {
    const at = Date.parse(this.state.status.at);
    const due = Number.isFinite(at) ? nextChange(this.state.status, at) + DUE_MARGIN_MS : Infinity;
    this.arm(Math.max(CHECK_SHORTEST_MS, Math.min(SILENCE_MS, due)));
  }

  retry(change, wait) {
    this.report({ ...change, retryAt: this.world.now() + wait });
    this.arm(wait);
  }

  arm(wait) {
    this.disarm();
    if (!this.resting && !this.stopped) this.timer = this.world.setTimeout(() => this.poll(), wait);
  }

  disarm() {
    this.world.clearTimeout(this.timer);
    this.timer = undefined;
  }

  report(change) {
    this.state = { ...this.state, ...change };
    if (!this.stopped) this.changed(this.state);
  }
}

/** True when the figures shown may no longer be true. */
export function isStale(state, now) {
  return state.status !== null && (state.phase === "lost" || now - state.receivedAt > STALE_MS);
}

// Doubling, with jitter over its upper half: pages that lost one server do not come back to it together.
function backoff(failures, first, longest, random) {
  const full = Math.min(longest, first * 2 ** Math.min(failures - 1, 16));
  return full / 2 + (full / 2) * random();
}
