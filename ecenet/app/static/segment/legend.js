// The legend of the Segment tab: a search box, and rows that highlight their class in the picture while the pointer is
// over them or their button has the focus. A click on a button keeps its class highlighted until the next click.
// `listen` receives the class to highlight: its index, DOUBTFUL for unsure pixels, or null. `choose` receives the class
// whose button was pressed, or null when it was released.
const MANY_ROWS = 12; // the search box is shown above this number
const DOUBTFUL = -1;

const legendOf = (element, listen, choose) => {
  const state = {pointed: null, kept: null, found: null, sent: null};
  const rows = () => [...element.querySelectorAll('.ece-legend tbody tr')];
  const shown = () => rows().filter((row) => !row.hidden && !row.closest('table').hidden);
  const classOf = (row) => (row.dataset.class === undefined ? DOUBTFUL : Number(row.dataset.class));
  const rowAt = (target) => target.closest('.ece-legend tr[data-class], .ece-legend tr[data-doubtful]');

  const tell = () => {
    const chosen = state.pointed ?? state.kept ?? state.found;
    if (chosen === state.sent) return;
    state.sent = chosen;
    listen(chosen);
  };

  const point = (target) => {
    const row = target && rowAt(target);
    state.pointed = row ? classOf(row) : null;
    tell();
  };

  // Shows the rows that contain the typed text; a single match is highlighted.
  const search = () => {
    const box = element.querySelector('.ece-find');
    if (!box) return;
    const wanted = box.value.trim().toLowerCase();
    for (const row of rows()) row.hidden = !row.cells[0].textContent.trim().toLowerCase().includes(wanted);
    const found = shown();
    state.found = wanted && found.length === 1 ? classOf(found[0]) : null;
    element.querySelector('.ece-none').hidden = found.length > 0;
    tell();
  };

  // Updates the search for another stage, which has other classes.
  const refresh = () => {
    const box = element.querySelector('.ece-find');
    if (!box) return;
    const all = rows().filter((row) => !row.closest('table').hidden);
    box.hidden = all.length <= MANY_ROWS && !box.value;
    search();
  };

  // A class that no stage of the photo has cannot be highlighted.
  const keep = (chosen) => {
    const known = [...element.querySelectorAll('.ece-class')].some((button) => classOf(rowAt(button)) === chosen);
    state.kept = known ? chosen : null;
    state.pointed = null;
    for (const one of element.querySelectorAll('.ece-class')) {
      one.setAttribute('aria-pressed', classOf(rowAt(one)) === state.kept);
    }
    tell();
  };

  const forget = () => {
    Object.assign(state, {pointed: null, kept: null, found: null, sent: null});
  };

  element.addEventListener('input', (event) => event.target.matches('.ece-find') && search());
  element.addEventListener('pointerover', (event) => point(event.target));
  element.addEventListener('pointerleave', () => point(null));
  element.addEventListener('focusin', (event) => event.target.matches('.ece-class:focus-visible') && point(event.target));
  element.addEventListener('focusout', (event) => event.target.matches('.ece-class') && point(null));
  element.addEventListener('click', (event) => {
    const button = event.target.closest('.ece-class');
    if (!button) return;
    const pressed = classOf(rowAt(button));
    keep(state.kept === pressed ? null : pressed);
    if (pressed !== DOUBTFUL) choose(state.kept);
  });

  return {refresh, forget, keep};
};

// A row of the tooltip, with the colour of the class.
function classRow([name, color], percent, before) {
  const row = document.createElement('div');
  const swatch = Object.assign(document.createElement('span'), {className: 'ece-swatch'});
  swatch.style.background = color;
  const share = document.createElement('span');
  share.textContent = percent === 0 ? '< 1 %' : `${percent} %`;
  const label = document.createElement('span');
  label.append(before, swatch, name);
  row.append(label, ' ', share);
  return row;
}
