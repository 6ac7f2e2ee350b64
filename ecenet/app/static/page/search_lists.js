// Dropdowns of classes can be searched by typing, but Gradio (6.31) leaves the selected class in the field, so that
// typed text would be appended to it. A click into the field therefore selects its text, as the Tab key does. No longer
// needed once Gradio does so. Tested in tests/app/browser/test_many_classes.py.
document.addEventListener('click', ({ target }) => {
  if (target.matches?.('input[role=combobox][aria-autocomplete=list]')) target.select();
});
