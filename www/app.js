// The status page: which key, which part of the page, and when to draw. Figures come from `feed.js`.

import { ask } from "./ask.js";
import { setAttribute, setShown, setText } from "./dom.js";
import { Feed, isStale } from "./feed.js";
import { clock, count, countdown, parseTime, span } from "./format.js";
import { JobsFeed } from "./jobs-feed.js";
import { Keep, isKey, roleOf, takeFromAddress } from "./key.js";
import { board } from "./model.js";
import { Reports } from "./reports.js";
import { GuideView } from "./view-guide.js";
import { JobsView } from "./view-jobs.js";
import { BoardView } from "./view.js";

const part = (id) => document.getElementById(id);
const keep = new Keep(storage());
const view = new BoardView(document);
const jobsView = new JobsView(document);
const guideView = new GuideView(document, location.origin);
const world = {
  fetch: (...call) => fetch(...call),
  WebSocket,
  socketUrl: Object.assign(new URL("/status/live", location.href), { protocol: location.protocol === "https:" ? "wss:" : "ws:" }).href,
  setTimeout: (...timer) => setTimeout(...timer),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => performance.now(),
  random: () => Math.random(),
};

/** Without a key the page asks this often whether the installation is set up by now, milliseconds. */
const SETUP_EVERY_MS = 5_000;

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
let brokenBy = "";
let setupTimer;

part("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = part("key").value.trim();
  if (!isKey(key)) return fault("This is no Sluice key: those begin with slk_ and have no spaces.");
  enter(key);
});
part("forget").addEventListener("click", () => {
  keep.forget();
  leave();
});
addEventListener("hashchange", fromAddress);
addEventListener("online", () => document.hidden || feed?.wake());
document.addEventListener("visibilitychange", () => (document.hidden ? feed?.rest() : feed?.wake()));
addEventListener("error", (event) => broken(event.message));
addEventListener("unhandledrejection", (event) => broken(String(event.reason?.message ?? event.reason)));
// Ages and countdowns move without any news.
setInterval(draw, 1_000);

fromAddress();
if (!feed) {
  const kept = keep.read();
  if (isKey(kept)) enter(kept);
  else leave();
}

function storage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

function fromAddress() {
  const key = takeFromAddress(location, history);
  if (key === null) return;
  if (isKey(key)) return enter(key);
  leave();
  fault("The address held no whole key: those begin with slk_.");
}

function enter(key) {
  clearTimeout(setupTimer);
  stop();
  keep.write(key);
  fault("");
  part("key").value = "";
  feed = new Feed(key, draw, world);
  reports = new Reports(key, draw, world);
  jobs = new JobsFeed(key, draw, world);
  if (document.hidden) feed.resting = true;
  feed.start();
  draw();
}

function stop() {
  for (const one of [feed, reports, jobs]) one?.stop();
  feed = reports = jobs = null;
}

function leave() {
  stop();
  drawNow();
  part("key").focus();
  lookForSetup();
}

// No key can be had before the installation has its secrets, so the page says what is missing without one.
async function lookForSetup() {
  clearTimeout(setupTimer);
  const answer = await ask(world.fetch, null);
  if (feed) return;
  showSetup(answer.kind === "setup" ? answer.detail : null);
  setShown(part("gate"), answer.kind !== "setup");
  if (answer.kind === "setup") setupTimer = setTimeout(lookForSetup, SETUP_EVERY_MS);
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

// At most one drawing a frame, however many documents arrive.
function draw() {
  if (drawing) return;
  drawing = true;
  const run = () => {
    drawing = false;
    drawNow();
  };
  // A hidden page has no frames, yet its title should be right.
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
    const appears = refused && part("gate").hidden;
    setShown(part("gate"), refused);
    if (appears) part("key").focus();
    showSetup(state.phase === "setup" ? state.error : null);
  } else if (part("setup").hidden) {
    setShown(part("gate"), true);
  }
  const shown = state?.status ? drawBoard(state, now) : null;
  drawHeader(state, shown, now);
}

function drawBoard(state, now) {
  const at = parseTime(state.status.at) + (now - state.receivedAt);
  const serverNow = Number.isFinite(at) ? at : Date.now();
  const shown = board(state.status, serverNow);
  view.show(shown, reports.shown());
  jobsView.show(jobs, roleOf(feed.key), shown.jobs, serverNow);
  guideView.show(shown.connections);
  const stuck = shown.jobs?.dead ?? 0;
  setText(part("jobs-count"), stuck > 0 ? `(${count(stuck)} dead)` : "");
  // A page that nobody sees asks nothing, nor does one whose server does not answer.
  if (!document.hidden && !isStale(state, now)) {
    reports.follow(shown.connections);
    jobs.follow(shown.jobs);
  }
  return shown;
}

function drawHeader(state, shown, now) {
  const stale = Boolean(state) && isStale(state, now);
  document.body.classList.toggle("stale", stale);
  setText(part("tenant"), shown?.tenant ?? "");
  const phase = PHASES[stale ? "stale" : state?.phase];
  setText(part("phase"), phase?.word ?? "");
  setAttribute(part("phase"), "data-state", phase?.mark ?? "idle");
  setText(part("when"), state?.status ? updated(state, now) : "");
  showTrouble(state && state.phase !== "setup" ? troubleLine(state, now) : "");
  const warnings = shown?.alerts.length ?? 0;
  const prefix = stale ? "stale: " : warnings > 0 ? `(${warnings}) ` : "";
  const title = shown ? `${prefix}${shown.tenant} – Sluice` : "Sluice";
  if (document.title !== title) document.title = title;
  announce(phase?.word ?? "", warnings);
}

function updated(state, now) {
  const age = now - state.receivedAt;
  const at = clock(parseTime(state.status.at));
  return age < 1_500 ? `updated ${at}` : `updated ${at}, ${span(Math.floor(age / 1000) * 1000).replace(".0 s", " s")} ago`;
}

function troubleLine(state, now) {
  if (state.phase === "refused") return `The key is refused: ${sentence(state.error)} Enter another below.`;
  if (state.phase !== "lost") return "";
  const again = Math.max(0, state.retryAt - now);
  const figures = state.status ? ` Figures are from ${clock(parseTime(state.status.at))}.` : "";
  return `No figures: ${state.error}. Trying again ${again > 0 ? `in ${countdown(again)}` : "now"}.${figures}`;
}

// For screen readers: the state of the page when it changes, not the figures.
function announce(word, warnings) {
  const text = word === "" ? "" : `${word}${warnings > 0 ? `, ${warnings === 1 ? "1 alert" : `${warnings} alerts`}` : ""}`;
  if (text === announced) return;
  announced = text;
  setText(part("announce"), text);
}

function fault(text) {
  setText(part("key-fault"), text);
}

function broken(message) {
  brokenBy = `The page itself failed: ${message}. Reload it.`;
  showTrouble("");
}

function showTrouble(line) {
  const shown = brokenBy || line;
  setText(part("error"), shown);
  setShown(part("error"), shown !== "");
}

function sentence(detail) {
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
