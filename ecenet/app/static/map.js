// Draws the figure that Python sends with Plotly, whose clicks then reach Python: 'point' for one, 'lasso' for many.
// Runs once for each map; `element`, `props`, `trigger` and `watch` come from Gradio.
const box = element.querySelector('.ece-plot');
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
// A prop: the ring around the selected point. gr.HTML takes quoted words for names of events.
const [RING] = Object.keys({ ring: null });
// Gradio's own plots bring another Plotly, which takes over the name and would drop what listens to ours.
const plotly = (window.ecenetPlotly ??= window.Plotly);
let map = null; // key of what is drawn
let flat = true;
let ringTrace = -1;
let pending = true;
let view = null; // the part of a flat map that is shown: its key and the ranges of both axes
let work = Promise.resolve(); // one thing after the other, since Plotly draws in its own time

const webgl = (() => {
  const canvas = document.createElement('canvas');
  return Boolean(canvas.getContext('webgl2') || canvas.getContext('webgl'));
})();

const say = (text) => {
  if (map) plotly.purge(box);
  map = null;
  box.innerHTML = '';
  box.append(Object.assign(document.createElement('p'), { className: 'ece-empty', textContent: text }));
};

const rows = (event) => (event?.points ?? []).map((point) => point.customdata).filter(Number.isInteger);

const then = (job) => { work = work.then(job).catch((error) => console.error(error)); };

const moves = moveSmoothly(box, {
  movable: () => map && flat && webgl && box.layout.dragmode === 'pan',
  rest: async (x, y) => {
    then(() => map && flat && plotly.relayout(box, { 'xaxis.range': x, 'yaxis.range': y }));
    await work;
  },
});

const listen = () => {
  box.on('plotly_click', (event) => {
    const [index] = moves.dragged ? [] : rows(event);
    if (index !== undefined) trigger('point', { map, index });
  });
  box.on('plotly_selected', (event) => trigger('lasso', { map, points: rows(event) }));
  box.on('plotly_deselect', () => trigger('lasso', { map, points: [] }));
  box.on('plotly_doubleclick', () => {
    if (flat && !moves.dragged) then(() => plotly.relayout(box, { 'xaxis.autorange': true, 'yaxis.autorange': true }));
  });
  box.on('plotly_relayout', (change) => {
    if (!flat || !Object.keys(change ?? {}).some((key) => key.startsWith('xaxis'))) return;
    const { xaxis, yaxis } = box.layout;
    view = change['xaxis.autorange'] ? null : { map, x: [...xaxis.range], y: [...yaxis.range] };
  });
};

// The ring is the frame of an empty annotation, which Plotly draws without touching the points (a shape that is sized
// in pixels would spoil the lasso); in a space it takes a trace of its own.
const drawRing = () => {
  if (!map) return null;
  const ring = props.ring?.map === map ? props.ring : null;
  const color = getComputedStyle(box).color;
  if (flat) {
    const side = ring ? ring.size + 10 : 0;
    const frame = ring && {
      x: ring.at[0], y: ring.at[1], text: '\u00a0', showarrow: false, width: side, height: side,
      borderpad: 0, borderwidth: 3, bordercolor: color, bgcolor: 'rgba(0,0,0,0)',
    };
    return plotly.relayout(box, { annotations: ring ? [frame] : [] });
  }
  const at = ring ? ring.at.map((value) => [[value]]) : [[[]], [[]], [[]]];
  const style = { 'marker.size': ring ? ring.size + 10 : 10, 'marker.color': color };
  return plotly.restyle(box, { x: at[0], y: at[1], z: at[2], ...style }, [ringTrace]);
};

const draw = async () => {
  // A hidden tab has no width to draw for.
  pending = !box.offsetWidth;
  if (pending) return;
  if (!props.value) {
    say('There are no points yet: the line above says what to do.');
    return;
  }
  const { key, figure } = JSON.parse(props.value);
  const nowFlat = !figure.layout.scene;
  if (!webgl && !nowFlat) {
    say('Three dimensions need WebGL, which this browser does not offer: choose two.');
    return;
  }
  if (map && nowFlat !== flat) plotly.purge(box);
  if (!map || nowFlat !== flat) box.innerHTML = '';
  flat = nowFlat;
  map = key;
  // Slower, and all the same for a few thousand points.
  if (!webgl) figure.data.forEach((trace) => { trace.type = 'scatter'; });
  if (!flat) {
    ringTrace = figure.data.length;
    const marker = { symbol: 'circle-open', size: 10, line: { width: 3 } };
    const nowhere = { x: [], y: [], z: [] };
    figure.data.push({ type: 'scatter3d', mode: 'markers', ...nowhere, marker, hoverinfo: 'skip', showlegend: false });
  }
  if (touch && flat) figure.layout.dragmode = false;
  figure.layout.uirevision = key;
  if (flat && view?.map === key) {
    figure.layout.xaxis.range = view.x;
    figure.layout.yaxis.range = view.y;
  }
  const fresh = !box.on;
  await plotly.react(box, figure.data, figure.layout, config);
  if (fresh) listen();
  await drawRing();
};

new ResizeObserver(() => {
  if (!box.offsetWidth) return;
  then(() => (pending ? draw() : map && plotly.Plots.resize(box)));
}).observe(box);
watch('value', () => then(draw));
watch(RING, () => then(drawRing));
then(draw);
