// Draws the figure from the server with Plotly, and sends clicks as events: 'point' for one point, 'lasso' for several.
// Runs once for each map; `element`, `props`, `trigger` and `watch` come from Gradio.
const box = element.querySelector('.ece-plot'), said = element.querySelector('.ece-map-said');
// Fingers scroll the page; the buttons next to the map can zoom.
const touch = matchMedia('(pointer: coarse)').matches;
// Remove Plotly's upload button, which would send names of photos.
const config = {
  displaylogo: false,
  scrollZoom: !touch,
  showSendToCloud: false,
  plotlyServerURL: '',
  modeBarButtonsToRemove: ['resetScale2d'],
  doubleClick: false, // otherwise a quick second drag would count as a double click
};
// Props: the ring around the selected point, the stage, pictures of the photos. (gr.HTML interprets quoted words as
// names of events.)
const [RING, STAGE, PHOTOS] = Object.keys({ ring: null, stage: null, photos: null });
// Gradio's plots load another Plotly under the same global name, which would remove our event handlers.
const plotly = (window.ecenetPlotly ??= window.Plotly);
const card = mapHover(element.querySelector('.ece-map-card'));
let map = null; // key of the current map
let points = {}; // points of the session's photos
let flat = true;
let ringTrace = -1;
let walked = null; // ring of the point selected by keys, until the server confirms it
let deepAsked = false; // whether the user wants 3D despite many points
let pending = true;
let home = null; // axis ranges that contain all stages, for one map per stage
let view = null; // visible part of a 2D map: its key and the ranges of both axes
let work = Promise.resolve(); // queue, because Plotly draws asynchronously

const say = (text) => {
  if (map) plotly.purge(box);
  map = null;
  card.hide();
  stages.load({}, {});
  box.innerHTML = '';
  box.append(Object.assign(document.createElement('p'), { className: 'ece-empty', textContent: text }));
};

const offerFlat = (count) => {
  say(`Drawing and rotating ${count.toLocaleString('en')} points in three dimensions is slow.`);
  const button = (textContent, act) => {
    const look = { type: 'button', className: 'ece-play', textContent };
    const made = Object.assign(document.createElement('button'), look);
    made.addEventListener('click', act);
    return made;
  };
  box.firstChild.append(
    document.createElement('br'),
    // Click the Gradio control for the number of dimensions.
    button('Show in 2D', () => document.querySelector('#projection-dimensions input').click()),
    ' ',
    button('Show in 3D anyway', () => { deepAsked = true; then(draw); }),
  );
};

const rows = (event) => (event?.points ?? []).map((point) => point.customdata).filter(Number.isInteger);

const MOST_DEEP = 10000; // maximum number of points that Plotly rotates smoothly in 3D
const NO_DEPTH = 'Three dimensions need WebGL, which this browser does not support. Choose two dimensions.';

const then = (job) => { work = work.then(job).catch((error) => console.error(error)); };

const webgl = mapWebgl({ note: element.querySelector('.ece-map-note'), redraw: () => then(redraw) });

// The stage shown, for one map per stage; null if all stages are shown together.
let stage = null;
const asked = []; // stages selected here that the server has not confirmed yet
const stages = stageMaps({
  strip: element.querySelector('.ece-stage-maps'),
  pick: (name) => {
    then(() => goTo(name));
    if (name === (asked.at(-1) ?? props[STAGE])) return;
    asked.push(name);
    // Use the stage control of the Segment tab, which all tabs follow.
    document.querySelectorAll('#stage-picker input')[stages.names().indexOf(name)]?.click();
  },
});

const moves = moveSmoothly(box, {
  movable: () => map && flat && webgl.works && box.layout.dragmode === 'pan',
  rest: async (x, y) => {
    then(() => map && flat && plotly.relayout(box, { 'xaxis.range': x, 'yaxis.range': y }));
    await work;
  },
});

