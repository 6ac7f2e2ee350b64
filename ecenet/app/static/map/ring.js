// The ring around the selected point of a map. map.js uses it.
const RING_GAP = 10; // pixels that it is wider than its point
const RING_TRACE = {
  type: 'scatter3d', mode: 'markers', x: [], y: [], z: [], hoverinfo: 'skip', showlegend: false,
  marker: { symbol: 'circle-open', size: 10, line: { width: 3 } },
};

// On a flat map it is the frame of an empty annotation, which Plotly draws without touching the points (a shape that is
// sized in pixels would spoil the lasso).
const ringFrame = ({ at, size }, color) => ({
  x: at[0], y: at[1], text: '\u00a0', showarrow: false, width: size + RING_GAP, height: size + RING_GAP,
  borderpad: 0, borderwidth: 3, bordercolor: color, bgcolor: 'rgba(0,0,0,0)',
});

// Draws it, or none for null; in a space the number of its `RING_TRACE` is given.
const drawRingOn = (box, plotly, ring, { flat, trace }) => {
  const color = getComputedStyle(box).color;
  if (flat) return plotly.relayout(box, { annotations: ring ? [ringFrame(ring, color)] : [] });
  const at = ring ? ring.at.map((value) => [[value]]) : [[[]], [[]], [[]]];
  const style = { 'marker.size': ring ? ring.size + RING_GAP : 10, 'marker.color': color };
  return plotly.restyle(box, { x: at[0], y: at[1], z: at[2], ...style }, [trace]);
};
