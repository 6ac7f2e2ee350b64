// One map per stage: small maps below the large one to select a stage, and animation of the points between stages. All
// data is sent with the figure. Used by map.js.
const GLIDES_FOR = 600; // milliseconds
const STAYS_FOR = 1500; // milliseconds per stage when all stages are played
const MOST_GLIDING = 20000; // maximum number of animated points; more jump
const [SMALL_WIDTH, SMALL_HEIGHT, SMALL_DOT] = [132, 92, 1.6]; // pixels

// `strip` contains the small maps; `pick` is called with the selected stage.
const stageMaps = ({ strip, pick }) => {
  const still = matchMedia('(prefers-reduced-motion: reduce)');
  let frames = null; // traces by name of the stage
  let items = []; // by row: number of the class and image, equal at all stages
  let names = [];
  let playing = 0;

  const moves = stageMoves(strip);

  const stop = () => {
    clearTimeout(playing);
    playing = 0;
    const button = strip.querySelector('.ece-play');
    if (button) button.textContent = '▶ Play';
  };

  const play = (index) => {
    pick(names[index]);
    const last = index === names.length - 1;
    playing = last ? 0 : setTimeout(() => play(index + 1), STAYS_FOR);
    if (last) stop();
  };

  const colorOf = (marker, i, layout) => {
    if (typeof marker.color === 'string') return marker.color;
    const { colorscale, cmin, cmax } = layout.coloraxis;
    const share = (marker.color[i] - cmin) / (cmax - cmin);
    return (colorscale.findLast(([from]) => from <= share) ?? colorscale[0])[1];
  };

  const paint = (canvas, traces, layout) => {
    const ratio = window.devicePixelRatio || 1, context = canvas.getContext('2d');
    [canvas.width, canvas.height] = [SMALL_WIDTH * ratio, SMALL_HEIGHT * ratio];
    context.scale(ratio, ratio);
    const axes = layout.scene ?? layout;
    const [x, y] = [axes.xaxis.range, axes.yaxis.range];
    for (const trace of traces) {
      if (!trace.customdata) continue;
      context.globalAlpha = trace.marker.opacity;
      trace.x.forEach((value, i) => {
        context.fillStyle = colorOf(trace.marker, i, layout);
        context.beginPath();
        const left = ((value - x[0]) / (x[1] - x[0])) * SMALL_WIDTH;
        const top = (1 - (trace.y[i] - y[0]) / (y[1] - y[0])) * SMALL_HEIGHT;
        context.arc(left, top, trace.marker.opacity < 1 ? SMALL_DOT : 2 * SMALL_DOT, 0, 7);
        context.fill();
      });
    }
  };

  const button = (stage, layout) => {
    const frame = Object.assign(document.createElement('button'), { type: 'button', className: 'ece-frame' });
    frame.dataset.frame = stage.name;
    const canvas = document.createElement('canvas');
    paint(canvas, frames[stage.name], layout);
    const [title, note] = [document.createElement('span'), document.createElement('small')];
    [title.textContent, note.textContent] = [stage.title, stage.note];
    frame.append(canvas, title, note);
    return frame;
  };

  strip.addEventListener('click', (event) => {
    const frame = event.target.closest('[data-frame]');
    if (frame) {
      stop();
      pick(frame.dataset.frame);
    } else if (event.target.closest('.ece-play')) {
      if (playing) stop();
      else {
        event.target.closest('.ece-play').textContent = '■ Stop';
        play(0);
      }
    }
  });

  return {
    // Uses the data of a figure; empty if all stages are shown together.
    load({ frames: given, items: numbers, stages }, layout) {
      stop();
      frames = given ?? null;
      items = numbers ?? [];
      names = (stages ?? []).map((stage) => stage.name);
      strip.replaceChildren();
      strip.hidden = !frames;
      if (!frames) return;
      const start = Object.assign(document.createElement('button'), { type: 'button', className: 'ece-play' });
      start.textContent = '▶ Play';
      strip.append(start, ...stages.map((stage) => button(stage, layout)));
    },
    has: (stage) => Boolean(frames?.[stage]),
    names: () => names,
    first: () => names[0],
    traces: (stage) => frames[stage],
    show: (stage) => moves.show(stage),
    // The position of a row's class at a stage; null if it has no point there.
    at(row, stage) {
      for (const trace of frames[stage]) {
        const i = trace.customdata?.findIndex((other) => items[other] === items[row]) ?? -1;
        if (i >= 0) return trace.z ? [trace.x[i], trace.y[i], trace.z[i]] : [trace.x[i], trace.y[i]];
      }
      return null;
    },
    // Calls `move` with the interpolated positions of each trace between two stages.
    async glide(from, to, move) {
      const target = frames[to].filter((trace) => trace.customdata);
      const count = target.reduce((sum, trace) => sum + trace.x.length, 0);
      const flat = !target.some((trace) => trace.z);
      if (flat && from && frames[from] && !still.matches && count <= MOST_GLIDING) {
        const before = new Map();
        for (const trace of frames[from]) {
          trace.customdata?.forEach((row, i) => before.set(items[row], [trace.x[i], trace.y[i]]));
        }
        const starts = target.map((trace) => [...trace.customdata].map(
          (row, i) => before.get(items[row]) ?? [trace.x[i], trace.y[i]],
        ));
        const began = performance.now();
        for (let share = 0; share < 1; share = (performance.now() - began) / GLIDES_FOR) {
          const eased = share * share * (3 - 2 * share);
          const between = (axis, letter) => target.map((trace, t) => starts[t].map(
            (place, i) => place[axis] + eased * (trace[letter][i] - place[axis]),
          ));
          await move(between(0, 'x'), between(1, 'y'));
          await new Promise(requestAnimationFrame);
        }
      }
      await move(target.map((trace) => trace.x), target.map((trace) => trace.y));
    },
  };
};
