// Draws plain data: h() describes elements, draw() makes a place of the page equal to them.
// Text only ever becomes text nodes and attribute values: nothing that came over the wire is
// ever read as HTML. Elements are reused, so focus, scroll and open <details> outlive a frame.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "use", "path", "rect", "line", "g", "circle"]);

/** What an element was last told; an attribute is touched only when it changes. */
const told = new WeakMap();

/**
 * Describe one element. Props are attributes, except: `key` (who it is among its siblings),
 * `vars` (CSS custom properties: the policy forbids style attributes), `own` (its children are
 * somebody else's, e.g. a chart's). null, undefined and false leave an attribute or child out.
 */
export function h(tag, props, ...children) {
  const { key, vars, own, ...attributes } = props ?? {};
  return { tag, key, vars, own, attributes, children: children.flat(Infinity).filter(isThere) };
}

const isThere = (child) => child !== null && child !== undefined && child !== false && child !== "";

/** Make the children of `place` equal to `wanted` (one description, a text, or a list). */
export function draw(place, wanted) {
  children(place, [wanted].flat(Infinity).filter(isThere));
}

function children(place, wanted) {
  const keyed = new Map();
  const others = [];
  for (const node of place.childNodes) {
    const key = told.get(node)?.key;
    if (key === undefined) others.push(node);
    else keyed.set(key, node);
  }
  let next = place.firstChild;
  for (const child of wanted) {
    const node = found(child, keyed, others) ?? made(child);
    if (node === next) next = next.nextSibling;
    else place.insertBefore(node, next);
    if (typeof child === "object") tell(node, child);
    else if (node.data !== String(child)) node.data = String(child);
  }
  for (const node of [...keyed.values(), ...others]) node.remove();
}

/** Take a present node that may become `child` out of the pools. */
function found(child, keyed, others) {
  if (typeof child !== "object") return taken(others, (node) => node.nodeType === Node.TEXT_NODE);
  if (child.key === undefined) return taken(others, (node) => node.localName === child.tag);
  const node = keyed.get(child.key);
  if (node?.localName !== child.tag) return undefined;
  keyed.delete(child.key);
  return node;
}

function taken(nodes, fits) {
  const at = nodes.findIndex(fits);
  return at < 0 ? undefined : nodes.splice(at, 1)[0];
}

function made(child) {
  if (typeof child !== "object") return document.createTextNode(String(child));
  if (SVG_TAGS.has(child.tag)) return document.createElementNS(SVG, child.tag);
  return document.createElement(child.tag);
}

function tell(node, child) {
  const before = told.get(node) ?? { attributes: {}, vars: {} };
  attributes(node, before.attributes, child.attributes);
  variables(node, before.vars ?? {}, child.vars ?? {});
  told.set(node, { key: child.key, attributes: child.attributes, vars: child.vars });
  if (!child.own) children(node, child.children);
}

function attributes(node, before, now) {
  for (const [name, value] of Object.entries(now)) {
    if (value === before[name]) continue;
    if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const name of Object.keys(before)) if (!(name in now)) node.removeAttribute(name);
}

function variables(node, before, now) {
  for (const [name, value] of Object.entries(now))
    if (value !== before[name]) node.style.setProperty(name, value);
  for (const name of Object.keys(before)) if (!(name in now)) node.style.removeProperty(name);
}
