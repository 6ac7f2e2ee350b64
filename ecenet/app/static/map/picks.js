// The points inside a lasso or a box, which Plotly keeps apart: what lies outside turns grey. Those of classes that the
// legend hides do not count, and at another stage the same part of the map holds other points. map.js uses it.

// Rows of the picked points that are shown; none where there is no lasso.
const pickedRows = (box) => (box._fullLayout?.selections?.length ? box._fullData.flatMap((trace) => (
  trace.customdata && trace.visible === true ? [...trace.selectedpoints ?? []].map((i) => trace.customdata[i]) : []
)) : []);

// `tell` is given the rows whenever they are others; `clear` takes the lasso off the map.
const mapPicks = (box, { tell, clear }) => {
  let told = '[]';

  const count = () => {
    const rows = pickedRows(box);
    if (JSON.stringify(rows) === told) return;
    told = JSON.stringify(rows);
    tell(rows);
  };

  return {
    count,
    // Of another map, which has none.
    forget() { told = '[]'; },
    listen() {
      // A click beside all points ends it, of which Plotly says nothing but that there is none.
      box.on('plotly_selected', (event) => { if (event?.points) count(); else clear(); });
      box.on('plotly_deselect', clear);
      box.on('plotly_restyle', ([change]) => { if ('visible' in change) count(); });
    },
  };
};
