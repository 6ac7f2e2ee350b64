// Whether a map is drawn with WebGL, and what is done when the browser takes it away: at first the map is drawn anew;
// if that does not last, it is drawn as SVG, which is slower and lasts. map.js uses it.
const LOSS_SETTLES = 100; // milliseconds; the canvases of one map are lost one after the other
const LOSS_REPEATS = 60000; // milliseconds within which a second loss means that a third would follow
const SVG_NOTE = 'The browser stopped WebGL, so the map is drawn as SVG, which is slower. '
  + 'Reload the page to try again.';

const webglWorks = () => {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('webgl2') || canvas.getContext('webgl');
  context?.getExtension('WEBGL_lose_context')?.loseContext(); // a page may have few
  return Boolean(context);
};

// `note` is the element that tells of SVG; `redraw` draws the map anew.
const mapWebgl = ({ note, redraw }) => {
  const state = { works: webglWorks() };
  let settling = 0, lastLoss = -Infinity;

  const give = () => {
    state.works = false;
    note.textContent = SVG_NOTE;
    note.hidden = false;
  };

  return {
    get works() { return state.works; },
    // Traces as this browser can draw them.
    drawable: (traces) => (state.works ? traces : traces.map(
      (trace) => (trace.type === 'scattergl' ? { ...trace, type: 'scatter' } : trace),
    )),
    lost() {
      if (settling || !state.works) return;
      settling = setTimeout(() => {
        settling = 0;
        const now = performance.now();
        if (now - lastLoss < LOSS_REPEATS || !webglWorks()) give();
        lastLoss = now;
        redraw();
      }, LOSS_SETTLES);
    },
  };
};
