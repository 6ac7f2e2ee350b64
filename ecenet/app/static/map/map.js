// Draws the figure that Python sends with Plotly, whose clicks then reach Python: 'point' for one, 'lasso' for many.
// Runs once for each map; `element`, `props`, `trigger` and `watch` come from Gradio.
const box = element.querySelector('.ece-plot'), said = element.querySelector('.ece-map-said');
// Fingers scroll the page; the buttons beside the map still zoom.
const touch = matchMedia('(pointer: coarse)').matches;
// Plotly would offer to upload the picture, and with it the names of photos.
const config = {
  displaylogo: false,
  scrollZoom: !touch,
  showSendToCloud: false,
  plotlyServerURL: '',
  modeBarButtonsToRemove: ['resetScale2d'],
  doubleClick: false, // a quick second drag would be one
};
// Props: the ring around the selected point, the stage, pictures of the photos. gr.HTML takes quoted words for names of
// events.
const [RING, STAGE, PHOTOS] = Object.keys({ ring: null, stage: null, photos: null });
// Gradio's own plots bring another Plotly, which takes over the name and would drop what listens to ours.
const plotly = (window.ecenetPlotly ??= window.Plotly);
const card = mapHover(element.querySelector('.ece-map-card'));
let map = null; // key of what is drawn
let points = {}; // those of the visitor's own photos
let flat = true;
let ringTrace = -1;
let walked = null; // the ring of a point that keys have led to, until the server has heard of it
let deepAsked = false; // whether somebody wants a crowd in three dimensions
let pending = true;
let home = null; // the ranges of both axes that hold all stages, of maps of single ones
let view = null; // the part of a flat map that is shown: its key and the ranges of both axes
let work = Promise.resolve(); // one thing after the other, since Plotly draws in its own time

const say = (text) => {
  if (map) plotly.purge(box);
  map = null;
  card.hide();
  stages.load({}, {});
  box.innerHTML = '';
  box.append(Object.assign(document.createElement('p'), { className: 'ece-empty', textContent: text }));
};

const offerFlat = (count) => {
  say(`Three dimensions of ${count.toLocaleString('en')} points are slow to draw and to turn.`);
  const button = (textContent, act) => {
    const look = { type: 'button', className: 'ece-play', textContent };
    const made = Object.assign(document.createElement('button'), look);
    made.addEventListener('click', act);
    return made;
  };
  box.firstChild.append(
    document.createElement('br'),
    // The choice between dimensions, a control of Gradio's.
    button('Show two', () => document.querySelector('#projection-dimensions input').click()),
    ' ',
    button('Draw three all the same', () => { deepAsked = true; then(draw); }),
  );
};

const rows = (event) => (event?.points ?? []).map((point) => point.customdata).filter(Number.isInteger);

const MOST_DEEP = 10000; // points that a space of Plotly's turns smoothly
const NO_DEPTH = 'Three dimensions need WebGL, which this browser does not offer: choose two.';

const then = (job) => { work = work.then(job).catch((error) => console.error(error)); };

const webgl = mapWebgl({ note: element.querySelector('.ece-map-note'), redraw: () => then(redraw) });

// The stage that is shown, of maps of single stages; null where all are shown together.
let stage = null;
const asked = []; // stages that were picked here, and that Python has not answered yet
const stages = stageMaps({
  strip: element.querySelector('.ece-stage-maps'),
  pick: (name) => {
    then(() => goTo(name));
    if (name === (asked.at(-1) ?? props[STAGE])) return;
    asked.push(name);
    // Segment's own choice of a stage, which every tab follows.
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

// The points that are shown within the frame of a flat map, in pixels of the box.
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

// Plotly shows the label at the last place of the pointer again with everything it draws, whatever lies there by then.
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

// A point that keys have led to comes before the one that the server knows of.
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

// Their pictures come after the map.
const showPhotos = () => card.load(points, props.photos?.map === map ? props.photos.pictures : []);

const draw = async () => {
  // A hidden tab has no width to draw for.
  pending = !box.offsetWidth;
  if (pending) return;
  if (!props.value) {
    say('There are no points yet: the line above says what to do.');
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
  const ink = getComputedStyle(box).color; // names of classes, on light and on dark ground
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

// Draws the same again on canvases of their own.
const redraw = async () => {
  if (!map) return;
  const { data, layout } = box;
  if (!webgl.works && !flat) {
    say(NO_DEPTH);
    return;
  }
  plotly.purge(box);
  box.innerHTML = '';
  if (!box.offsetWidth) { // once the tab is shown
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
  // By the time that Python answers, another may have been picked.
  const answered = asked.splice(0, asked.indexOf(props[STAGE]) + 1).length > 0;
  if (!answered) then(() => goTo(props[STAGE]));
});
watch(PHOTOS, showPhotos);
watch(RING, () => {
  if (props.ring?.index === walked?.index) walked = null;
  then(drawRing);
});
then(draw);
