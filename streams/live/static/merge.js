// A frame carries what is new: the last points of each line and the decisions since the frame
// before; what the observer tells comes when it has changed. Put into what is known, which never grows beyond what the server keeps.

const TAIL = 50;

/** The whole page after `frame`, given the whole page `before` it. */
export function merged(before, frame) {
  const oldest = frame.clock.now - frame.clock.kept;
  lines(before.health.tiles, frame.health.tiles, oldest);
  lines(before.traffic.sources, frame.traffic.sources, oldest);
  lines(before.channels.channels, frame.channels.channels, oldest);
  if (frame.channels.observer.state !== "absent") frame.observed ??= before.observed;
  frame.tail.decisions = [...frame.tail.decisions, ...before.tail.decisions].slice(0, TAIL);
  return frame;
}

function lines(before, now, oldest) {
  const known = new Map(before.map((each) => [each.name, each.history]));
  for (const each of now) each.history = joined(known.get(each.name) ?? [], each.history, oldest);
}

/** Points in order of time: of two of the same time the newer word counts. */
export function joined(points, newer, oldest) {
  const from = newer.length ? newer[0][0] : Infinity;
  return [...points.filter(([at]) => at < from && at >= oldest), ...newer];
}
