// The map of the Pixel tab: a click selects a pixel, and dragging a box searches for it in the other photos. gr.HTML
// runs this once with `element` and `trigger`. Only mice and pens drag, because fingers scroll the page.
const LEAST = 6; // minimum length of a drag in screen pixels
let from = null; // where the pointer went down
let frame = null; // the box on the picture
let dragged = false;

const pictureOf = (event) => event.target.closest('.ece-decided');

function pixelUnder(picture, event) {
  const box = picture.getBoundingClientRect();
  const at = (offset, length, pixels) => Math.min(pixels - 1, Math.max(0, Math.floor(offset / length * pixels)));
  return [
    at(event.clientX - box.left, box.width, Number(picture.dataset.width)),
    at(event.clientY - box.top, box.height, Number(picture.dataset.height)),
  ];
}

function drawBox(picture, one, other) {
  if (!frame?.isConnected) frame = picture.appendChild(document.createElement('i'));
  const sides = [Number(picture.dataset.width), Number(picture.dataset.height)];
  const share = (value, axis) => `${100 * value / sides[axis]}%`;
  const low = one.map((value, axis) => Math.min(value, other[axis]));
  const high = one.map((value, axis) => Math.max(value, other[axis]) + 1);
  Object.assign(frame.style, {
    left: share(low[0], 0), top: share(low[1], 1), width: share(high[0] - low[0], 0), height: share(high[1] - low[1], 1),
  });
}

element.addEventListener('dragstart', (event) => event.preventDefault()); // the picture itself
element.addEventListener('pointerdown', (event) => {
  dragged = false;
  const picture = pictureOf(event);
  if (!picture || event.button !== 0 || event.pointerType === 'touch') return;
  picture.setPointerCapture(event.pointerId);
  from = [event.clientX, event.clientY, ...pixelUnder(picture, event)];
});
element.addEventListener('pointermove', (event) => {
  const picture = pictureOf(event);
  if (!from || !picture) return;
  dragged ||= Math.hypot(event.clientX - from[0], event.clientY - from[1]) >= LEAST;
  if (dragged) drawBox(picture, from.slice(2), pixelUnder(picture, event));
});
element.addEventListener('pointerup', (event) => {
  const picture = pictureOf(event);
  if (from && picture && dragged) {
    const [x, y] = from.slice(2);
    const [toX, toY] = pixelUnder(picture, event);
    trigger('box', {x, y, to_x: toX, to_y: toY});
  }
  from = null;
});
element.addEventListener('pointercancel', () => { from = null; });
element.addEventListener('click', (event) => {
  const picture = pictureOf(event);
  if (!picture || dragged) return; // a drag ends with a click
  frame?.remove();
  const [x, y] = pixelUnder(picture, event);
  trigger('click', {x, y});
});
