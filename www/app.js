// The entry point of the status page. It takes the key, starts the feeds that load what the key may
// see, and draws their state with the views, at most once a frame.

import { fetchStatus } from "./api.js";
import { setAttribute, setShown, setText } from "./views/dom.js";
import { StatusFeed, isStale } from "./feeds/status.js";
import { clock, count, countdown, parseTime, span } from "./model/format.js";
import { JobsFeed } from "./feeds/jobs.js";
import { KeyStore, isKey, roleOf, takeFromAddress } from "./key.js";
import { board } from "./model/board.js";
import { ReportsFeed } from "./feeds/reports.js";
import { FirstCallView } from "./views/first-call.js";
import { JobsView } from "./views/jobs.js";
import { BoardView } from "./views/board.js";

const part = (id) => document.getElementById(id);
const keyStore = new KeyStore(storage());
const boardView = new BoardView(document);
const jobsView = new JobsView(document);
const firstCallView = new FirstCallView(document, location.origin);
/** What the feeds use of the browser; their tests pass doubles. */
const platform = {
  fetch: (...call) => fetch(...call),
  WebSocket,
  socketUrl: Object.assign(new URL("/status/live", location.href), { protocol: location.protocol === "https:" ? "wss:" : "ws:" }).href,
  setTimeout: (...timer) => setTimeout(...timer),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => performance.now(),
  random: () => Math.random(),
};

/**
 * While the installation lacks a secret and the page has no key, it asks again after this time,
 * milliseconds.
 */
const SETUP_POLL_MS = 5_000;

/** The word for each phase of the feed, and the connection state whose colour it has. */
const PHASES = {
  connecting: { word: "Connecting", mark: "idle" },
  live: { word: "Live", mark: "flowing" },
  polling: { word: "Polling", mark: "tight" },
  stale: { word: "Stale", mark: "refusing" },
  lost: { word: "No answer", mark: "refusing" },
  setup: { word: "Not set up", mark: "held" },
  refused: { word: "Key refused", mark: "refusing" },
};

let feed = null;
let reports = null;
let jobs = null;
let drawing = false;
let announced = "";
let pageFault = "";
let setupTimer;

part("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = part("key").value.trim();
  if (!isKey(key)) return showKeyFault("This is not a Sluice key: keys begin with slk_ and have no spaces.");
  enter(key);
});
part("forget").addEventListener("click", () => {
  keyStore.forget();
  leave();
});
addEventListener("hashchange", takeKeyFromAddress);
addEventListener("online", () => document.hidden || feed?.resume());
document.addEventListener("visibilitychange", () => (document.hidden ? feed?.pause() : feed?.resume()));
addEventListener("error", (event) => reportPageFault(event.message));
addEventListener("unhandledrejection", (event) => reportPageFault(String(event.reason?.message ?? event.reason)));
// Ages and countdowns change though no document comes.
setInterval(draw, 1_000);

takeKeyFromAddress();
if (!feed) {
  const stored = keyStore.read();
  if (isKey(stored)) enter(stored);
  else leave();
}

// Returns the tab's storage, or null where the browser forbids it.
function storage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

function takeKeyFromAddress() {
  const key = takeFromAddress(location, history);
  if (key === null) return;
  if (isKey(key)) return enter(key);
  leave();
  showKeyFault("The address does not hold a whole Sluice key: keys begin with slk_.");
}

// Shows the status that a key may see.
function enter(key) {
  clearTimeout(setupTimer);
  stop();
  keyStore.write(key);
  showKeyFault("");
  part("key").value = "";
  feed = new StatusFeed(key, draw, platform);
  reports = new ReportsFeed(key, draw, platform);
  jobs = new JobsFeed(key, draw, platform);
  if (document.hidden) feed.paused = true;
  feed.start();
  draw();
}

function stop() {
  for (const each of [feed, reports, jobs]) each?.stop();
  feed = reports = jobs = null;
}

// Shows the form that asks for a key.
function leave() {
  stop();
  drawNow();
  part("key").focus();
  checkSetup();
}

// Shows which secret the installation lacks, if any. Nobody has a key before all secrets are set,
// so this needs none.
async function checkSetup() {
  clearTimeout(setupTimer);
  const answer = await fetchStatus(platform.fetch, null);
  if (feed) return;
  showSetup(answer.kind === "setup" ? answer.detail : null);
  setShown(part("key-panel"), answer.kind !== "setup");
  if (answer.kind === "setup") setupTimer = setTimeout(checkSetup, SETUP_POLL_MS);
}

