// Pans and zooms a 2D map by transforming the drawn image, and redraws it when the mouse rests. Plotly itself redraws
// every point on every movement, which is too slow for many points or without a GPU. It uses class names of Plotly 7.1,
// which tests/app/server/test_gradio_contract.py checks. Can be removed once Plotly does the same.
const RESTS_AFTER = 150; // milliseconds after the last wheel event
const LEAST_MOVE = 3; // pixels; shorter drags are clicks

// `movable` returns whether dragging moves the map; `rest` is called with the new ranges of both axes.
// Returns an object whose `dragged` is true if the click that Plotly reports was the end of a drag.
const moveSmoothly = (box, { movable, rest }) => {
  const state = { dragged: false };
  let from = null; // position of mousedown
  let [x, y, scale] = [0, 0, 1]; // a point p of the plot (from its top left corner) is shown at scale · p + (x, y)
  let resting = 0;

  const plot = () => box.querySelector('.nsewdrag').getBoundingClientRect();

  const show = () => {
    const layer = box.querySelector('.gl-container'), moves = x || y || scale !== 1;
    const inner = plot(), outer = layer.getBoundingClientRect();
    const [left, top] = [inner.left - outer.left, inner.top - outer.top];
    const [right, bottom] = [outer.right - inner.right, outer.bottom - inner.bottom];
    layer.style.clipPath = moves ? `inset(${top}px ${right}px ${bottom}px ${left}px)` : '';
    const drawn = [...layer.querySelectorAll('canvas'), ...box.querySelectorAll('.annotation')];
    drawn.forEach(({ style }) => {
      style.transformOrigin = moves ? `${left}px ${top}px` : '';
      style.transform = moves ? `translate(${x}px, ${y}px) scale(${scale})` : '';
    });
    // Hide the grid, which has no meaning, and labels, which would stay behind.
    box.querySelectorAll('.cartesianlayer, .hoverlayer, .selectionlayer').forEach(({ style }) => {
      style.visibility = moves ? 'hidden' : '';
    });
  };

  const draw = async () => {
    const { width, height } = plot(), { xaxis, yaxis } = box.layout;
    const across = (place) => xaxis.range[0] + ((place - x) / scale / width) * (xaxis.range[1] - xaxis.range[0]);
    const down = (place) => yaxis.range[1] - ((place - y) / scale / height) * (yaxis.range[1] - yaxis.range[0]);
    await rest([across(0), across(width)], [down(height), down(0)]);
    [x, y, scale] = [0, 0, 1];
    show();
  };

  const drop = () => {
    from = null;
    if (!state.dragged) return;
    draw();
    setTimeout(() => { state.dragged = false; }); // Plotly reports a click before that
  };

  const inside = (event) => event.target.classList?.contains('nsewdrag') && box.contains(event.target) && movable();

  box.addEventListener('mousedown', (event) => {
    if (event.button || !inside(event)) return;
    if (resting) {
      clearTimeout(resting);
      resting = 0;
      draw();
    }
    from = [event.clientX, event.clientY];
  }, true);

  addEventListener('mousemove', (event) => {
    if (!from) return;
    if (!(event.buttons & 1)) return drop(); // released outside the window
    event.stopImmediatePropagation(); // keep Plotly from handling it too
    const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
    state.dragged ||= Math.hypot(dx, dy) >= LEAST_MOVE;
    if (!state.dragged) return;
    [x, y] = [dx, dy];
    show();
  }, true);

  addEventListener('mouseup', () => from && drop(), true);

  box.addEventListener('wheel', (event) => {
    if (!inside(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (from) return;
    const { left, top } = plot(), [px, py] = [event.clientX - left, event.clientY - top];
    const factor = Math.exp(-Math.max(-50, Math.min(50, event.deltaY)) / 200);
    [x, y, scale] = [px + (x - px) * factor, py + (y - py) * factor, scale * factor];
    show();
    clearTimeout(resting);
    resting = setTimeout(() => { resting = 0; draw(); }, RESTS_AFTER);
  }, { capture: true, passive: false });

  return state;
};
