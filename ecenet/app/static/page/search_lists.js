// A list of classes can be searched by typing, but Gradio (6.31) leaves the chosen class in its field, which what is
// typed would be added to. A click into the field therefore selects what stands there, as the Tab key does. Needless once
// Gradio does so. tests/app/browser/test_many_classes.py shows it.
document.addEventListener('click', ({ target }) => {
  if (target.matches?.('input[role=combobox][aria-autocomplete=list]')) target.select();
});
