// The size of a box, from the text in it. Names are set in a bold and numbers in a plain
// fixed-width font; all sizes are in pixels.

const LETTER_WIDTH = 0.6 * 13; // a letter's width is 0.6 of its size in all such fonts
const [ROW, INSIDE, PILL] = [17, 8, 30]; // a line's height; the margin; the narrowest place of a sign
const WIDEST_NUMBER = "grad −1.2346e−10";
const LONGEST_NAME = 18; // letters

const NO_COLUMN = /\p{M}/u;
const TWO_COLUMNS =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff01-\uff60]/u;

const columnsOf = (letter) => (NO_COLUMN.test(letter) ? 0 : TWO_COLUMNS.test(letter) ? 2 : 1);
const widthOf = (words) =>
  LETTER_WIDTH * [...words].reduce((sum, letter) => sum + columnsOf(letter), 0);
const even = (width) => 2 * Math.round(width / 2);

/** A box with its size: `w` and `h`, its `title`, and `pill`, the width of the place for its sign. */
function sized(box) {
  if (box.kind === "constant") {
    const number = format(Number(LESSON.nodes[box.node].data));
    return { ...box, w: even(widthOf(number) + 2 * INSIDE), h: 26 };
  }
  if (box.node === undefined) { // a folded one
    const { title, rows = [], output } = box;
    const texts = [title, ...rows, ...(output === undefined ? [] : [WIDEST_NUMBER])];
    const lines = rows.length + 1 + (output === undefined ? 0 : 2);
    return { ...box, w: even(Math.max(...texts.map(widthOf)) + 2 * INSIDE), h: lines * ROW + 12 };
  }
  const letters = [...LESSON.nodes[box.node].name];
  const isLong = letters.length > LONGEST_NAME;
  const title = (isLong ? ["…", ...letters.slice(1 - LONGEST_NAME)] : letters).join("");
  const sign = signOf(box.node);
  const pill = sign ? Math.max(PILL, even(widthOf(sign) + 14)) : 0;
  const width = Math.max(widthOf(title), widthOf(WIDEST_NUMBER) * 12 / 13);
  return { ...box, title, pill, w: even(width + 2 * INSIDE) + pill, h: 3 * ROW + 8 };
}
