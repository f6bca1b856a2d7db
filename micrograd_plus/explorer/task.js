// A task of an exam: the picture of a graph, with blanks or with all numbers.

/** Fills an element with the picture for these numbers of the leaves. */
function fillTask(place, numbers, blank) {
  for (const view of LESSON.views) if (view.width === undefined) arrange(view);
  const parts = LESSON.views.flatMap((view) => partsOf(view, PAPER.long, PAPER.short / 2));
  addFigures(place, parts, play(numbers, null), numbers, blank);
}
