// The ring around the selected point of a map. Used by map.js.
const RING_GAP = 10; // difference to the point's diameter in pixels
const RING_TRACE = {
  type: 'scatter3d', mode: 'markers', x: [], y: [], z: [], hoverinfo: 'skip', showlegend: false,
  marker: { symbol: 'circle-open', size: 10, line: { width: 3 } },
};

// On a 2D map, the ring is the border of an empty annotation, which Plotly draws without redrawing the points. (A shape
// sized in pixels would break the lasso.)
const ringFrame = ({ at, size }, color) => ({
  x: at[0], y: at[1], text: '\u00a0', showarrow: false, width: size + RING_GAP, height: size + RING_GAP,
  borderpad: 0, borderwidth: 3, bordercolor: color, bgcolor: 'rgba(0,0,0,0)',
});

// Draws the ring, or removes it for null; in 3D, with the index of `RING_TRACE`.
const drawRingOn = (box, plotly, ring, { flat, trace }) => {
  const color = getComputedStyle(box).color;
  if (flat) return plotly.relayout(box, { annotations: ring ? [ringFrame(ring, color)] : [] });
  const at = ring ? ring.at.map((value) => [[value]]) : [[[]], [[]], [[]]];
  const style = { 'marker.size': ring ? ring.size + RING_GAP : 10, 'marker.color': color };
  return plotly.restyle(box, { x: at[0], y: at[1], z: at[2], ...style }, [trace]);
};
