// Moves a flat map like a picture: while the mouse drags or turns its wheel, what is drawn is shifted and scaled as it
// is, and drawn anew once it rests. Plotly alone draws every point at every movement, which takes a crowd of them, or a
// machine without a graphics card, longer than a movement lasts. It knows parts of Plotly 7.1 by their class names:
// tests/app/server/test_gradio_contract.py looks whether they are still there. Needless once Plotly does the same.
const RESTS_AFTER = 150; // milliseconds after the wheel's last turn
const LEAST_MOVE = 3; // pixels; what moves less is a click

// `movable` tells whether a drag is to move the map now; `rest` is given the ranges of both axes to draw.
// Returns an object whose `dragged` tells whether the click that Plotly reports was the end of a drag.
const moveSmoothly = (box, { movable, rest }) => {
  const state = { dragged: false };
  let from = null; // where the mouse went down
  let [x, y, scale] = [0, 0, 1]; // a place p of the plot, from its left upper corner, is shown at scale · p + (x, y)
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
    // The grid has no meaning of its own, and a label would stay behind.
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
    setTimeout(() => { state.dragged = false; }); // Plotly calls it a click meanwhile
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
    if (!(event.buttons & 1)) return drop(); // let go outside of the window
    event.stopImmediatePropagation(); // or Plotly would follow, too
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
