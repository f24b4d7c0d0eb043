// The section of jobs and dead letters. A button that cannot be undone asks by changing its name, and does it when
// pressed again.

import { Rows, el, setAttribute, setShown, setText } from "./dom.js";
import { bound, jobRow, jobsLine } from "./jobs.js";

/** A button that waits for its second press forgets the first after this long, milliseconds. */
const SURE_MS = 5_000;

export class JobsView {
  constructor(root) {
    const part = (id) => root.querySelector(`#${id}`);
    [this.heading, this.line, this.bound, this.told] = [part("jobs-title"), part("jobs-line"), part("jobs-bound"), part("jobs-told")];
    const act = (...what) => this.act(...what);
    this.all = sureButton("Replay all", "Replay every one?", () => act("POST", "/dead-letters/replay", "All dead letters are to run again, at the controlled rate."));
    part("jobs-line").after(this.all.node);
    this.dead = new JobTable("Dead letters", ["Request", "App", "Why", "Since"], act, () => this.feed.more("dead"));
    this.running = new JobTable("Running", ["Request", "App", "Last attempt", "Next"], act, () => this.feed.more("running"));
    this.queued = new JobTable("Queued", ["Request", "App", "Last attempt", "Next"], act, () => this.feed.more("queued"));
    part("jobs-lists").append(this.dead.node, this.running.node, this.queued.node);
    this.feed = null;
  }

  /** `now` is the server's present. */
  show(feed, role, totals, now) {
    if (feed !== this.feed) setText(this.told, "");
    this.feed = feed;
    setText(this.line, jobsLine(totals));
    const why = bound(role, feed.refused);
    const there = Boolean(totals) && totals.queued + totals.running + totals.dead > 0;
    setText(this.bound, why);
    setShown(this.bound, why !== "" && there);
    setShown(this.all.node, why === "" && totals?.dead > 1);
    for (const name of ["dead", "running", "queued"]) this[name].show(name, feed.lists[name], why === "", now);
  }

  async act(method, path, done) {
    const feed = this.feed;
    const fault = await feed.act(method, path);
    if (feed !== this.feed) return;
    setText(this.told, fault ? `Not done: ${fault}.` : done);
    // The button may have gone with its row: the focus must not be lost with it.
    this.heading.focus({ preventScroll: true });
  }
}

class JobTable {
  constructor(caption, heads, act, more) {
    this.act = act;
    this.heads = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)), el("th", { scope: "col", class: "acts" }, el("span", { class: "unseen" }, "Actions")));
    this.body = el("tbody");
    this.fault = el("p", { class: "fault" });
    this.more = el("button", { type: "button" }, "Show more");
    this.more.addEventListener("click", more);
    this.node = el("div", { class: "table jobs" }, el("table", {}, el("caption", {}, caption), el("thead", {}, this.heads), this.body), this.fault, this.more);
    this.rows = new Rows(this.body, (row) => jobNode(row, act));
  }

  show(name, { items, next, error }, may, now) {
    setShown(this.node, items.length > 0 || error !== "");
    setText(this.fault, error ? `This list could not be read: ${error}.` : "");
    setShown(this.fault, error !== "");
    setShown(this.more, next);
    this.rows.show(items.map((job) => ({ ...jobRow(job, now), dead: name === "dead", may })));
  }
}

function jobNode({ id, dead }, act) {
  const [request, connection, app, why, when] = [el("code"), el("bdi", { class: "soft" }), el("bdi"), el("span"), el("span")];
  const [tries, attempts] = [el("summary"), el("ul")];
  const list = new Rows(attempts, () => {
    const node = el("li");
    return { node, update: ({ text }) => setText(node, text) };
  });
  const path = (dead ? "/dead-letters/" : "/jobs/") + encodeURIComponent(id);
  const replay = el("button", { type: "button" }, "Replay");
  replay.addEventListener("click", () => act("POST", `${path}/replay`, "It is to run again."));
  const remove = sureButton("Delete", "Delete for good?", () => act("DELETE", path, "It is deleted."));
  const acts = el("td", { class: "acts" }, ...(dead ? [replay, " "] : []), remove.node);
  const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
  const node = el(
    "tr",
    {},
    el("th", { scope: "row" }, request, " ", connection),
    cell("app", app),
    cell(dead ? "why" : "last", why, el("details", {}, tries, attempts)),
    cell(dead ? "since" : "next", when),
    acts,
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
      setShown(button, row.may);
      setAttribute(button, "aria-description", `${row.request}, ${row.app}`);
    }
  };
  return { node, update };
}

function sureButton(name, question, act) {
  const node = el("button", { type: "button" }, name);
  let timer;
  const ask = (sure) => {
    clearTimeout(timer);
    node.classList.toggle("sure", sure);
    setText(node, sure ? question : name);
    if (sure) timer = setTimeout(() => ask(false), SURE_MS);
  };
  node.addEventListener("click", () => {
    if (!node.classList.contains("sure")) return ask(true);
    ask(false);
    act();
  });
  return { node };
}
