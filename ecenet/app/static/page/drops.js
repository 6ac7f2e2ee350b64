// Photos can be dropped anywhere on the page, several at a time and in folders; they are passed to "Add several
// photos". Gradio (6.31) accepts drops of one file on an empty photo box only; for all others, the browser navigates to
// the file. If one of several files is too large, Gradio sends none of them and does not name it; here only the large
// ones are left out, and their names are shown. Tested in tests/app/browser/test_drops.py.
const PHOTO_NAMES = /\.(jpe?g|jpe|jfif|png|webp|avif|hei[cf]|gif|tiff?|bmp|jxl)$/i; // photos in a folder
const MOST_FILES = 1000; // in a folder
const NOTE_SECONDS = 12;

const photoField = () => document.querySelector('input[type=file][data-testid="Add several photos-upload-button"]');
const withFiles = ({ dataTransfer }) => !ownDrag && dataTransfer?.types.includes('Files');
let ownDrag = false; // whether a picture of the page itself is dragged
let depth = 0; // number of elements that the drag has entered
let noteTimer;

function showNote(text) {
  let note = document.querySelector('#drop-note');
  if (!note) {
    note = Object.assign(document.createElement('div'), { id: 'drop-note', role: 'alert' });
    document.body.append(note);
  }
  note.textContent = text;
  note.hidden = !text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { note.hidden = true; }, NOTE_SECONDS * 1000);
}

function markTarget(dragging) {
  document.querySelector('#photo-input')?.classList.toggle('ece-drop-target', dragging);
}

function listed(names) {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

// Returns the files within Gradio's size limit; the names of the others are shown.
function smallEnough(files) {
  const limit = window.gradio_config?.max_file_size ?? Infinity;
  const large = files.filter((file) => file.size > limit).map((file) => file.name);
  if (large.length) {
    showNote(`Expected files of at most ${Math.floor(limit / 2 ** 20)} MB, but ${listed(large)} `
      + `${large.length > 1 ? 'are' : 'is'} larger; reduce the size first. The other files are added.`);
  }
  return files.filter((file) => file.size <= limit);
}

function send(files) {
  const field = photoField();
  const fitting = smallEnough(files);
  if (!field || !fitting.length) return;
  const chosen = new DataTransfer();
  for (const file of fitting) chosen.items.add(file);
  field.files = chosen.files;
  field.dispatchEvent(new CustomEvent('change', { bubbles: true, detail: 'checked' }));
}

async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) { // it returns up to a hundred at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length || entries.length > MOST_FILES) return entries;
    entries.push(...some);
  }
}

// Returns the photos in a folder and its subfolders, sorted by name.
async function photosIn(folder, left = { count: MOST_FILES }) {
  const files = [];
  for (const entry of (await entriesOf(folder)).sort((a, b) => a.name.localeCompare(b.name))) {
    if (left.count-- <= 0) break;
    if (entry.isDirectory) files.push(...await photosIn(entry, left));
    else if (PHOTO_NAMES.test(entry.name)) files.push(await new Promise((resolve, reject) => { entry.file(resolve, reject); }));
  }
  return files;
}

async function take(items) {
  // The dropped items can be read during the event only.
  const dropped = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const files = [];
  for (const { entry, file } of dropped) {
    if (entry?.isDirectory) {
      const found = await photosIn(entry);
      if (!found.length) showNote(`Expected a folder with photos, but ${entry.name} has none; drop another folder.`);
      files.push(...found);
    } else if (file) files.push(file);
  }
  send(files);
}

// Whether the target accepts other kinds of files, such as a ground truth.
function hasOwnTarget({ target }) {
  const own = target.closest?.('[aria-dropeffect]');
  return own && !own.closest('#photo-input');
}

addEventListener('dragstart', () => { ownDrag = true; }, true);
addEventListener('dragend', () => { ownDrag = false; }, true);
addEventListener('dragenter', (event) => {
  if (!withFiles(event)) return;
  depth += 1;
  markTarget(true);
}, true);
addEventListener('dragleave', (event) => {
  if (!withFiles(event)) return;
  depth = Math.max(0, depth - 1);
  if (!depth) markTarget(false);
}, true);
addEventListener('dragover', (event) => {
  if (!withFiles(event) || hasOwnTarget(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = 'copy';
}, true);
addEventListener('drop', (event) => {
  depth = 0;
  markTarget(false);
  if (!withFiles(event) || hasOwnTarget(event)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  take([...event.dataTransfer.items].filter((item) => item.kind === 'file'));
}, true);
addEventListener('change', (event) => {
  if (event.target !== photoField() || event.detail === 'checked') return;
  event.stopImmediatePropagation();
  send([...event.target.files]);
}, true);
