// Decides in which of five states a connection is. Each state has one colour, one shape and one
// meaning on the page.

/** The states, the calmest first. `meaning` is the legend's text. */
export const STATES = [
  { id: "idle", name: "idle", meaning: "nothing in flight, nothing waiting" },
  { id: "flowing", name: "flowing", meaning: "calls pass as they come" },
  { id: "tight", name: "tight", meaning: "a limit is 80 % used or more, or calls wait their turn" },
  { id: "held", name: "held back", meaning: "slowed or paused after the vendor's throttling" },
  { id: "refusing", name: "refusing", meaning: "a day's quota is spent, or the queue is full" },
];

/** The part of a limit from whose use on the limit is tight. */
export const TIGHT_FROM = 0.8;

// A limit of these kinds stays spent until a day is over; limits of other kinds have room again
// within seconds.
const DAY_KINDS = new Set(["daily", "rolling_day"]);

/** Returns whether a limit counts a whole day. */
export function isDay(limit) {
  return DAY_KINDS.has(limit.kind);
}

/** Returns the state of one limit: idle, flowing, tight or refusing. */
export function limitState(limit) {
  const { used, limit: inForce, remaining } = limit;
  const left = Number.isFinite(remaining) ? remaining : inForce - used;
  if (left <= 0) return isDay(limit) ? "refusing" : "tight";
  if (used >= inForce * TIGHT_FROM) return "tight";
  return used > 0 ? "flowing" : "idle";
}

/**
 * Returns the state of a connection, and a word that says why it is in that state.
 * @param {object} connection as `/status.json` gives it
 * @param {number} pausedUntil Unix milliseconds, or NaN
 * @param {number} now Unix milliseconds
 */
export function connectionState(connection, pausedUntil, now) {
  const limits = connection.limits;
  const { depth, size } = connection.queue;
  const states = limits.map(limitState);
  const refuses = (word) => {
    // In observe mode no call is refused or delayed.
    return { state: "refusing", word: connection.mode === "observe" ? `would refuse: ${word}` : word };
  };
  if (states.includes("refusing")) return refuses("day spent");
  if (size > 0 && depth >= size) return refuses("queue full");
  if (pausedUntil > now) return { state: "held", word: "paused" };
  if (connection.rate_factor < 1) return { state: "held", word: "slowed" };
  if (depth > 0) return { state: "tight", word: "calls wait" };
  if (states.includes("tight")) {
    const full = limits.some((limit) => limit.remaining <= 0);
    return { state: "tight", word: full ? "at a limit" : "near a limit" };
  }
  // A day's count stays until its reset, so it does not show that calls are being made.
  const moving = connection.in_flight > 0 || limits.some((limit) => !isDay(limit) && limit.used > 0);
  return moving ? { state: "flowing", word: "flowing" } : { state: "idle", word: "idle" };
}
