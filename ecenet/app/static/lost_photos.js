// Photos are in the server's memory, in the session of one visit: a page that is loaded anew begins another. It then says
// how many there were, and how to keep them next time. Only their number is kept, in this tab of the browser.
// Uses `showNote` of drops.js.
const COUNT_KEY = 'ecenet-photos';

addEventListener('pagehide', () => {
  sessionStorage.setItem(COUNT_KEY, document.querySelectorAll('#session-photos button').length);
});
function tellOfLostPhotos() {
  const linked = new URLSearchParams(location.search).has('photo') ? 1 : 0; // an example that the address brings back
  const lost = Number(sessionStorage.getItem(COUNT_KEY)) - linked;
  sessionStorage.removeItem(COUNT_KEY);
  if (!(lost > 0)) return;
  const [photos, were] = lost > 1 ? [`${lost} photos`, 'were'] : ['1 photo', 'was'];
  showNote(`${photos} ${were} here before the page was loaded anew, which begins a new session: add them again. `
    + 'Next time press "Save all as .zip" first; opening that file brings everything back.');
}

// Gradio (6.31) may run scripts of the head before or after the page has been read.
if (document.body) tellOfLostPhotos();
else addEventListener('DOMContentLoaded', tellOfLostPhotos);
