const SVG = 'http://www.w3.org/2000/svg';

export const byId = (id) => document.getElementById(id);

/** `el('p', { className: 'note', text: 'hi', data: { userId } }, child, ...)`: text is always text, never markup. */
export function el(tag, { text, data, attrs, ...props } = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, props);
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(data ?? {})) node.dataset[key] = value;
  for (const [key, value] of Object.entries(attrs ?? {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const use = document.createElementNS(SVG, 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `/assets/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Changes the symbol of an existing icon. */
export function setIcon(parent, name) {
  const href = `/assets/icons.svg#${name}`;
  const use = parent.querySelector('use');
  if (use && use.getAttribute('href') !== href) use.setAttribute('href', href);
}

/** Sets a text only if it changes: setting it sixty times a second would drop selections and trigger screen readers. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
