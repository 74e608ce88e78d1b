// The circle: where an id stands on it, and elements of SVG and HTML.

export const RADIUS = 150;

// Where an id stands: 0 is at the top, and it goes round as a clock does.
export function place(id, radius = RADIUS) {
  const turn = (parseInt(id.slice(0, 8), 16) / 2 ** 32) * 2 * Math.PI;
  return { x: radius * Math.sin(turn), y: -radius * Math.cos(turn) };
}

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function line(from, to, kind) {
  const [a, b] = [place(from), place(to)];
  return svg("line", { class: kind, x1: a.x, y1: a.y, x2: b.x, y2: b.y });
}

// The time of day, for people.
export function clock(date = new Date()) {
  return html("time", { datetime: date.toISOString() }, date.toLocaleTimeString());
}

// Adds a line to a log, which follows it if its end was in view, and forgets the oldest.
export function append(log, item, before, limit) {
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  log.insertBefore(item, before);
  while (log.children.length > limit) log.firstChild.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}
