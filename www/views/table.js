// Draws a table with a caption. The first column names the row; numbers are aligned to the right.

import { Rows, el, setAttribute, setShown, setText } from "./dom.js";

export class Table {
  constructor(caption, heads, className = "") {
    this.head = el("tr");
    this.body = el("tbody");
    this.more = el("p", { class: "soft" });
    const title = el("caption", {}, caption);
    this.node = el("div", { class: `table ${className}` }, el("table", {}, title, el("thead", {}, this.head), this.body), this.more);
    // A table may be wider than a narrow screen, so it must be possible to scroll it by keyboard.
    for (const [name, value] of Object.entries({ tabindex: 0, role: "group", "aria-label": caption })) this.node.setAttribute(name, value);
    this.setHeads(heads);
  }

  /** Sets the titles of the columns, and removes all rows if the titles have changed. */
  setHeads(heads) {
    const shape = heads.join("\u0000");
    if (shape === this.shape) return;
    this.shape = shape;
    this.head.replaceChildren(...heads.map((text) => el("th", { scope: "col" }, text)));
    this.body.replaceChildren();
    this.rows = new Rows(this.body, ({ cells }) => rowNode(cells.length));
  }

  /**
   * Shows rows `{key, cells, state}`, and below them `more`, which says what is left out. Hides an
   * empty table.
   */
  show(rows, more = "") {
    setShown(this.node, rows.length > 0);
    this.rows.show(rows);
    setText(this.more, more);
    setShown(this.more, more !== "");
  }
}

function rowNode(columns) {
  const cells = Array.from({ length: columns }, (_, index) => (index === 0 ? el("th", { scope: "row" }) : el("td")));
  const node = el("tr", {}, ...cells);
  const update = (row) => {
    row.cells.forEach((text, index) => setText(cells[index], text));
    setAttribute(node, "data-state", row.state);
  };
  return { node, update };
}
