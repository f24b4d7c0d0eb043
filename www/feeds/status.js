// Receives status documents: over the WebSocket while it is open, by polling while it is not.
//
//   start ─► poll ─► good ─► open the socket ─► live ──(closed)──► poll …
//              └► failed ─► lost, poll again with backoff       └► refused, setup: show it
//
// It polls first, and again after every loss of the socket, because a browser does not tell why a
// WebSocket failed and an HTTP answer does. The timer of the next poll starts only when the last
// request has ended.

import { fetchStatus } from "../api.js";
import { isStatus, nextChange } from "../model/board.js";

/** The time from the end of a poll to the next while there is no socket, milliseconds. */
export const POLL_MS = 2_000;
/**
 * The longest time between two polls of a server that does not answer, milliseconds. After a
 * restart of the server the page shows figures again within this time.
 */
export const POLL_LONGEST_MS = 5_000;
/**
 * The time between two attempts to open the socket, milliseconds: it doubles from the first value
 * to the second.
 */
export const SOCKET_FIRST_MS = 1_000;
export const SOCKET_LONGEST_MS = 30_000;
/** A socket that is not open after this time has failed, milliseconds. */
export const SOCKET_OPENING_MS = 5_000;
/**
 * The loss of a socket that was open for at least this time starts the backoff anew, milliseconds.
 */
const SOCKET_GOOD_MS = 10_000;
/**
 * A socket that has brought nothing for this time is checked by a poll, milliseconds: documents are
 * pushed only when they change, so silence may mean that the connection is lost.
 */
export const SILENCE_MS = 20_000;
/** The check comes sooner if a limit resets or a pause ends, this long after it, milliseconds … */
const DUE_MARGIN_MS = 250;
/** … but never sooner than this after the last document, milliseconds. */
const CHECK_SHORTEST_MS = 2_000;
/** Figures older than this are stale in every phase, milliseconds. */
export const STALE_MS = 30_000;

/**
 * The phases are `connecting`, `live` (by socket), `polling`, `lost` (the last request failed), and
 * two without figures: `setup` (the installation lacks a secret) and `refused` (the key is
 * refused).
 * @typedef {{phase: string, status: object | null, receivedAt: number, error: string, retryAt:
 *   number}} FeedState
 */
export class StatusFeed {
  /**
   * @param {string} key
   * @param {(state: FeedState) => void} onChange is called after every change
   * @param {object} platform `fetch`, `WebSocket`, `socketUrl`, `setTimeout`, `clearTimeout`,
   *   `now` (monotonic, milliseconds), `random`
   */
  constructor(key, onChange, platform) {
    this.key = key;
    this.onChange = onChange;
    this.platform = platform;
    this.state = { phase: "connecting", status: null, receivedAt: 0, error: "", retryAt: 0 };
    this.stopped = false;
    this.paused = false;
    this.timer = undefined;
    this.polling = false;
    this.failures = 0;
    this.socket = null;
    this.socketStartedAt = 0;
    this.socketFailures = 0;
    this.socketNotBefore = 0;
  }

  start() {
    this.poll();
  }

  /** Stops for good: nothing is reported afterwards. */
  stop() {
    this.stopped = true;
    this.cancelPoll();
    this.dropSocket();
  }

  /**
   * Stops polling, as for a hidden page. The socket stays open: it costs nothing while nothing
   * changes.
   */
  pause() {
    this.paused = true;
    this.cancelPoll();
  }

  /** Polls at once: the page is visible again, or the network is back. */
  resume() {
    this.paused = false;
    this.failures = 0;
    this.socketNotBefore = 0;
    this.poll();
  }

  async poll() {
    if (this.polling || this.stopped) return;
    this.cancelPoll();
    this.polling = true;
    const receivedBefore = this.state.receivedAt;
    const answer = await fetchStatus(this.platform.fetch, this.key);
    this.polling = false;
    if (this.stopped) return;
    switch (answer.kind) {
      case "status": {
        this.failures = 0;
        // The socket may have brought a newer document while this answer was on its way.
        const overtaken = this.state.receivedAt !== receivedBefore;
        this.onPolled(overtaken ? this.state.status : answer.status);
        return;
      }
      case "refused":
        this.dropSocket();
        this.setState({ phase: "refused", status: null, error: answer.detail, retryAt: 0 });
        return;
      case "setup":
        this.dropSocket();
        this.retryAfter(POLL_LONGEST_MS, { phase: "setup", status: null, error: answer.detail });
        return;
      default:
        this.dropSocket();
        this.failures += 1;
        this.retryAfter(backoff(this.failures, 1_000, POLL_LONGEST_MS, this.platform.random), { phase: "lost", error: answer.detail });
    }
  }

