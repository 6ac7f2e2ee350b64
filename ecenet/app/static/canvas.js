// The canvas of the What if tab. gr.HTML runs this script once and provides `element`, `props`, `trigger` and `watch`.
// A stroke is sent when it ends; the server returns the whole region as a picture.
const box = element.querySelector('.ece-canvas');
// Names of props: the painted region as a data URI, and the values of the controls. They are not quoted, because
// gr.HTML takes quoted words for event names.
const [REGION, TOOL, RADIUS] = Object.keys({ region: null, tool: null, radius: null });
const TINT = 'rgba(255, 200, 0, 0.55)';
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const tools = { tool: 'brush', radius: 12 };
let size = [1, 1];
let stroke = null; // points of the stroke that is being painted
let cursor = null; // position of the keyboard's crosshair
let canvas = null;

function setup() {
  stroke = cursor = canvas = null;
  box.replaceChildren();
  if (!props.value) return;
  const { photo, name, width, height, help } = JSON.parse(props.value);
  size = [width, height];
  box.style.setProperty('--photo-ratio', width / height);
  const picture = Object.assign(document.createElement('img'), { src: photo, alt: `${name}, to paint on` });
  canvas = Object.assign(document.createElement('canvas'), { width, height, tabIndex: 0 });
  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-label', help);
  const cross = Object.assign(document.createElement('span'), { className: 'ece-cross', hidden: true });
  box.append(picture, canvas, cross);
  showRegion();
}

async function showRegion() {
  if (!canvas) return;
  const [target, address] = [canvas, props.region];
  const image = new Image();
  if (address) {
    image.src = address;
    await image.decode();
  }
  // A stroke that was started meanwhile is drawn over the region.
  if (target !== canvas) return;
  const context = canvas.getContext('2d');
  context.clearRect(0, 0, ...size);
  if (address) context.drawImage(image, 0, 0, ...size);
  if (stroke) stroke.forEach((_, index) => drawPoint(index));
}

function drawPoint(index) {
  const context = canvas.getContext('2d');
  const [x, y] = stroke[index];
  context.fillStyle = context.strokeStyle = tools.tool === 'erase' ? 'rgba(120, 120, 120, 0.5)' : TINT;
  if (tools.tool === 'box') {
    if (index !== stroke.length - 1) return;
    context.lineWidth = Math.max(2, size[0] / 200);
    context.strokeRect(stroke[0][0], stroke[0][1], x - stroke[0][0], y - stroke[0][1]);
  } else if (tools.tool !== 'pick') {
    context.lineCap = 'round';
    context.lineWidth = 2 * tools.radius;
    context.beginPath();
    context.moveTo(...stroke[Math.max(0, index - 1)]);
    context.lineTo(x + 0.01, y);
    context.stroke();
  }
}

function pointUnder(event) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const place = [(event.clientX - left) / width * size[0], (event.clientY - top) / height * size[1]];
  return place.map((value) => Math.round(10 * value) / 10);
}

function add(point) {
  // Longer strokes than the server accepts are split.
  if (stroke.length >= 2000) {
    send();
    stroke = [];
  }
  stroke.push(point);
  if (tools.tool === 'box') showRegion();
  else drawPoint(stroke.length - 1);
}

function send() {
  const points = tools.tool === 'box' ? [stroke[0], stroke.at(-1)] : stroke;
  trigger('stroke', { tool: tools.tool, points, radius: tools.radius });
}

const ours = (event) => canvas && event.target === canvas;

element.addEventListener('pointerdown', (event) => {
  if (!ours(event) || event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  stroke = [];
  add(pointUnder(event));
});

element.addEventListener('pointermove', (event) => {
  if (stroke && ours(event)) add(pointUnder(event));
});

element.addEventListener('pointerup', () => {
  if (!stroke) return;
  send();
  stroke = null;
});

element.addEventListener('pointercancel', () => {
  stroke = null;
  showRegion();
});

function place(point) {
  cursor = point;
  const cross = box.querySelector('.ece-cross');
  cross.hidden = !point;
  if (!point) return;
  cross.style.left = `${100 * point[0] / size[0]}%`;
  cross.style.top = `${100 * point[1] / size[1]}%`;
}

element.addEventListener('keydown', (event) => {
  if (!ours(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  const now = cursor ?? size.map((side) => side / 2);
  const step = STEPS[event.key];
  if (step) {
    const far = event.shiftKey ? 1 : Math.max(1, Math.round(size[0] / 40));
    place(now.map((value, axis) => Math.max(0, Math.min(size[axis] - 1, value + far * step[axis]))));
  } else if (event.key === 'Enter' || event.key === ' ') {
    place(now);
    // A box takes two key presses, one for each corner.
    stroke = tools.tool === 'box' && stroke ? [stroke[0], now] : [now];
    if (tools.tool !== 'box' || stroke.length === 2) {
      send();
      stroke = null;
    }
  } else if (event.key === 'Escape') {
    stroke = null;
    place(null);
    showRegion();
  } else {
    return;
  }
  event.preventDefault();
});

element.addEventListener('focusout', () => { if (canvas) place(null); });
watch([TOOL, RADIUS], () => Object.assign(tools, { tool: props.tool, radius: props.radius }));
watch('value', setup);
watch(REGION, showRegion);
setup();
