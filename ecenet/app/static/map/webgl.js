// Handles the loss of WebGL contexts: the map is first redrawn; if the loss repeats, it is drawn as SVG, which is
// slower but reliable. Used by map.js.
const LOSS_SETTLES = 100; // milliseconds; the canvases of a map are lost one by one
const LOSS_REPEATS = 60000; // milliseconds within which a second loss switches to SVG
const SVG_NOTE = 'The browser stopped WebGL, so the map is drawn as SVG, which is slower. '
  + 'Reload the page to try again.';

const webglWorks = () => {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('webgl2') || canvas.getContext('webgl');
  context?.getExtension('WEBGL_lose_context')?.loseContext(); // the number of contexts per page is limited
  return Boolean(context);
};

// `note` is the element for the note about SVG; `redraw` redraws the map.
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
    // Converts traces to types that the browser can draw.
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
