// The tasks of an exam: pictures of graphs, with blanks or with all numbers.

/** Fills each place of a task with the picture of its graph, for its numbers of the leaves.
 *
 * The page's data is a lesson for each graph of the exam.
 */
function fillTasks(blank) {
  const lessons = LESSON;
  for (const place of document.querySelectorAll(".graph-task")) {
    LESSON = lessons[place.dataset.graph];
    for (const view of LESSON.views) if (view.width === undefined) arrange(view);
    const parts = LESSON.views.flatMap((view) => partsOf(view, PAPER.long, PAPER.short / 2));
    const numbers = JSON.parse(place.dataset.numbers);
    addFigures(place, parts, play(numbers, null), numbers, blank);
  }
}
