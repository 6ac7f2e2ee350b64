// Placement of class names on a label map.
const LEAST_REGION = 0.004; // smaller regions, as share of the photo, get no name
const MOST_NAMES = 40;
const PLACES = [-0.5, -0.25, 0, 0.25, 0.5]; // test points of a name's box, in its widths and heights from the centre

// Finds connected regions of one class: `numbers` has the region of each pixel, `regions` has {label, area} of each.
function connectedRegions(labels, width) {
  const numbers = new Int32Array(labels.length).fill(-1);
  const stack = new Int32Array(labels.length);
  const regions = [];
  for (let start = 0; start < labels.length; start++) {
    if (numbers[start] >= 0) continue;
    const [label, number] = [labels[start], regions.length];
    let [depth, area] = [1, 0];
    stack[0] = start;
    numbers[start] = number;
    const visit = (i) => {
      if (labels[i] !== label || numbers[i] >= 0) return;
      numbers[i] = number;
      stack[depth++] = i;
    };
    while (depth) {
      const i = stack[--depth];
      const column = i % width;
      area++;
      if (column > 0) visit(i - 1);
      if (column < width - 1) visit(i + 1);
      if (i >= width) visit(i - width);
      if (i + width < labels.length) visit(i + width);
    }
    regions.push({label, area});
  }
  return {numbers, regions};
}

// Computes the distance in steps from each pixel to the nearest pixel outside its region or the photo, at least 1.
function depths(numbers, width) {
  const steps = new Uint16Array(numbers.length);
  const from = (i, neighbour, inside) => (inside && numbers[neighbour] === numbers[i] ? steps[neighbour] + 1 : 1);
  const last = numbers.length - 1;
  for (let i = 0; i <= last; i++) steps[i] = Math.min(from(i, i - 1, i % width > 0), from(i, i - width, i >= width));
  for (let i = last; i >= 0; i--) {
    const right = from(i, i + 1, i % width < width - 1);
    steps[i] = Math.min(steps[i], right, from(i, i + width, i + width <= last));
  }
  return steps;
}

// Returns one place for each region, where its name is deepest inside: {label, x, y} in pixels of the label map,
// largest region first. `boxOf(label)` is the [width, height] of a name in these pixels.
function namePlaces({numbers, regions, steps}, width, boxOf) {
  const height = numbers.length / width;
  const boxes = regions.map(({label, area}) => (area < LEAST_REGION * numbers.length ? null : boxOf(label)));
  const best = regions.map(() => null);
  const fits = (number, x, y, [wide, high]) => PLACES.every((down) => PLACES.every((across) => {
    const [column, row] = [Math.round(x + across * wide), Math.round(y + down * high)];
    const inside = column >= 0 && row >= 0 && column < width && row < height;
    return inside && numbers[row * width + column] === number;
  }));
  for (let y = 0; y < height; y++) {
    for (let x = 0, start = 0; x < width; x++) {
      const number = numbers[y * width + x];
      if (x + 1 < width && numbers[y * width + x + 1] === number) continue;
      // The end of a run of one region in this row.
      const [box, center] = [boxes[number], (start + x) >> 1];
      const depth = steps[y * width + center];
      const wideEnough = box && x + 1 - start >= box[0];
      if (wideEnough && depth > (best[number]?.depth ?? 0) && fits(number, center, y, box)) {
        best[number] = {label: regions[number].label, x: center, y, depth, area: regions[number].area};
      }
      start = x + 1;
    }
  }
  return best.filter(Boolean).sort((one, other) => other.area - one.area).slice(0, MOST_NAMES);
}

// Writes the class names of a stage into `box`, which covers the picture, wherever they fit at the current size on
// screen. Without a stage, the names are removed. Nothing happens if they are up to date.
function drawNames(box, shown, classes) {
  const scale = shown && box.clientWidth / shown.width;
  if (box.written?.shown === shown && box.written.scale === scale) return;
  box.written = {shown, scale};
  box.replaceChildren();
  if (!scale) return;
  const {width, height, planes: [labels]} = shown;
  if (!shown.found) {
    shown.found = connectedRegions(labels, width);
    shown.found.steps = depths(shown.found.numbers, width);
  }
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = getComputedStyle(box).font;
  const boxOf = (label) => [(pen.measureText(classes[label][0]).width + 14) / scale, 20 / scale];
  for (const {label, x, y} of namePlaces(shown.found, width, boxOf)) {
    const name = Object.assign(document.createElement('span'), {textContent: classes[label][0]});
    name.style.left = `${100 * (x + 0.5) / width}%`;
    name.style.top = `${100 * (y + 0.5) / height}%`;
    name.dataset.pixel = y * width + x;
    box.append(name);
  }
}
