// The filmstrip of stages, and its navigation by arrow keys and by swiping across the picture.
const SWIPE = {least: 50, most: 40}; // minimum distance along, maximum distance aside, in pixels

const stageMoves = (element) => {
  const frames = () => [...element.querySelectorAll('[data-frame]')];
  let start = null;

  const move = (by, {focus}) => {
    const all = frames();
    const next = all[all.findIndex((frame) => frame.getAttribute('aria-pressed') === 'true') + by];
    next?.click();
    if (focus) next?.focus();
  };

  // Marks the stage that is shown, and scrolls to it if the filmstrip does not fit.
  const show = (stage) => {
    for (const frame of frames()) {
      frame.ariaPressed = frame.dataset.frame === stage;
      const strip = frame.parentElement;
      if (frame.ariaPressed !== 'true' || strip.dataset.shown === stage) continue;
      strip.dataset.shown = stage;
      strip.scrollLeft = frame.offsetLeft - strip.offsetLeft - 8;
    }
  };

  element.addEventListener('keydown', (event) => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!by || !event.target.closest('[data-frame]')) return;
    event.preventDefault();
    move(by, {focus: true});
  });
  element.addEventListener('touchstart', (event) => {
    const inside = event.touches.length === 1 && event.target.closest('.ece-photo');
    start = inside ? [event.touches[0].clientX, event.touches[0].clientY] : null;
  }, {passive: true});
  element.addEventListener('touchend', (event) => {
    if (!start) return;
    const {clientX, clientY} = event.changedTouches[0];
    const [along, aside] = [clientX - start[0], Math.abs(clientY - start[1])];
    start = null;
    if (Math.abs(along) >= SWIPE.least && aside <= SWIPE.most) move(along < 0 ? 1 : -1, {focus: false});
  });

  return {show};
};
