// Photos belong to a session on the server, and reloading the page starts a new one. Photos that the browser has kept
// are sent again; for the others, the page states how many were lost and how to save them next time. Uses `showNote`,
// `send` and `photoField` of drops.js, and kept_photos.js.
const COUNT_KEY = 'ecenet-photos';
const SETTLED_MS = 300;

const uploadsShown = () => [...document.querySelectorAll('#session-photos [data-file]')].map((one) => one.dataset.file);
const unless = (problem) => console.warn('Photos are not kept in this browser:', problem);

addEventListener('pagehide', () => {
  sessionStorage.setItem(COUNT_KEY, document.querySelectorAll('#session-photos button').length);
});

function tellOfLostPhotos(lost, back) {
  if (!(lost > 0)) return;
  const [photos, were] = lost > 1 ? [`${lost} photos`, 'were'] : ['1 photo', 'was'];
  const others = back ? ` ${back} more ${back > 1 ? 'are' : 'is'} restored.` : '';
  showNote(`${photos} ${were} lost because reloading the page starts a new session; add them again.${others} `
    + 'To keep everything, press "Save all as .zip" first and open that file later.');
}

const shownOnPage = (found) => new Promise((resolve) => {
  const look = () => (found() ? resolve() : setTimeout(look, SETTLED_MS));
  look();
});

// Sends the tab's kept photos again, and resolves when they are shown.
async function bringBack(kept) {
  if (!kept.length) return;
  await shownOnPage(photoField);
  const files = kept.map(({file, blob}) => new File([blob], file.split(/[\\/]/).pop(), {type: blob.type}));
  send(files);
  await shownOnPage(() => uploadsShown().length);
}

// Keeps the stored copies in step with the photos on the page, one update after the other.
function followPhotos() {
  let known = '';
  let timer;
  let step = Promise.resolve();
  const follow = (anew) => {
    const paths = keepsPhotos() ? uploadsShown() : [];
    if (!anew && paths.join('\n') === known) return;
    known = paths.join('\n');
    step = step.then(() => keepPhotos(paths)).catch(unless);
  };
  new MutationObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(follow, SETTLED_MS);
  }).observe(document.body, {childList: true, subtree: true, attributeFilter: ['data-file']});
  addEventListener('change', ({target}) => { if (target.closest('#keep-photos')) follow(true); });
  follow(true);
}

async function afterLoading() {
  const linked = new URLSearchParams(location.search).has('photo') ? 1 : 0; // an example photo that the address restores
  const before = Number(sessionStorage.getItem(COUNT_KEY)) - linked;
  sessionStorage.removeItem(COUNT_KEY);
  const kept = keepsPhotos() ? await forgetOldPhotos().then(keptPhotos).catch((problem) => { unless(problem); return []; }) : [];
  tellOfLostPhotos(before - kept.length, kept.length);
  await bringBack(kept);
  followPhotos();
}

addEventListener('change', ({target}) => {
  if (!target.closest('#keep-photos')) return;
  localStorage.setItem(KEEP_SETTING, target.checked ? 'yes' : 'no');
  if (!target.checked) forgetPhotos(() => true).catch(unless);
}, true);
shownOnPage(() => document.querySelector('#keep-photos input')).then(() => {
  document.querySelector('#keep-photos input').checked = keepsPhotos();
});

// Gradio (6.31) may run scripts of the head before or after the body is parsed.
if (document.body) afterLoading();
else addEventListener('DOMContentLoaded', afterLoading);
