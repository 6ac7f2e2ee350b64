// The points inside a lasso or box; Plotly greys out the others. Points of hidden classes do not count, and the same
// lasso contains other points at another stage. Used by map.js.

// Rows of the visible points inside the lasso; empty without a lasso.
const pickedRows = (box) => (box._fullLayout?.selections?.length ? box._fullData.flatMap((trace) => (
  trace.customdata && trace.visible === true ? [...trace.selectedpoints ?? []].map((i) => trace.customdata[i]) : []
)) : []);

// `tell` is called with the rows when they change; `clear` removes the lasso.
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
    // A new map has no lasso.
    forget() { told = '[]'; },
    listen() {
      // A click next to all points removes it; Plotly then reports an undefined selection.
      box.on('plotly_selected', (event) => { if (event?.points) count(); else clear(); });
      box.on('plotly_deselect', clear);
      box.on('plotly_restyle', ([change]) => { if ('visible' in change) count(); });
    },
  };
};
