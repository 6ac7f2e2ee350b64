// Photos belong to a session on the server. Reloading the page or restarting the server starts a new one. Photos that the
// browser has kept are sent again; for the others, the page states how many were lost and how to save them next time.
// Uses `showNote`, `send` and `photoField` of drops.js, and kept_photos.js.
const COUNT_KEY = 'ecenet-photos';
const SETTLED_MS = 300;
const OPENED = /^opened-/; // name of a session from a file, which replaces the one before on purpose

const uploadsShown = () => [...document.querySelectorAll('#session-photos [data-file]')].map((one) => one.dataset.file);
const sessionShown = () => document.querySelector('#session-photos [data-session]')?.dataset.session;
const photosShown = () => document.querySelectorAll('#session-photos button').length;
const unless = (problem) => console.warn('Photos are not kept in this browser:', problem);

addEventListener('pagehide', () => {
  sessionStorage.setItem(COUNT_KEY, photosShown());
});

function tellOfLostPhotos(lost, back, cause) {
  if (!(lost > 0)) return;
  const [photos, were] = lost > 1 ? [`${lost} photos`, 'were'] : ['1 photo', 'was'];
  const others = back ? ` ${back} more ${back > 1 ? 'are' : 'is'} restored.` : '';
  showNote(`${photos} ${were} lost because ${cause}; add them again.${others} `
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

// After the server has lost the session of a page that is still open.
async function afterLoss(shown) {
  const kept = keepsPhotos() ? await keptPhotos() : [];
  if (shown > kept.length) tellOfLostPhotos(shown - kept.length, kept.length, 'the server lost this session');
  else showNote(`The server lost this session. Your ${kept.length > 1 ? 'photos are' : 'photo is'} restored.`);
  await bringBack(kept);
}

// Keeps the stored copies in step with the photos on the page, one update after the other.
function followPhotos() {
  let known = '';
  let session = sessionShown();
  let shown = photosShown();
  let timer;
  let step = Promise.resolve();
  const follow = (anew) => {
    const now = sessionShown();
    const before = shown;
    const lost = session && now !== undefined && now !== session && !OPENED.test(now) && before > 0;
    [session, shown] = [now ?? session, photosShown()];
    if (lost) {
      known = '';
      step = step.then(() => afterLoss(before)).catch(unless);
      return;
    }
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
  tellOfLostPhotos(before - kept.length, kept.length, 'the page was reloaded');
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
