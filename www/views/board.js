// Draws the board: alerts, the overview, and a card for each connection. It decides nothing: every
// word and every state is computed in `model/board.js`.

import { Rows, el, setAttribute, setProperty, setShown, setText } from "./dom.js";
import { STATES } from "../model/connection-state.js";
import { UsageView } from "./usage.js";

/** The least number of connections for which the overview is shown. */
const OVERVIEW_FROM = 2;

/** Draws all that the board has, and the legend. */
export class BoardView {
  constructor(root) {
    const part = (id) => root.querySelector(`#${id}`);
    this.empty = part("empty");
    this.alertList = part("alerts");
    this.alerts = new Rows(this.alertList, alertNode);
    this.overview = part("overview");
    this.overviewRows = new Rows(part("overview-rows"), overviewNode);
    this.cards = new Rows(part("cards"), cardNode);
    drawLegend(part("legend-items"));
  }

  /** Shows a board. `reports` has `{usage, error}` by the connection's name. */
  show(board, reports) {
    setShown(this.alertList, board.alerts.length > 0);
    this.alerts.show(board.alerts);
    const rows = board.connections.length >= OVERVIEW_FROM ? board.connections : [];
    setShown(this.overview, rows.length > 0);
    this.overviewRows.show(rows);
    this.cards.show(board.connections.map((row) => ({ ...row, report: reports.get(row.key) })));
    setShown(this.empty, board.connections.length === 0);
  }
}

function mark(state) {
  return el("span", { class: "mark", "data-state": state, "aria-hidden": "true" });
}

function alertNode() {
  const [connection, text, since] = [el("a", { class: "name" }), el("span"), el("span", { class: "since" })];
  const node = el("li", {}, mark("refusing"), el("span", { class: "what" }, el("bdi", {}, connection), " ", text), since);
  const update = (alert) => {
    setText(connection, alert.connection);
    setShown(connection, alert.connection !== "");
    setAttribute(connection, "href", alert.href || null);
    setText(text, alert.text);
    setText(since, alert.since);
  };
  return { node, update };
}

// Makes a connection's row of the overview.
function overviewNode(first) {
  const [shape, name, word] = [mark(first.state), el("a"), el("span", { class: "word" })];
  const cells = {
    tightest: overviewCell("tightest limit"),
    day: overviewCell("today"),
    waiting: overviewCell("waiting"),
    throttled: overviewCell("throttled"),
    jobs: overviewCell("jobs"),
  };
  const head = el("th", { role: "rowheader", scope: "row" }, shape, el("bdi", {}, name));
  const state = el("td", { role: "cell", class: "state-cell" }, word);
  const node = el("tr", { role: "row" }, head, state, ...Object.values(cells).map((cell) => cell.node));
  const update = (row) => {
    setAttribute(node, "data-state", row.state);
    setAttribute(shape, "data-state", row.state);
    setText(name, row.name);
    setAttribute(name, "href", `#${encodeURIComponent(row.id)}`);
    setText(word, row.word);
    for (const [key, cell] of Object.entries(cells)) cell.update(row.overview[key]);
  };
  return { node, update };
}

function overviewCell(label) {
  const [value, note, fill] = [el("span", { class: "value" }), el("span", { class: "soft" }), el("span", { class: "fill" })];
  const bar = el("span", { class: "small-bar", "aria-hidden": "true" }, fill);
  const node = el("td", { role: "cell", "data-label": label }, bar, value, " ", note);
  const update = (cell) => {
    setText(value, cell.text);
    setText(note, cell.note);
    setShown(bar, Number.isFinite(cell.bar));
    setProperty(bar, "--used", cell.bar ?? 0);
    setAttribute(node, "data-state", cell.state);
    node.classList.toggle("calm", cell.calm);
  };
  return { node, update };
}

let cardsMade = 0;

function cardNode(first) {
  cardsMade += 1;
  const titleId = `connection-${cardsMade}`;
  const [name, vendor, observe] = [el("bdi"), el("bdi", { class: "vendor" }), el("span", { class: "badge" }, "observe")];
  const [shape, word] = [mark(first.state), el("span", { class: "word" })];
  const [figures, notes, limits, usage] = [el("dl", { class: "figures" }), el("ul", { class: "notes" }), limitTable(titleId), new UsageView()];
  const node = el(
    "article",
    { class: "card", id: first.id, tabindex: "-1", "aria-labelledby": titleId },
    el("header", {}, el("h2", { id: titleId }, name), vendor, observe, el("span", { class: "state" }, shape, word)),
    figures,
    notes,
    limits.node,
    ...usage.nodes,
  );
  const figureRows = new Rows(figures, figureNode);
  const noteRows = new Rows(notes, noteNode);
  const update = (row) => {
    setAttribute(node, "data-state", row.state);
    setAttribute(shape, "data-state", row.state);
    setText(name, row.name);
    setText(vendor, row.vendor);
    setShown(vendor, row.vendor !== "");
    setShown(observe, row.observe);
    setText(word, row.word);
    figureRows.show(row.figures);
    noteRows.show(row.notes);
    setShown(notes, row.notes.length > 0);
    limits.update(row.limits);
    usage.update(row, row.report);
  };
  return { node, update };
}

