// The picture of the Segment tab. gr.HTML runs this script once, as the body of a function of `element`, `props`,
// `trigger` and `watch`. It updates the picture without the server, from the planes of all stages, which
// ecenet/app/widgets/pixel_planes.py has sent, and from the controls, which send their values as props. planes.js,
// region_names.js, least_confidence.js, legend.js and page/stage_moves.js are placed before it.
const VEIL = 0xa0000000;
const LINE = {light: 0xffffffff, dark: 0xff000000};
const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

// Names of props: the values of the controls, and the selected pixel as "x,y". They are not quoted, because gr.HTML
// takes quoted words for event names.
const [STAGE, MODE, BOUNDARIES, NAMES, UNSURE, OPACITY, LEAST, MARKER, CHOSEN] = Object.keys({
  stage: null, mode: null, boundaries: null, names: null, unsure: null, opacity: null, least: null, marker: null,
  chosen: null,
});
const find = (selector) => element.querySelector(selector);
const findAll = (selector) => [...element.querySelectorAll(selector)];

// `pixel` is the selected pixel, `cursor` the one under the pointer; both are [x, y] in the photo or null. `highlight`
// is a class, DOUBTFUL or null.
const state = {
  stage: null, mode: 'classes', boundaries: false, opacity: null, pixel: null, cursor: null, keyboard: false,
  highlight: null, names: true, unsure: true, least: 0,
};
let layers = new Map();
let classes = [];
let size = [1, 1];
let unsureBelow = null; // confidence threshold of the final stage in percent

function setup() {
  layers = new Map();
  state.cursor = null;
  state.highlight = null;
  legend.forget();
  const photo = find('.ece-photo');
  if (!photo) return;
  classes = JSON.parse(photo.dataset.classes);
  size = JSON.parse(photo.dataset.size);
  unsureBelow = JSON.parse(photo.dataset.unsureBelow);
  widths.observe(photo);
  draw();
  keepChosen();
}

// Decoding

// Returns the planes of a stage, or null until they are decoded; then everything is drawn again.
function layer(stage) {
  if (!layers.has(stage)) {
    const asked = layers;
    asked.set(stage, null);
    decode(maskOf(stage).dataset.planes).then((decoded) => {
      asked.set(stage, decoded);
      if (asked === layers) draw();
    });
  }
  return layers.get(stage);
}

const maskOf = (stage) => find(`.ece-mask[data-stage="${stage}"]`);

function stageBefore(stage) {
  const stages = findAll('.ece-mask[data-stage]').map((mask) => mask.dataset.stage);
  return stages[stages.indexOf(stage) - 1] ?? null;
}

// Drawing

function draw() {
  const photo = find('.ece-photo');
  if (!photo) return;
  if (!state.stage || !maskOf(state.stage)) state.stage = find('.ece-mask[data-stage]:not([hidden])').dataset.stage;
  findAll('[data-stage]').forEach((item) => { item.hidden = item.dataset.stage !== state.stage; });
  moves.show(state.stage);
  findAll('[data-scale]').forEach((item) => { item.hidden = item.dataset.scale !== state.mode; });
  if (state.opacity !== null) find('.ece-segment').style.setProperty('--mask-opacity', state.opacity);
  photo.dataset.mode = state.mode;
  const shown = layer(state.stage);
  writeAreas(element, shown && state.least ? sureShares(shown, state.least) : null, state.least);
  legend.refresh();
  paintMode(shown);
  paintUnsure(shown);
  paintFaded(find('.ece-faded'), shown, state.least);
  paintLines(shown);
  writeNames(shown);
  place(find('.ece-marker'), state.pixel);
  drawCursor();
}

function paintMode(shown) {
  const canvas = find('.ece-paint');
  const before = state.mode === 'changed' ? stageBefore(state.stage) : null;
  const earlier = before && layer(before);
  if (state.mode === 'changed') tellChange(shown, before, earlier);
  if (!shown || state.mode === 'classes' || (state.mode === 'changed' && !earlier)) return clear(canvas);
  const colors = scaleColors(find('[data-gradient]').dataset.gradient);
  const plane = shown.planes[state.mode === 'entropy' ? ENTROPY : TOP];
  if (state.mode === 'changed') {
    fill(canvas, shown, (i) => colors[shown.planes[0][i] === earlier.planes[0][i] ? 0 : 255]);
  } else {
    fill(canvas, shown, (i) => colors[Math.round(2.55 * plane[i])]);
  }
}

