// The confidence slider of the Segment tab: pixels below it fade to grey and do not count in the areas and the legend.
const FADED = 0xe0808080;

function paintFaded(canvas, shown, least) {
  if (!shown || !least) return clear(canvas);
  fill(canvas, shown, (i) => (shown.planes[TOP][i] < least ? FADED : 0));
}

// Hides class names in faded parts of the picture.
function fadeNames(box, shown, least) {
  for (const name of box.children) name.hidden = shown.planes[TOP][name.dataset.pixel] < least;
}

// Returns the percentage of pixels with at least that confidence, by class.
function sureShares(shown, least) {
  const {planes} = shown;
  const shares = new Map();
  const each = 100 / planes[0].length;
  planes[0].forEach((label, i) => {
    if (planes[TOP][i] >= least) shares.set(label, (shares.get(label) ?? 0) + each);
  });
  return shares;
}

// Updates the areas in the legends and hides rows without pixels; `shares` = null restores the original areas.
function writeAreas(element, shares, least) {
  for (const row of element.querySelectorAll('.ece-legend tr[data-class]')) {
    const cell = row.cells[1];
    cell.dataset.all ??= cell.textContent;
    const share = shares && (shares.get(Number(row.dataset.class)) ?? 0);
    cell.textContent = shares ? `${share.toFixed(1)}%` : cell.dataset.all;
    row.toggleAttribute('data-gone', share === 0);
  }
  const left = element.querySelector('.ece-left');
  if (!left) return;
  left.hidden = !shares;
  const sum = shares && [...shares.values()].reduce((total, share) => total + share, 0);
  left.textContent = shares ? `${sum.toFixed(1)}% of the photo has a confidence of ${least}% or more.` : '';
}