// The points visible in a 2D map, in pixels of the box.
const places = () => {
  if (!map || !flat) return [];
  const { xaxis, yaxis } = box._fullLayout;
  const inside = (place, length) => place >= 0 && place <= length;
  return box._fullData.flatMap((trace, t) => (trace.customdata && trace.visible === true
    ? [...trace.customdata].map((row, i) => ({ row, trace: t, i, x: xaxis.l2p(trace.x[i]), y: yaxis.l2p(trace.y[i]) }))
    : [])
  ).filter(({ x, y }) => inside(x, xaxis._length) && inside(y, yaxis._length))
    .map((place) => ({ ...place, x: xaxis._offset + place.x, y: yaxis._offset + place.y }));
};

// On every redraw, Plotly shows a label at the last position of the pointer, even if another point is there now.
const leavePointer = () => {
  box.classList.add('ece-quiet');
  card.hide();
};

const choose = (index) => trigger('point', { map, index });

const picks = mapPicks(box, {
  tell: (points) => trigger('lasso', { map, points }),
  clear: () => then(async () => {
    if (!map || !box._fullLayout.selections?.length) return;
    const picked = box.data.flatMap((trace, i) => (trace.selectedpoints ? [i] : []));
    await plotly.update(box, { selectedpoints: null }, { selections: [] }, picked);
    picks.count();
  }),
});

mapKeys(box, {
  places,
  current: () => (walked ?? props.ring)?.index,
  show: ({ row, trace, i, x, y }) => {
    const data = box._fullData[trace];
    walked = { map, index: row, at: [data.x[i], data.y[i]], size: data.marker.size[i] };
    said.textContent = data.text[i].replaceAll(/<[^>]*>/g, ' ');
    leavePointer();
    card.show(row, { x, y }, said.textContent);
    then(drawRing);
  },
  choose,
});
box.addEventListener('blur', card.hide);
box.addEventListener('pointerdown', card.hide);
box.addEventListener('pointermove', () => box.classList.remove('ece-quiet'));

const listen = () => {
  box.on('plotly_click', (event) => {
    const [index] = moves.dragged ? [] : rows(event);
    if (index === undefined) return;
    walked = null;
    choose(index);
  });
  picks.listen();
  box.on('plotly_hover', ({ points: [point], event }) => {
    const row = point.customdata;
    if (!Number.isInteger(row) || box.classList.contains('ece-quiet')) return;
    const { xaxis, yaxis } = point, { left, top } = box.getBoundingClientRect();
    card.show(row, flat
      ? { x: xaxis._offset + xaxis.l2p(point.x), y: yaxis._offset + yaxis.l2p(point.y) }
      : { x: (event?.clientX ?? left) - left, y: (event?.clientY ?? top) - top });
  });
  box.on('plotly_unhover', card.hide);
  box.on('plotly_afterplot', () => then(() => map && flat && thinNames(box, plotly)));
  box.on('plotly_doubleclick', () => {
    if (!flat || moves.dragged) return;
    const automatic = { 'xaxis.autorange': true, 'yaxis.autorange': true };
    then(() => plotly.relayout(box, home ? { 'xaxis.range': home.x, 'yaxis.range': home.y } : automatic));
  });
  box.on('plotly_relayout', (change) => {
    if (!flat || !Object.keys(change ?? {}).some((key) => key.startsWith('xaxis'))) return;
    const { xaxis, yaxis } = box.layout;
    view = change['xaxis.autorange'] ? null : { map, x: [...xaxis.range], y: [...yaxis.range] };
  });
  box.on('plotly_webglcontextlost', webgl.lost);
};

// A point selected by keys takes precedence over the server's.
const drawRing = () => {
  if (!map) return null;
  let ring = [walked, props.ring].find((one) => one?.map === map) ?? null;
  if (ring && stage) {
    const at = stages.at(ring.index, stage);
    ring = at && { ...ring, at };
  }
  return drawRingOn(box, plotly, ring, { flat, trace: ringTrace });
};