function figureNode({ key, label }) {
  const [value, rest, detail] = [el("span", { class: "value" }), el("span", { class: "rest" }), el("span", { class: "detail" })];
  const node = el("div", { class: `figure ${key}` }, el("dt", {}, label), el("dd", {}, value, " ", rest, detail));
  const update = (figure) => {
    setText(value, figure.value);
    setText(rest, figure.rest ?? "");
    setText(detail, figure.detail ?? "");
    setAttribute(value, "data-state", figure.state || null);
  };
  return { node, update };
}

function noteNode() {
  const node = el("li");
  return { node, update: (note) => setText(node, note.text) };
}

// Makes the table of limits. Narrow cards lay it out as a grid, which for browsers is not a table
// any more, so it states its roles.
function limitTable(titleId) {
  const heads = ["Limit", "In use", "Used", "In force", "Left", "Resets"];
  const head = el("tr", { role: "row" }, ...heads.map((text) => el("th", { role: "columnheader", scope: "col" }, text)));
  const body = el("tbody", { role: "rowgroup" });
  const node = el("table", { class: "limits", role: "table", "aria-labelledby": titleId }, el("thead", { role: "rowgroup" }, head), body);
  const rows = new Rows(body, limitNode);
  const update = (limits) => {
    rows.show(limits);
    setShown(node, limits.length > 0);
  };
  return { node, update };
}

function limitNode() {
  const [name, kind] = [el("bdi", { class: "name" }), el("bdi", { class: "kind" })];
  const [fill, vendor] = [el("span", { class: "fill" }), el("span", { class: "vendor-mark" })];
  const meter = el("div", { class: "meter", role: "meter", "aria-valuemin": "0" }, fill, vendor);
  const vendorCount = el("span", { class: "vendor-count" });
  const cell = (label, className = "number") => el("td", { role: "cell", class: className, "data-label": label });
  const [used, inForce, left, reset] = [cell("used"), cell("in force"), cell("left"), cell("resets", "number reset")];
  const [limit, of] = [el("span"), el("span", { class: "of" })];
  inForce.append(limit, " ", of);
  const bar = el("td", { role: "cell", class: "bar-cell" }, meter, vendorCount);
  const node = el("tr", { role: "row" }, el("th", { role: "rowheader", scope: "row" }, name, kind), bar, used, inForce, left, reset);
  const update = (row) => {
    setText(name, row.name);
    setText(kind, row.kind);
    setText(used, row.used);
    setText(limit, row.limit);
    setText(of, row.of);
    setText(vendorCount, row.vendorCount);
    setShown(vendorCount, row.vendorCount !== "");
    setText(left, row.left);
    setText(reset, row.reset);
    setAttribute(reset, "data-label", row.resetFull ? "resets" : "");
    setAttribute(reset, "title", row.resetFull || null);
    setAttribute(meter, "data-state", row.state);
    setAttribute(meter, "aria-label", `${row.name} in use`);
    setAttribute(meter, "aria-valuemax", row.bar.max);
    setAttribute(meter, "aria-valuenow", row.bar.now);
    setAttribute(meter, "aria-valuetext", row.bar.text);
    setProperty(meter, "--used", row.bar.used);
    setProperty(meter, "--limit", row.bar.limit);
    setProperty(meter, "--vendor", row.bar.vendor ?? 0);
    setShown(vendor, row.bar.vendor !== null);
  };
  return { node, update };
}

function drawLegend(list) {
  const items = STATES.map((state) => [mark(state.id), state.name, state.meaning]);
  const swatch = (name) => el("span", { class: `swatch ${name}`, "aria-hidden": "true" });
  items.push(
    [swatch("free"), "free", "ours to use, and left"],
    [swatch("others"), "not ours", "left to the vendor's other users (share), or taken back while slowed"],
    [swatch("counted"), "vendor's count", "what the vendor itself says is used"],
  );
  list.replaceChildren(
    ...items.map(([shape, name, meaning]) => el("div", {}, el("dt", {}, shape, name), el("dd", {}, meaning))),
  );
}
