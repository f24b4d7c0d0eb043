// The few ways in which this page touches the document. Text goes in by `textContent` alone, styles by custom
// properties through CSSOM, so that no text of the server's is ever markup and the strictest policy holds.

/** An element with attributes and children; a string child becomes text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets text where it differs: an unchanged node keeps the reader's selection and costs no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute where it differs; null removes it. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Sets a custom property where it differs. */
export function setProperty(node, name, value) {
  if (node.style.getPropertyValue(name) !== String(value)) node.style.setProperty(name, String(value));
}

/** Shows or hides. */
export function setShown(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/**
 * The children of one parent, one for each item by `item.key`: made once, then updated in place, in the items' order.
 * Focus, selection and transitions outlive an update.
 */
export class Rows {
  /**
   * @param {Element} parent
   * @param {(item: object) => {node: Element, update: (item: object) => void}} make
   */
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.rows = new Map();
  }

  show(items) {
    const gone = new Set(this.rows.keys());
    let before = this.parent.firstElementChild;
    for (const item of items) {
      let row = this.rows.get(item.key);
      if (!row) {
        row = this.make(item);
        this.rows.set(item.key, row);
      }
      gone.delete(item.key);
      row.update(item);
      if (row.node === before) before = before.nextElementSibling;
      else this.parent.insertBefore(row.node, before);
    }
    for (const key of gone) {
      this.rows.get(key).node.remove();
      this.rows.delete(key);
    }
  }
}
