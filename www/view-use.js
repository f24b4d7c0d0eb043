// The lower half of a connection's card: who used the day, seven days as a chart, and the tables behind both.

import { Chart } from "./chart.js";
import { Rows, el, setAttribute, setProperty, setShown, setText } from "./dom.js";
import { Table } from "./table.js";
import { dayShares, errorLine } from "./usage.js";

export class UseView {
  constructor() {
    this.title = el("h3");
    this.shares = el("ol", { class: "shares" });
    this.rows = new Rows(this.shares, shareNode);
    this.nothing = el("p", { class: "soft" });
    this.holder = el("div", { class: "chart", "aria-hidden": "true" });
    this.note = el("p", { class: "unseen" });
    this.who = el("div", { class: "who" }, this.title, this.shares, this.nothing);
    this.node = el("section", { class: "use" }, this.who, this.holder, this.note);
    this.failing = el("p", { class: "failing" });
    this.hour = el("span");
    this.endpoints = new Table("Last hour by endpoint", ["Endpoint", "Calls", "Throttled"]);
    this.retries = new Table("Last hour by attempts needed", ["Attempts", "Calls"]);
    this.errors = new Table("Errors by code", ["Code", "Meaning", "Today", "7 days"], "codes");
    this.week = new Table("Calls a day by app", [], "week");
    const tables = el("div", { class: "tables" }, this.endpoints.node, this.errors.node, this.retries.node, this.week.node);
    this.details = el("details", { class: "more" }, el("summary", {}, this.hour), tables);
    this.chart = new Chart(this.holder, (day) => this.point(day));
    this.day = null;
    this.use = null;
  }

  /** Its three parts, in their order on the card. */
  get nodes() {
    return [this.node, this.failing, this.details];
  }

  /** `report`: `{use, error}`, or undefined while it is under way. */
  update(row, report) {
    setText(this.hour, row.hourLine || "Details");
    this.endpoints.show(row.hour.endpoints, row.hour.more);
    this.retries.show(row.hour.retries);
    const use = report?.use ?? null;
    const errors = use ? errorLine(use.errors) : "";
    setText(this.failing, errors);
    setShown(this.failing, errors !== "");
    setShown(this.holder, Boolean(use) && !use.empty);
    setText(this.nothing, saying(report));
    setShown(this.nothing, !use || use.empty);
    if (use !== this.use) this.took(use);
  }

  took(use) {
    this.use = use;
    this.chart.show(use?.empty ? null : use);
    this.errors.show(use?.errors ?? []);
    this.week.setHeads(use?.empty === false ? use.table.heads : []);
    this.week.show(use?.empty === false ? use.table.rows : []);
    setText(this.note, use && !use.empty ? "A chart of these seven days; its figures are in the table “Calls a day by app”, below." : "");
    this.drawShares();
  }

  point(day) {
    if (day === this.day) return;
    this.day = day;
    this.drawShares();
  }

  drawShares() {
    const use = this.use && !this.use.empty ? this.use : null;
    const index = use ? Math.min(this.day ?? Infinity, use.days.length - 1) : 0;
    const day = use?.days[index];
    setText(this.title, !day || day.today ? "Today by app" : `${day.long} by app`);
    this.rows.show(use ? dayShares(use, index) : []);
  }
}

function saying(report) {
  if (!report) return "…";
  if (report.error && !report.use) return `Usage could not be read: ${report.error}.`;
  return "No calls in seven days.";
}

function shareNode() {
  const [swatch, name] = [el("span", { class: "swatch app", "aria-hidden": "true" }), el("bdi", { class: "name" })];
  const [part, count, share] = [el("span", { class: "part" }), el("span", { class: "number" }), el("span", { class: "number soft" })];
  const node = el("li", {}, swatch, name, count, share, el("span", { class: "track", "aria-hidden": "true" }, part));
  const update = (row) => {
    setAttribute(node, "data-app", row.hue);
    setText(name, row.name);
    setText(count, row.count);
    setText(share, row.share);
    setProperty(node, "--part", row.part);
  };
  return { node, update };
}