// Shows another stage of this map.
const goTo = async (name) => {
  if (!map || !stage || name === stage || !stages.has(name)) return;
  const from = stage;
  stage = name;
  leavePointer();
  stages.show(stage);
  const traces = webgl.drawable(stages.traces(stage));
  const shown = box.data.map((trace, i) => (traces[i] ? { ...traces[i], visible: trace.visible } : trace));
  const moving = shown.flatMap((trace, i) => (trace.customdata ? [i] : []));
  await plotly.relayout(box, { annotations: [] });
  let first = true;
  await stages.glide(from, name, (x, y) => {
    if (first) {
      moving.forEach((index, i) => { shown[index] = { ...shown[index], x: x[i], y: y[i] }; });
      first = false;
      return plotly.react(box, shown, box.layout, config);
    }
    return plotly.restyle(box, { x, y }, moving);
  });
  await drawRing();
  picks.count();
};

// The pictures arrive after the map.
const showPhotos = () => card.load(points, props.photos?.map === map ? props.photos.pictures : []);

const draw = async () => {
  // A hidden tab has no width.
  pending = !box.offsetWidth;
  if (pending) return;
  if (!props.value) {
    say('No points yet. See the note above.');
    return;
  }
  const { key, count, own, figure, ...rest } = JSON.parse(props.value);
  const nowFlat = !figure.layout.scene;
  if (!webgl.works && !nowFlat) {
    say(NO_DEPTH);
    return;
  }
  if (!nowFlat && count > MOST_DEEP && !deepAsked) {
    offerFlat(count);
    return;
  }
  if (map && nowFlat !== flat) plotly.purge(box);
  if (!map || nowFlat !== flat) box.innerHTML = '';
  flat = nowFlat;
  if (map !== key) picks.forget();
  map = key;
  const all = [figure.data, ...Object.values(rest.frames ?? {})].flat();
  const ink = getComputedStyle(box).color; // colour of class names, for light and dark pages
  all.forEach((trace) => { if (trace.mode === 'text') trace.textfont.color = ink; });
  points = own;
  showPhotos();
  stages.load(rest, figure.layout);
  stage = stages.has(props[STAGE]) ? props[STAGE] : stages.first() ?? null;
  if (stage) {
    figure.data = [...stages.traces(stage)];
    stages.show(stage);
  }
  home = stage && flat ? { x: figure.layout.xaxis.range, y: figure.layout.yaxis.range } : null;
  if (!flat) {
    ringTrace = figure.data.length;
    figure.data.push({ ...RING_TRACE });
  }
  if (touch && flat) figure.layout.dragmode = false;
  figure.layout.uirevision = key;
  if (flat && view?.map === key) {
    figure.layout.xaxis.range = view.x;
    figure.layout.yaxis.range = view.y;
  }
  const fresh = !box.on;
  await plotly.react(box, webgl.drawable(figure.data), figure.layout, config);
  if (fresh) listen();
  await drawRing();
};

// Redraws the map on new canvases.
const redraw = async () => {
  if (!map) return;
  const { data, layout } = box;
  if (!webgl.works && !flat) {
    say(NO_DEPTH);
    return;
  }
  plotly.purge(box);
  box.innerHTML = '';
  if (!box.offsetWidth) { // when the tab is shown
    map = null;
    pending = true;
    return;
  }
  await plotly.newPlot(box, webgl.drawable(data), layout, config);
  listen();
  await drawRing();
};

new ResizeObserver(() => {
  if (!box.offsetWidth) return;
  then(() => (pending ? draw() : map && plotly.Plots.resize(box)));
}).observe(box);
watch('value', () => then(draw));
watch(STAGE, () => {
  // The user may have selected another stage before the server answers.
  const answered = asked.splice(0, asked.indexOf(props[STAGE]) + 1).length > 0;
  if (!answered) then(() => goTo(props[STAGE]));
});
watch(PHOTOS, showPhotos);
watch(RING, () => {
  if (props.ring?.index === walked?.index) walked = null;
  then(drawRing);
});
then(draw);
