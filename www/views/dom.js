// The only functions of this page that change the document. They write text by `textContent` and
// styles as custom properties through the CSSOM, so that no text of the server becomes markup and
// the strictest content security policy holds.

/** Makes an element with attributes and children. A child that is a string becomes text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * Sets a node's text if it differs: a node that is left alone keeps the reader's selection and
 * costs no layout.
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute if it differs; null removes it. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Sets a custom property if it differs. */
export function setProperty(node, name, value) {
  if (node.style.getPropertyValue(name) !== String(value)) node.style.setProperty(name, String(value));
}

/** Shows or hides a node. */
export function setShown(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/**
 * Keeps the children of an element, one for each item, in the items' order. A child is made once
 * for each `item.key` and then updated in place, so that focus, selection and transitions outlive
 * an update.
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

  /** Makes, updates, moves and removes children, so that they are those of `items`. */
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
