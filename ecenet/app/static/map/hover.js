// Shows the region of the point under the pointer next to it. It is drawn in the browser from small pictures that were
// sent with the map (ecenet/app/widgets/region_pictures.py). Used by map.js.
const CARD_GAP = 26; // pixels between a point and the card, the same as for Plotly's labels
const FADED = 128; // grey level for fading the rest of the photo
const REFERENCE_NOTE = 'Reference photo (no picture stored)';

const loadedPicture = async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  // Grey values are class indices, so disable colour conversion.
  const bitmap = await createImageBitmap(image, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  const canvas = Object.assign(document.createElement('canvas'), { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
};

// The photo with all but one class faded to grey; `labels` contains the label maps of all stages, stacked vertically.
const fadeAround = (photo, labels, stage, classIndex) => {
  const shown = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
  const { data } = shown, first = stage * data.length;
  for (let i = 0; i < data.length; i += 4) {
    if (labels.data[first + i] === classIndex) continue;
    const grey = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    data.fill(0.35 * grey + 0.65 * FADED, i, i + 3);
  }
  return shown;
};

// `card` contains a canvas and a caption; its position is in pixels of the map's box.
const mapHover = (card) => {
  const canvas = card.querySelector('canvas'), caption = card.querySelector('figcaption');
  let pictures = [], own = {};
  let loaded = new Map(); // both pictures by photo, loaded on demand
  let asked = 0;

  const hide = () => {
    asked += 1;
    card.hidden = true;
  };

  const place = ({ x, y }) => {
    card.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = card, { clientWidth, clientHeight } = card.parentElement;
    const below = y + CARD_GAP + height <= clientHeight ? y + CARD_GAP : y - CARD_GAP - height;
    card.style.left = `${Math.max(0, Math.min(x - width / 2, clientWidth - width))}px`;
    card.style.top = `${Math.max(0, below)}px`;
  };

  return {
    hide,
    // Photo, stage and class by row of the session's points; and the pictures of the photos.
    load(points, photos) {
      hide();
      [own, pictures, loaded] = [points, photos, new Map()];
    },
    // `text` is the content of Plotly's label, if that is not shown.
    async show(row, at, text = '') {
      hide();
      const mine = asked, known = own[row], [image, stage, classIndex] = known ?? [], picture = pictures[image];
      canvas.hidden = !picture;
      caption.textContent = [text, known ? '' : REFERENCE_NOTE].filter(Boolean).join('. ');
      if (picture) {
        if (!loaded.has(image)) loaded.set(image, Promise.all([picture.photo, picture.labels].map(loadedPicture)));
        const [photo, labels] = await loaded.get(image);
        if (mine !== asked) return; // the pointer has moved on
        [canvas.width, canvas.height] = [photo.width, photo.height];
        const shown = fadeAround(photo, labels, picture.stages.indexOf(stage), classIndex);
        canvas.getContext('2d').putImageData(shown, 0, 0);
      }
      if (picture || caption.textContent) place(at);
    },
  };
};
