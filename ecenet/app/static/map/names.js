// Hides overlapping class names on small maps; the server places them for a wide screen. Used by map.js.
const [LETTER, LINE] = [6.6, 15]; // width of a letter and height of a line in pixels

// The names {x, y, width, count} (in pixels) that do not overlap; of overlapping names, those with more points.
const namesApart = (names) => {
  const kept = [];
  for (const name of [...names].sort((a, b) => b.count - a.count)) {
    const over = kept.some((other) => (
      Math.abs(other.x - name.x) < (other.width + name.width) / 2 && Math.abs(other.y - name.y) < LINE
    ));
    if (!over) kept.push(name);
  }
  return kept;
};

// Hides names of a 2D map that overlap at the current size, and restores those that no longer do. Resolves immediately
// if nothing changes.
const thinNames = async (box, plotly) => {
  const { xaxis, yaxis } = box._fullLayout;
  const counts = {};
  for (const trace of box._fullData) {
    if (trace.customdata) counts[trace.legendgroup] = (counts[trace.legendgroup] ?? 0) + trace.customdata.length;
  }
  const names = box._fullData.flatMap((trace, index) => (trace.mode === 'text' && trace.x[0] != null ? [{
    index, text: trace.legendgroup, count: counts[trace.legendgroup], shown: trace.text[0] !== '',
    x: xaxis.l2p(trace.x[0]), y: yaxis.l2p(trace.y[0]), width: LETTER * trace.legendgroup.length,
  }] : []));
  const kept = new Set(namesApart(names.filter(({ index }) => box._fullData[index].visible === true)));
  const changed = names.filter((name) => name.shown !== kept.has(name));
  if (!changed.length) return;
  const texts = changed.map((name) => [kept.has(name) ? name.text : '']);
  await plotly.restyle(box, { text: texts }, changed.map(({ index }) => index));
};