function tellChange(shown, before, earlier) {
  const line = find('.ece-change');
  if (!before) {
    line.textContent = 'the coarse mask is the first stage, so nothing changes here';
  } else if (shown && earlier) {
    const changed = shown.planes[0].reduce((sum, k, i) => sum + (k !== earlier.planes[0][i]), 0);
    const share = (100 * changed / shown.planes[0].length).toFixed(1);
    line.textContent = `${share} % of the pixels changed class since ${maskOf(before).dataset.title}`;
  }
}

// Whether a pixel counts as unsure; see ecenet/inference/unsure.py.
const isUnsure = (shown, i) => unsureBelow !== null && finalShown() && shown.planes[TOP][i] < unsureBelow;
const finalShown = () => maskOf(state.stage) === findAll('.ece-mask[data-stage]').at(-1);

function paintUnsure(shown) {
  const canvas = find('.ece-hatch');
  if (!shown || !state.unsure || state.mode !== 'classes' || unsureBelow === null || !finalShown()) return clear(canvas);
  hatch(canvas, shown, (i) => isUnsure(shown, i));
}

function writeNames(shown) {
  const box = find('.ece-names');
  drawNames(box, state.names && state.mode === 'classes' ? shown : null, classes);
  if (shown) fadeNames(box, shown, state.least);
}

// The photo's width changes with the window, and when its tab is shown.
const widths = new ResizeObserver(() => {
  const photo = find('.ece-photo');
  if (photo && state.stage) writeNames(layer(state.stage));
});

// Class borders, light beside dark so that they are visible on any background, and a veil over all other classes if one
// is highlighted.
function paintLines(shown) {
  const canvas = find('.ece-lines');
  if (!shown || (!state.boundaries && state.highlight === null)) return clear(canvas);
  const labels = shown.planes[0];
  const {width} = shown;
  const border = (i, neighbour) => neighbour < labels.length && labels[i] !== labels[neighbour];
  fill(canvas, shown, (i) => {
    const column = i % width;
    if (state.boundaries) {
      if ((column < width - 1 && border(i, i + 1)) || border(i, i + width)) return LINE.light;
      if ((column > 0 && border(i - 1, i)) || (i >= width && border(i - width, i))) return LINE.dark;
    }
    if (state.highlight === null) return 0;
    return (state.highlight === DOUBTFUL ? isUnsure(shown, i) : labels[i] === state.highlight) ? 0 : VEIL;
  });
}

// The pixel under the pointer

function place(item, pixel) {
  item.hidden = !pixel;
  if (!pixel) return;
  item.style.left = `${100 * (pixel[0] + 0.5) / size[0]}%`;
  item.style.top = `${100 * (pixel[1] + 0.5) / size[1]}%`;
}

function moveCursor(pixel, {keyboard}) {
  state.cursor = pixel;
  state.keyboard = keyboard;
  drawCursor();
}

function drawCursor() {
  place(find('.ece-cross'), state.keyboard ? state.cursor : null);
  const tip = find('.ece-tip');
  const shown = state.cursor && layer(state.stage);
  tip.hidden = !shown;
  // Screen readers announce it for the keyboard only; with a mouse it would change too often.
  tip.setAttribute('aria-live', state.keyboard ? 'polite' : 'off');
  if (!shown) return;
  tip.replaceChildren(...tipRows(shown, state.cursor));
  const box = find('.ece-photo').getBoundingClientRect();
  const [x, y] = state.cursor.map((value, axis) => (value + 0.5) / size[axis] * (axis ? box.height : box.width));
  const above = y - tip.offsetHeight - 14;
  tip.style.left = `${Math.max(0, Math.min(x + 12, box.width - tip.offsetWidth))}px`;
  tip.style.top = `${above >= 0 ? above : y + 20}px`;
}