function showSetup(detail) {
  setShown(part("setup"), detail !== null);
  if (detail === null) return;
  setText(part("setup-detail"), sentence(detail));
  const names = [...new Set(detail.match(/\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b/g) ?? [])];
  setShown(part("setup-names"), names.length > 0);
  part("setup-names").replaceChildren(
    ...names.map((name) => {
      const item = document.createElement("li");
      item.append(Object.assign(document.createElement("code"), { textContent: name }));
      return item;
    }),
  );
}

// Draws the page in the next frame, once however many documents arrive before it.
function draw() {
  if (drawing) return;
  drawing = true;
  const run = () => {
    drawing = false;
    drawNow();
  };
  // A hidden page has no frames, but its title should be right.
  if (document.hidden) setTimeout(run, 0);
  else requestAnimationFrame(run);
}

function drawNow() {
  const state = feed?.state;
  const now = performance.now();
  const refused = state?.phase === "refused";
  setShown(part("feed"), Boolean(state));
  setShown(part("forget"), Boolean(state));
  setShown(part("board"), Boolean(state?.status));
  if (state) {
    const appears = refused && part("key-panel").hidden;
    setShown(part("key-panel"), refused);
    if (appears) part("key").focus();
    showSetup(state.phase === "setup" ? state.error : null);
  } else if (part("setup").hidden) {
    setShown(part("key-panel"), true);
  }
  const drawn = state?.status ? drawBoard(state, now) : null;
  drawHeader(state, drawn, now);
}

// Draws all that is below the header, and returns the board that it has drawn.
function drawBoard(state, now) {
  const at = parseTime(state.status.at) + (now - state.receivedAt);
  const serverNow = Number.isFinite(at) ? at : Date.now();
  const drawn = board(state.status, serverNow);
  boardView.show(drawn, reports.usageByConnection());
  jobsView.show(jobs, roleOf(feed.key), drawn.jobs, serverNow);
  firstCallView.show(drawn.connections);
  const dead = drawn.jobs?.dead ?? 0;
  setText(part("jobs-count"), dead > 0 ? `(${count(dead)} dead)` : "");
  // A hidden page loads nothing, nor does one whose server does not answer.
  if (!document.hidden && !isStale(state, now)) {
    reports.refresh(drawn.connections);
    jobs.refresh(drawn.jobs);
  }
  return drawn;
}

function drawHeader(state, drawn, now) {
  const stale = Boolean(state) && isStale(state, now);
  document.body.classList.toggle("stale", stale);
  setText(part("tenant"), drawn?.tenant ?? "");
  const phase = PHASES[stale ? "stale" : state?.phase];
  setText(part("phase"), phase?.word ?? "");
  setAttribute(part("phase"), "data-state", phase?.mark ?? "idle");
  setText(part("when"), state?.status ? updated(state, now) : "");
  showError(state && state.phase !== "setup" ? errorText(state, now) : "");
  const alerts = drawn?.alerts.length ?? 0;
  const prefix = stale ? "stale: " : alerts > 0 ? `(${alerts}) ` : "";
  const title = drawn ? `${prefix}${drawn.tenant} – Sluice` : "Sluice";
  if (document.title !== title) document.title = title;
  announce(phase?.word ?? "", alerts);
}

function updated(state, now) {
  const age = now - state.receivedAt;
  const at = clock(parseTime(state.status.at));
  return age < 1_500 ? `updated ${at}` : `updated ${at}, ${span(Math.floor(age / 1000) * 1000).replace(".0 s", " s")} ago`;
}

function errorText(state, now) {
  if (state.phase === "refused") return `The key is refused: ${sentence(state.error)} Enter another below.`;
  if (state.phase !== "lost") return "";
  const wait = Math.max(0, state.retryAt - now);
  const figures = state.status ? ` Figures are from ${clock(parseTime(state.status.at))}.` : "";
  return `No figures: ${state.error}. Trying again ${wait > 0 ? `in ${countdown(wait)}` : "now"}.${figures}`;
}

// Tells screen readers the phase and the number of alerts when they change, but no figures.
function announce(word, alerts) {
  const text = word === "" ? "" : `${word}${alerts > 0 ? `, ${alerts === 1 ? "1 alert" : `${alerts} alerts`}` : ""}`;
  if (text === announced) return;
  announced = text;
  setText(part("announce"), text);
}

function showKeyFault(text) {
  setText(part("key-fault"), text);
}

function reportPageFault(message) {
  pageFault = `The page itself failed: ${message}. Reload it.`;
  showError("");
}

// Shows an error above the figures. A fault of the page itself stays until the page is reloaded.
function showError(error) {
  const text = pageFault || error;
  setText(part("error"), text);
  setShown(part("error"), text !== "");
}

// Makes a sentence of an error's detail.
function sentence(detail) {
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
