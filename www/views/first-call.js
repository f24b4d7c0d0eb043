// Draws the section that shows how to make a first call through a connection.

import { Rows, el, setShown, setText } from "./dom.js";
import { firstCall } from "../model/first-call.js";

export class FirstCallView {
  constructor(root, origin) {
    this.origin = origin;
    this.section = root.querySelector("#guide");
    this.select = root.querySelector("#guide-connection");
    this.base = root.querySelector("#guide-base");
    this.examples = new Rows(root.querySelector("#guide-examples"), exampleNode);
    this.options = new Rows(this.select, optionNode);
    this.vendors = new Map();
    this.shape = "";
    this.select.addEventListener("change", () => this.draw());
  }

  /** Shows the choice of connections, which are rows of the board. */
  show(connections) {
    setShown(this.section, connections.length > 0);
    const shape = JSON.stringify(connections.map((row) => [row.key, row.rawVendor]));
    if (shape === this.shape) return;
    this.shape = shape;
    this.vendors = new Map(connections.map((row) => [row.key, row.rawVendor]));
    this.options.show(connections);
    this.draw();
  }

  draw() {
    const name = this.select.value;
    if (!this.vendors.has(name)) return;
    const { base, examples } = firstCall(this.origin, name, this.vendors.get(name));
    setText(this.base, base);
    this.examples.show(examples);
  }
}

function optionNode({ key }) {
  const node = el("option", { value: key });
  return { node, update: (row) => setText(node, row.vendor ? `${row.name} (${row.vendor})` : row.name) };
}

function exampleNode() {
  const [title, code, copy] = [el("h3"), el("code"), el("button", { type: "button" }, "Copy")];
  copy.addEventListener("click", async () => {
    const done = await navigator.clipboard.writeText(code.textContent).then(() => "Copied", () => "Select and copy by hand");
    setText(copy, done);
    setTimeout(() => setText(copy, "Copy"), 2_000);
  });
  const block = el("pre", { tabindex: "0", role: "group" }, code);
  const node = el("div", { class: "example" }, el("div", { class: "example-head" }, title, copy), block);
  const update = (example) => {
    setText(title, example.title);
    setText(code, example.code);
    block.setAttribute("aria-label", example.title);
    copy.setAttribute("aria-description", example.title);
  };
  return { node, update };
}
