// Keyboard shortcuts of the page, listed by "?". They are ignored while typing, and for keys that the focused control
// uses.
(() => {
  const HELP = [
    ['1 … 6', 'stage, from the coarse to the final mask'],
    ['[ and ]', 'previous and next photo'],
    ['V, C, E', 'show classes, confidence, entropy'],
    ['Space', 'photo with and without its mask'],
    ['arrow keys', 'on the picture: move the crosshair; on the map: go to the nearest point in that direction; '
      + 'on the filmstrip: change the stage; on sliders: change the value'],
    ['Enter', 'on the picture: select the pixel under the crosshair'],
    ['?', 'this list'],
  ];
  const MODES = {v: 'classes', c: 'confidence', e: 'entropy'};
  const TYPING = 'input:not([type=radio], [type=checkbox], [type=range]), textarea, select, [contenteditable=true]';
  const PRESSABLE = 'button, a, input, summary, [role=application], [role=tab]';

  const step = (selector, by) => {
    const all = [...document.querySelectorAll(selector)];
    all[all.findIndex((one) => one.ariaPressed === 'true') + by]?.click();
  };

  const help = () => {
    let dialog = document.querySelector('#ece-keys');
    if (!dialog) {
      dialog = Object.assign(document.createElement('dialog'), {id: 'ece-keys', ariaLabel: 'Keyboard shortcuts'});
      const list = document.createElement('dl');
      for (const [key, meaning] of HELP) {
        list.append(
          Object.assign(document.createElement('dt'), {textContent: key}),
          Object.assign(document.createElement('dd'), {textContent: meaning}),
        );
      }
      const close = Object.assign(document.createElement('button'), {textContent: 'Close', autofocus: true});
      close.addEventListener('click', () => dialog.close());
      dialog.append(list, close);
      // Inside Gradio's container, to inherit its colours.
      document.querySelector('.gradio-container').append(dialog);
    }
    if (dialog.open) dialog.close();
    else dialog.showModal();
  };

  document.addEventListener('keydown', (event) => {
    const {target, key} = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || target.closest?.(TYPING)) return;
    if (key === '?') help();
    else if (/^[1-9]$/.test(key)) document.querySelectorAll('#stage-picker input')[Number(key) - 1]?.click();
    else if (key === '[') step('#session-photos button', -1);
    else if (key === ']') step('#session-photos button', 1);
    else if (MODES[key]) document.querySelector(`#mask-mode input[value=${MODES[key]}]`)?.click();
    else if (key === ' ' && !target.closest?.(PRESSABLE)) {
      document.querySelector('.ece-segment')?.classList.toggle('ece-bare');
    } else return;
    event.preventDefault();
  });
})();
