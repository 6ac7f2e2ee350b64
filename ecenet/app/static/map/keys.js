// Keyboard navigation of a 2D map: when the map has focus, arrow keys select the nearest point in their direction. Used
// by map.js.
const KEY_RESTS = 250; // milliseconds after the last key before the server is notified
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LEAST_STEP = 0.5; // pixels; nearer points count as one

// The nearest place {x, y} within 45° of a direction, or undefined.
const nearestAlong = (places, from, [right, down]) => {
  let best, least = Infinity;
  for (const place of places) {
    const [dx, dy] = [place.x - from.x, place.y - from.y];
    const along = dx * right + dy * down, aside = Math.abs(dx * down - dy * right);
    const distance = Math.hypot(dx, dy);
    if (along < LEAST_STEP || aside > along || distance >= least) continue;
    [best, least] = [place, distance];
  }
  return best;
};

// `places` returns the reachable points as {row, x, y} in pixels of `box`, `current` the row of the selected point.
// `show` marks a place immediately; `choose` is called with its row after the last key.
const mapKeys = (box, { places, current, show, choose }) => {
  let resting = 0;

  box.addEventListener('keydown', (event) => {
    const direction = ARROWS[event.key];
    if (!direction || event.target !== box || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const all = places();
    if (!all.length) return;
    event.preventDefault();
    const from = all.find(({ row }) => row === current());
    const middle = { x: box.offsetWidth / 2, y: box.offsetHeight / 2 };
    const distance = ({ x, y }) => Math.hypot(x - middle.x, y - middle.y);
    const nearestToMiddle = () => all.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    const next = from ? nearestAlong(all, from, direction) : nearestToMiddle();
    if (!next) return;
    show(next);
    clearTimeout(resting);
    resting = setTimeout(() => choose(next.row), KEY_RESTS);
  });
};
