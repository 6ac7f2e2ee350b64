// Decodes the PNG of ecenet/app/widgets/pixel_planes.py and draws its values on canvases. Independent of the page.
// The planes of each pixel are TOP classes, their probabilities in percent, and the entropy in percent.
const [TOP, ENTROPY, PLANES] = [3, 6, 7];
const HATCH = {every: 9, stripe: 0xd0ffffff, edge: 0xd0303030, between: 0x70808080};

async function decode(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  // Grey values are data here, so colour conversion must be off.
  const bitmap = await createImageBitmap(image, {colorSpaceConversion: 'none', premultiplyAlpha: 'none'});
  const canvas = Object.assign(document.createElement('canvas'), {width: bitmap.width, height: bitmap.height});
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  const {data} = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const grey = new Uint8Array(data.length / 4);
  for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
  const area = grey.length / PLANES;
  const planes = Array.from({length: PLANES}, (_, n) => grey.subarray(n * area, (n + 1) * area));
  return {width: bitmap.width, height: bitmap.height / PLANES, planes};
}

// Fills a canvas with the colours returned by `colorOf(pixel)`; 0 is transparent.
function fill(canvas, shown, colorOf) {
  canvas.width = shown.width;
  canvas.height = shown.height;
  const colors = new Uint32Array(shown.width * shown.height);
  for (let i = 0; i < colors.length; i++) colors[i] = colorOf(i);
  const bytes = new Uint8ClampedArray(colors.buffer);
  canvas.getContext('2d').putImageData(new ImageData(bytes, shown.width, shown.height), 0, 0);
}

const clear = (canvas) => { canvas.width = canvas.height = 1; };

// Hatches the pixels for which `isMarked(pixel)` is true.
function hatch(canvas, shown, isMarked) {
  fill(canvas, shown, (i) => {
    if (!isMarked(i)) return 0;
    const across = (i % shown.width + Math.floor(i / shown.width)) % HATCH.every;
    return across < 2 ? HATCH.stripe : across < 3 ? HATCH.edge : HATCH.between;
  });
}

// Returns 256 packed colours of a CSS gradient.
function scaleColors(gradientText) {
  const stops = gradientText.match(/rgb\([^)]*\)/g);
  const canvas = Object.assign(document.createElement('canvas'), {width: 256, height: 1});
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const gradient = context.createLinearGradient(0.5, 0, 255.5, 0);
  stops.forEach((stop, i) => gradient.addColorStop(i / (stops.length - 1), stop));
  context.fillStyle = gradient;
  context.fillRect(0, 0, 256, 1);
  return new Uint32Array(context.getImageData(0, 0, 256, 1).data.buffer);
}