function tipRows(shown, [x, y]) {
  const column = Math.floor((x + 0.5) * shown.width / size[0]);
  const row = Math.floor((y + 0.5) * shown.height / size[1]);
  const values = shown.planes.map((plane) => plane[row * shown.width + column]);
  const rows = [];
  const doubt = isUnsure(shown, row * shown.width + column) ? 'unsure: best guess ' : '';
  for (let rank = 0; rank < TOP; rank++) {
    const known = classes[values[rank]];
    // The runner-up is always shown, the third class only if it is not 0 %.
    if (known && (rank < 2 || values[TOP + rank] > 0)) rows.push(classRow(known, values[TOP + rank], rank ? '' : doubt));
  }
  const note = document.createElement('small');
  const uncertainty = state.mode === 'entropy' ? `entropy ${(values[ENTROPY] / 100).toFixed(2)}, ` : '';
  const selected = state.pixel && state.pixel[0] === x && state.pixel[1] === y ? ', selected' : '';
  note.textContent = `${uncertainty}x ${x}, y ${y}${selected}`;
  return [...rows, note];
}

function select(pixel) {
  state.pixel = pixel;
  place(find('.ece-marker'), pixel);
  drawCursor();
  trigger('pixel', {x: pixel[0], y: pixel[1]});
}

// Events. The listeners are on `element`, because its content is replaced with every photo.

const clamp = ([x, y]) => [Math.max(0, Math.min(size[0] - 1, x)), Math.max(0, Math.min(size[1] - 1, y))];
const isPhoto = (event) => event.target.closest('.ece-photo') !== null;

function pixelUnder(event) {
  const box = find('.ece-photo').getBoundingClientRect();
  return clamp([
    Math.floor((event.clientX - box.left) / box.width * size[0]),
    Math.floor((event.clientY - box.top) / box.height * size[1]),
  ]);
}

element.addEventListener('pointermove', (event) => {
  if (event.pointerType === 'touch' || !find('.ece-photo')) return;
  if (isPhoto(event)) moveCursor(pixelUnder(event), {keyboard: false});
  else if (!state.keyboard) moveCursor(null, {keyboard: false});
});

element.addEventListener('pointerleave', (event) => {
  if (event.pointerType !== 'touch' && !state.keyboard && find('.ece-photo')) moveCursor(null, {keyboard: false});
});

element.addEventListener('click', (event) => {
  const frame = event.target.closest('[data-frame]');
  // A picture of the filmstrip sets the hidden stage picker, a Gradio control.
  if (frame) document.querySelectorAll('#stage-picker input')[findAll('[data-frame]').indexOf(frame)].click();
  if (!isPhoto(event)) return;
  moveCursor(pixelUnder(event), {keyboard: false});
  select(state.cursor);
});

element.addEventListener('focusin', (event) => {
  if (!event.target.matches('.ece-photo:focus-visible')) return;
  moveCursor(state.pixel ?? size.map((side) => Math.floor(side / 2)), {keyboard: true});
});

element.addEventListener('focusout', (event) => {
  if (isPhoto(event)) moveCursor(null, {keyboard: false});
});

element.addEventListener('keydown', (event) => {
  if (!isPhoto(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  const now = state.cursor ?? state.pixel ?? size.map((side) => Math.floor(side / 2));
  const step = STEPS[event.key];
  if (step) {
    const grid = JSON.parse(maskOf(state.stage).dataset.grid);
    const cell = size.map((side, axis) => (event.shiftKey ? 1 : Math.max(1, Math.round(side / grid[axis]))));
    moveCursor(clamp([now[0] + step[0] * cell[0], now[1] + step[1] * cell[1]]), {keyboard: true});
  } else if (event.key === 'Enter' || event.key === ' ') {
    moveCursor(now, {keyboard: true});
    select(now);
  } else if (event.key === 'Escape') {
    moveCursor(null, {keyboard: false});
  } else {
    return;
  }
  event.preventDefault();
});

// Highlights the class of a legend row; a pressed row also selects its class in all tabs.
const legend = legendOf(element, (shown) => {
  if (!find('.ece-photo')) return;
  state.highlight = shown;
  paintLines(layer(state.stage));
}, (index) => trigger('pick', {class_index: index}));

function keepChosen() {
  legend.keep(props.chosen ? Number(props.chosen) : null);
}

const moves = stageMoves(element);
for (const name of [STAGE, MODE, BOUNDARIES, NAMES, UNSURE, OPACITY, LEAST]) {
  watch(name, () => {
    state[name] = props[name];
    draw();
  });
}
watch(MARKER, () => {
  state.pixel = props.marker ? props.marker.split(',').map(Number) : null;
  draw();
});
watch(CHOSEN, keepChosen);
watch('value', setup);
setup();
