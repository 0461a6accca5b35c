// Elements are only ever made here: text goes in as text, so nothing a model or a client wrote becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; a string child is text, null is left out. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

/** Puts `children` into `parent` if `data` is not what it showed before, so that an unchanged view stays still. */
export function show(parent, data, children) {
  const shown = JSON.stringify(data);
  if (parent.hearthShown === shown) return;
  parent.hearthShown = shown;
  parent.replaceChildren(...children().flat().filter((child) => child !== null));
}
