// Draws the lower half of a connection's card: the calls of a day by app, seven days as a chart,
// and tables of the details.

import { UsageChart } from "./usage-chart.js";
import { Rows, el, setAttribute, setProperty, setShown, setText } from "./dom.js";
import { Table } from "./table.js";
import { dayShares, errorLine } from "../model/usage.js";

export class UsageView {
  constructor() {
    this.title = el("h3");
    this.shares = el("ol", { class: "shares" });
    this.rows = new Rows(this.shares, shareNode);
    this.empty = el("p", { class: "soft" });
    this.holder = el("div", { class: "chart", "aria-hidden": "true" });
    this.note = el("p", { class: "unseen" });
    this.byApp = el("div", { class: "who" }, this.title, this.shares, this.empty);
    this.node = el("section", { class: "use" }, this.byApp, this.holder, this.note);
    this.failing = el("p", { class: "failing" });
    this.hour = el("span");
    this.endpoints = new Table("Last hour by endpoint", ["Endpoint", "Calls", "Throttled"]);
    this.retries = new Table("Last hour by attempts needed", ["Attempts", "Calls"]);
    this.errors = new Table("Errors by code", ["Code", "Meaning", "Today", "7 days"], "codes");
    this.week = new Table("Calls a day by app", [], "week");
    const tables = el("div", { class: "tables" }, this.endpoints.node, this.errors.node, this.retries.node, this.week.node);
    this.details = el("details", { class: "more" }, el("summary", {}, this.hour), tables);
    this.chart = new UsageChart(this.holder, (day) => this.showDay(day));
    this.day = null;
    this.usage = null;
  }

  /** The nodes of the view, in their order on the card. */
  get nodes() {
    return [this.node, this.failing, this.details];
  }

  /**
   * Shows a connection's row of the board, and its report `{usage, error}`, which is undefined
   * until it is loaded.
   */
  update(row, report) {
    setText(this.hour, row.hourLine || "Details");
    this.endpoints.show(row.hour.endpoints, row.hour.more);
    this.retries.show(row.hour.retries);
    const usage = report?.usage ?? null;
    const errors = usage ? errorLine(usage.errors) : "";
    setText(this.failing, errors);
    setShown(this.failing, errors !== "");
    setShown(this.holder, Boolean(usage) && !usage.empty);
    setText(this.empty, emptyText(report));
    setShown(this.empty, !usage || usage.empty);
    if (usage !== this.usage) this.setUsage(usage);
  }

  setUsage(usage) {
    this.usage = usage;
    this.chart.show(usage?.empty ? null : usage);
    this.errors.show(usage?.errors ?? []);
    this.week.setHeads(usage?.empty === false ? usage.table.heads : []);
    this.week.show(usage?.empty === false ? usage.table.rows : []);
    setText(this.note, usage && !usage.empty ? "A chart of these seven days; its figures are in the table “Calls a day by app”, below." : "");
    this.drawShares();
  }

  showDay(day) {
    if (day === this.day) return;
    this.day = day;
    this.drawShares();
  }

  drawShares() {
    const usage = this.usage && !this.usage.empty ? this.usage : null;
    const index = usage ? Math.min(this.day ?? Infinity, usage.days.length - 1) : 0;
    const day = usage?.days[index];
    setText(this.title, !day || day.today ? "Today by app" : `${day.long} by app`);
    this.rows.show(usage ? dayShares(usage, index) : []);
  }
}

// Returns the text that stands where there is no usage to show.
function emptyText(report) {
  if (!report) return "…";
  if (report.error && !report.usage) return `Usage could not be read: ${report.error}.`;
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
