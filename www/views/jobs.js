// Draws the section of jobs and dead letters. A button whose action cannot be undone must be
// pressed twice: after the first press its name is a question.

import { Rows, el, setAttribute, setShown, setText } from "./dom.js";
import { jobRow, jobsLine, restriction } from "../model/jobs.js";

/** A button that waits for its second press forgets the first after this time, milliseconds. */
const CONFIRM_MS = 5_000;

export class JobsView {
  constructor(root) {
    const part = (id) => root.querySelector(`#${id}`);
    [this.heading, this.summary, this.restriction, this.result] = [part("jobs-title"), part("jobs-line"), part("jobs-restriction"), part("jobs-result")];
    const change = (...request) => this.change(...request);
    this.replayAll = confirmedButton("Replay all", "Replay every one?", () => change("POST", "/dead-letters/replay", "All dead letters will run again, at the controlled rate."));
    part("jobs-line").after(this.replayAll.node);
    this.dead = new JobTable("Dead letters", ["Request", "App", "Why", "Since"], change, () => this.feed.showMore("dead"));
    this.running = new JobTable("Running", ["Request", "App", "Last attempt", "Next"], change, () => this.feed.showMore("running"));
    this.queued = new JobTable("Queued", ["Request", "App", "Last attempt", "Next"], change, () => this.feed.showMore("queued"));
    part("jobs-lists").append(this.dead.node, this.running.node, this.queued.node);
    this.feed = null;
  }

  /**
   * Shows the lists of a feed. `role` is that of the page's key, `now` the server's present in Unix
   * milliseconds.
   */
  show(feed, role, totals, now) {
    if (feed !== this.feed) setText(this.result, "");
    this.feed = feed;
    setText(this.summary, jobsLine(totals));
    const why = restriction(role, feed.refused);
    const hasJobs = Boolean(totals) && totals.queued + totals.running + totals.dead > 0;
    setText(this.restriction, why);
    setShown(this.restriction, why !== "" && hasJobs);
    setShown(this.replayAll.node, why === "" && totals?.dead > 1);
    for (const name of ["dead", "running", "queued"]) this[name].show(name, feed.lists[name], why === "", now);
  }

  // Replays or deletes jobs by a request, and shows `done` or what went wrong.
  async change(method, path, done) {
    const feed = this.feed;
    const fault = await feed.change(method, path);
    if (feed !== this.feed) return;
    setText(this.result, fault ? `Not done: ${fault}.` : done);
    // The button that was pressed may be removed with its row, and the focus must not be lost with
    // it.
    this.heading.focus({ preventScroll: true });
  }
}

class JobTable {
  constructor(caption, heads, change, showMore) {
    this.heads = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)), el("th", { scope: "col", class: "acts" }, el("span", { class: "unseen" }, "Actions")));
    this.body = el("tbody");
    this.fault = el("p", { class: "fault" });
    this.more = el("button", { type: "button" }, "Show more");
    this.more.addEventListener("click", showMore);
    this.node = el("div", { class: "table jobs" }, el("table", {}, el("caption", {}, caption), el("thead", {}, this.heads), this.body), this.fault, this.more);
    this.rows = new Rows(this.body, (row) => jobNode(row, change));
  }

  show(name, { items, next, error }, mayChange, now) {
    setShown(this.node, items.length > 0 || error !== "");
    setText(this.fault, error ? `This list could not be read: ${error}.` : "");
    setShown(this.fault, error !== "");
    setShown(this.more, next);
    this.rows.show(items.map((job) => ({ ...jobRow(job, now), dead: name === "dead", mayChange })));
  }
}

function jobNode({ id, dead }, change) {
  const [request, connection, app, why, when] = [el("code"), el("bdi", { class: "soft" }), el("bdi"), el("span"), el("span")];
  const [tries, attempts] = [el("summary"), el("ul")];
  const list = new Rows(attempts, () => {
    const node = el("li");
    return { node, update: ({ text }) => setText(node, text) };
  });
  const path = (dead ? "/dead-letters/" : "/jobs/") + encodeURIComponent(id);
  const replay = el("button", { type: "button" }, "Replay");
  replay.addEventListener("click", () => change("POST", `${path}/replay`, "It will run again."));
  const remove = confirmedButton("Delete", "Delete for good?", () => change("DELETE", path, "It is deleted."));
  const actions = el("td", { class: "acts" }, ...(dead ? [replay, " "] : []), remove.node);
  const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
  const node = el(
    "tr",
    {},
    el("th", { scope: "row" }, request, " ", connection),
    cell("app", app),
    cell(dead ? "why" : "last", why, el("details", {}, tries, attempts)),
    cell(dead ? "since" : "next", when),
    actions,
  );
  const update = (row) => {
    setText(request, row.request);
    setText(connection, row.connection);
    setText(app, row.app);
    setText(why, row.why);
    setText(tries, row.tries);
    setText(when, dead ? row.since : row.next);
    list.show(row.attempts);
    setShown(tries.parentNode, row.attempts.length > 0);
    for (const button of [replay, remove.node]) {
      setShown(button, row.mayChange);
      setAttribute(button, "aria-description", `${row.request}, ${row.app}`);
    }
  };
  return { node, update };
}

// Makes a button that acts when it is pressed twice.
function confirmedButton(name, question, action) {
  const node = el("button", { type: "button" }, name);
  let timer;
  const setAsking = (asking) => {
    clearTimeout(timer);
    node.classList.toggle("asking", asking);
    setText(node, asking ? question : name);
    if (asking) timer = setTimeout(() => setAsking(false), CONFIRM_MS);
  };
  node.addEventListener("click", () => {
    if (!node.classList.contains("asking")) return setAsking(true);
    setAsking(false);
    action();
  });
  return { node };
}