  // Takes a document that a poll has brought, and opens a socket if there is none.
  onPolled(status) {
    const live = this.socket !== null && this.state.phase === "live";
    this.setState({ phase: live ? "live" : "polling", status, receivedAt: this.platform.now(), error: "", retryAt: 0 });
    if (live) return this.scheduleCheck();
    if (this.socket === null && this.platform.now() >= this.socketNotBefore) this.openSocket();
    this.schedulePoll(POLL_MS);
  }

  openSocket() {
    let socket;
    this.socketStartedAt = this.platform.now();
    try {
      socket = new this.platform.WebSocket(this.platform.socketUrl, ["sluice.v1", this.key]);
    } catch {
      this.delaySocket();
      return;
    }
    this.socket = socket;
    const openingTimer = this.platform.setTimeout(() => this.onSocketClosed(socket), SOCKET_OPENING_MS);
    socket.onopen = () => {
      this.platform.clearTimeout(openingTimer);
      if (this.socket !== socket) return;
      this.setState({ phase: "live" });
      // A change between the last poll and the opening is not pushed, so poll once more unless a
      // document comes first.
      this.schedulePoll(1_000);
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.onMessage(socket, event.data);
    };
    socket.onclose = () => {
      this.platform.clearTimeout(openingTimer);
      this.onSocketClosed(socket);
    };
    socket.onerror = () => {};
  }

  onMessage(socket, data) {
    let status = null;
    try {
      status = JSON.parse(data);
    } catch {
      // Below, text that is not JSON is treated like JSON that is not a status document.
    }
    if (!isStatus(status)) return this.onSocketClosed(socket);
    this.failures = 0;
    this.setState({ phase: "live", status, receivedAt: this.platform.now(), error: "", retryAt: 0 });
    this.scheduleCheck();
  }

  // Polls after the loss of a live socket, because only an ordinary request can tell why it was
  // lost.
  onSocketClosed(socket) {
    if (this.socket !== socket) return;
    const wasLive = this.state.phase === "live";
    this.dropSocket();
    this.delaySocket();
    if (wasLive && !this.paused) this.poll();
  }

  // Sets the earliest time of the next attempt to open a socket.
  delaySocket() {
    if (this.platform.now() - this.socketStartedAt >= SOCKET_GOOD_MS) this.socketFailures = 0;
    this.socketFailures += 1;
    const wait = backoff(this.socketFailures, SOCKET_FIRST_MS, SOCKET_LONGEST_MS, this.platform.random);
    this.socketNotBefore = this.platform.now() + wait;
  }

  dropSocket() {
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    try {
      socket.close();
    } catch {
      // The socket never opened, so there is nothing to close.
    }
  }

  // Schedules the poll that checks a live socket.
  scheduleCheck() {
    const at = Date.parse(this.state.status.at);
    const due = Number.isFinite(at) ? nextChange(this.state.status, at) + DUE_MARGIN_MS : Infinity;
    this.schedulePoll(Math.max(CHECK_SHORTEST_MS, Math.min(SILENCE_MS, due)));
  }

  // Reports a failure, and polls again after `wait` milliseconds.
  retryAfter(wait, change) {
    this.setState({ ...change, retryAt: this.platform.now() + wait });
    this.schedulePoll(wait);
  }

  schedulePoll(wait) {
    this.cancelPoll();
    if (!this.paused && !this.stopped) this.timer = this.platform.setTimeout(() => this.poll(), wait);
  }

  cancelPoll() {
    this.platform.clearTimeout(this.timer);
    this.timer = undefined;
  }

  setState(change) {
    this.state = { ...this.state, ...change };
    if (!this.stopped) this.onChange(this.state);
  }
}

/**
 * Returns whether the figures of a state may no longer be true. `now` is the platform's,
 * milliseconds.
 */
export function isStale(state, now) {
  return state.status !== null && (state.phase === "lost" || now - state.receivedAt > STALE_MS);
}

// Returns a wait that doubles with each failure, in milliseconds. Its upper half is random, so that
// pages that have lost one server do not all come back at once.
function backoff(failures, first, longest, random) {
  const full = Math.min(longest, first * 2 ** Math.min(failures - 1, 16));
  return full / 2 + (full / 2) * random();
}
