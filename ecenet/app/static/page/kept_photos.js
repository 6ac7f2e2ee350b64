// Copies of the uploaded photos in the browser's database, which are restored when the page is reloaded in the same
// tab. Each copy belongs to a tab. It is deleted when the visitor removes the photo or unticks the box below the
// photos; copies older than a day are deleted when the page is opened. Without a database or free space, photos are not
// kept.
const KEEP_SETTING = 'ecenet-keep'; // 'no' if the visitor has switched it off
const TAB_KEY = 'ecenet-tab';
const KEPT_HOURS = 24;
const MOST_KEPT_BYTES = 200 * 2 ** 20; // for each tab

const keepsPhotos = () => localStorage.getItem(KEEP_SETTING) !== 'no';

function tabName() {
  if (!sessionStorage.getItem(TAB_KEY)) sessionStorage.setItem(TAB_KEY, `${Date.now()}-${Math.random()}`);
  return sessionStorage.getItem(TAB_KEY);
}

const answered = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function keptStore(mode) {
  const opening = indexedDB.open('ecenet-photos', 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('photos', {keyPath: ['tab', 'file']});
  const database = await answered(opening);
  const change = database.transaction('photos', mode);
  for (const end of ['complete', 'abort']) change.addEventListener(end, () => database.close());
  return change.objectStore('photos');
}

// Returns the photos of this tab in the order in which they were added. `blob` is the file, `file` its path on the
// server.
async function keptPhotos() {
  const all = await answered((await keptStore('readonly')).getAll());
  return all.filter(({tab}) => tab === tabName()).sort((one, other) => one.added - other.added);
}

async function forgetPhotos(unwanted) {
  const store = await keptStore('readwrite');
  for (const photo of await answered(store.getAll())) if (unwanted(photo)) store.delete([photo.tab, photo.file]);
}

const forgetOldPhotos = () => forgetPhotos(({added}) => Date.now() - added > KEPT_HOURS * 3600 * 1000);

// Returns the uploaded file from the server, since it may have been chosen, dropped or pasted.
async function uploadedFile(path) {
  const {root, api_prefix: prefix = ''} = window.gradio_config;
  const answer = await fetch(`${root}${prefix}/file=${path.split('/').map(encodeURIComponent).join('/')}`);
  return answer.ok ? answer.blob() : null;
}

// Updates the kept photos to the session's uploads, which are given by their paths.
async function keepPhotos(paths) {
  const kept = await keptPhotos();
  const gone = kept.filter(({file}) => !paths.includes(file)).map(({file}) => file);
  if (gone.length) await forgetPhotos(({tab, file}) => tab === tabName() && gone.includes(file));
  const there = kept.filter(({file}) => !gone.includes(file));
  let room = MOST_KEPT_BYTES - there.reduce((sum, {blob}) => sum + blob.size, 0);
  for (const file of paths) {
    if (there.some((one) => one.file === file)) continue;
    const blob = await uploadedFile(file);
    if (!blob || blob.size > room || !keepsPhotos()) continue;
    room -= blob.size;
    const added = Date.now();
    await answered((await keptStore('readwrite')).put({tab: tabName(), file, blob, added}));
    there.push({file, blob});
  }
}
