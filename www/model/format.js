// Formats numbers and times as text. The functions are pure: the time zone and the present are
// arguments.

/** The text that stands where a figure is not known. */
export const NONE = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDecimal = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** Formats a count: `31,204`. */
export function count(n) {
  return Number.isFinite(n) ? whole.format(n) : NONE;
}

/** Formats a count with its noun: `1 call`, `2 calls`. */
export function counted(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Formats a number of bytes in powers of 1000, as vendors count them: `1.5 MB`. */
export function bytes(n) {
  if (!Number.isFinite(n)) return NONE;
  let value = n;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 100 ? whole : oneDecimal;
  return `${digits.format(value)} ${BYTE_UNITS[unit]}`;
}

/**
 * Formats a fraction as per cent. Only 1 or more is rounded to 100 % and only 0 to 0 %, because
 * "100 %" must mean spent.
 */
export function percent(fraction) {
  if (!Number.isFinite(fraction)) return NONE;
  const value = fraction * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value < 10) return `${oneDecimal.format(value).replace(/\.0$/, "")} %`;
  const shown = value < 100 ? Math.min(Math.round(value), 99) : Math.floor(value);
  return `${whole.format(shown)} %`;
}

/**
 * Formats a length of time in milliseconds with two units at most: `0.4 s`, `12 s`, `3 m 20 s`,
 * `2 h 05 m`, `1 d 3 h`.
 */
export function span(ms) {
  if (!Number.isFinite(ms)) return NONE;
  const positive = Math.max(0, ms);
  if (positive < 9_950) return positive === 0 ? "0 s" : `${oneDecimal.format(positive / 1000)} s`;
  const seconds = Math.round(positive / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return pair(seconds, 60, "m", 1, "s");
  if (seconds < 86_400) return pair(seconds, 3600, "h", 60, "m");
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor((seconds % 86_400) / 3600)];
  return hours === 0 ? `${days} d` : `${days} d ${hours} h`;
}

function pair(seconds, large, largeName, small, smallName) {
  const high = Math.floor(seconds / large);
  const low = Math.floor((seconds % large) / small);
  return low === 0 ? `${high} ${largeName}` : `${high} ${largeName} ${String(low).padStart(2, "0")} ${smallName}`;
}

/**
 * Formats a wait in milliseconds as whole seconds, so that a countdown does not flicker through
 * tenths.
 */
export function countdown(ms) {
  return span(Math.ceil(Math.max(0, ms) / 1000) * 1000).replace(/\.0 s$/, " s");
}

/** Returns the milliseconds since 1970 of an RFC 3339 time, or NaN for anything else. */
export function parseTime(text) {
  return typeof text === "string" ? Date.parse(text) : NaN;
}

/** Formats the time of day, with seconds: `14:03:22`. */
export function clock(ms, zone) {
  return Number.isFinite(ms) ? formatter("clock", zone).format(ms) : NONE;
}

/**
 * Formats a moment near `now`: `16:40` today or within 18 hours, `Mon 06:00` within six days, else
 * `30 Nov, 06:00`.
 */
export function moment(ms, now, zone) {
  if (!Number.isFinite(ms)) return NONE;
  const day = formatter("day", zone);
  const time = formatter("minute", zone).format(ms);
  const distance = Math.abs(ms - now);
  if (distance < 18 * 3_600_000 || day.format(ms) === day.format(now)) return time;
  const near = distance < 6 * 86_400_000;
  return near ? `${formatter("weekday", zone).format(ms)} ${time}` : `${formatter("date", zone).format(ms)}, ${time}`;
}

/** Formats a moment in full, for tooltips: date, time to the second, and zone. */
export function fullTime(ms, zone) {
  return Number.isFinite(ms) ? formatter("full", zone).format(ms) : NONE;
}

const STYLES = {
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  weekday: { weekday: "short" },
  date: { day: "numeric", month: "short" },
  day: { year: "numeric", month: "2-digit", day: "2-digit" },
  full: { dateStyle: "medium", timeStyle: "long" },
};
const formatters = new Map();

// Keeps the formatters: to make one costs far more than to use it, and the page draws every second.
function formatter(style, zone) {
  const id = `${style} ${zone ?? ""}`;
  let found = formatters.get(id);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { ...STYLES[style], timeZone: zone });
    formatters.set(id, found);
  }
  return found;
}
