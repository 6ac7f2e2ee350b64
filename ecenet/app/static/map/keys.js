// Points of a flat map by keyboard: with the map focused, arrow keys go to the nearest point in their direction. map.js
// uses it.
const KEY_RESTS = 250; // milliseconds after the last key, when the server is told where it led
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LEAST_STEP = 0.5; // pixels; points that lie on each other are one

// The nearest of places {x, y} within 45° of a direction; undefined where there is none.
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

// `places` gives the points that can be reached, as {row, x, y} in pixels of `box`, and `current` the row of the
// selected one; `show` marks a place at once, `choose` is given its row once the keys rest.
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
