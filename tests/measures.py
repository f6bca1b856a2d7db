"""What is measured in an explorer's page: functions in JavaScript that list what is wrong."""

OUTSIDE = """
() => [...document.querySelectorAll(
    "header, header *, footer, footer *, aside, #said, #crumbs, #foot, #foot *, .card *")]
  .filter((x) => !x.closest("math, .slope, .sum, ol") && x.getClientRects().length)
  .filter((x) => { const r = x.getBoundingClientRect();
                   return r.right > innerWidth + 1 || r.left < -1; })
  .map((x) => x.outerHTML.slice(0, 80))
"""

TEXTS_OUTSIDE = """
() => [...document.querySelectorAll("#graph .box")].flatMap((box) => {
  const frame = box.querySelector(".frame").getBoundingClientRect();
  const pill = box.querySelector(".pill")?.getBoundingClientRect();
  return [...box.querySelectorAll("text")].filter((x) => x.textContent).filter((x) => {
    const room = x.classList.contains("sign") ? pill : frame;
    const t = x.getBoundingClientRect();
    return t.left < room.left - 0.5 || t.right > room.right + 0.5 ||
      t.top < room.top - 0.5 || t.bottom > room.bottom + 0.5;
  }).map((x) => x.textContent);
})
"""

CONTRASTS = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = (window.knownColours ??= new Map()); // reading a pixel is slow
  const rgb = (colour) => {
    if (!known.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      known.set(colour, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return known.get(colour);
  };
  const over = (front, back, alpha = 1) =>
    [0, 1, 2].map((i) => back[i] + (front[i] - back[i]) * alpha * front[3] / 255);
  const light = (colour) => {
    const [r, g, b] = colour.map((x) => x / 255)
      .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [dark, bright] = [light(a), light(b)].sort((x, y) => x - y);
    return (bright + 0.05) / (dark + 0.05);
  };
  const poor = [];
  const page = over(rgb(getComputedStyle(document.body).backgroundColor), [255, 255, 255]);
  const background = (x) => {
    if (!x || x === document.documentElement) return page;
    const colour = rgb(getComputedStyle(x).backgroundColor);
    return colour[3] ? over(colour, background(x.parentElement)) : background(x.parentElement);
  };
  for (const x of document.querySelectorAll("#graph text")) {
    if (!x.textContent || getComputedStyle(x).visibility === "hidden") continue;
    const style = getComputedStyle(x);
    const room =
      x.parentElement.querySelector(x.classList.contains("sign") ? ".pill" : "rect:not(.pill)");
    const back = over(rgb(getComputedStyle(room).fill), page);
    const found = contrast(over(rgb(style.fill), back, Number(style.opacity)), back);
    if (found < 4.5) poor.push(`${x.textContent} ${x.getAttribute("class")}: ${found.toFixed(2)}`);
  }
  for (const x of document.querySelectorAll("body *:not(svg *):not(script):not(style)")) {
    const own = [...x.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const field = x.matches("input:not([type=range]):not([type=radio]), select");
    if (!(own || field) || !x.getClientRects().length || x.matches(":disabled")) continue;
    const back = background(x);
    const found = contrast(over(rgb(getComputedStyle(x).color), back), back);
    if (found < 4.5) poor.push(`${x.tagName} ${x.textContent.slice(0, 30)}: ${found.toFixed(2)}`);
  }
  return poor;
}
"""

SMALL_TEXTS = """
(least) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const small = [];
  while (walker.nextNode()) {
    const { parentElement: x, textContent: words } = walker.currentNode;
    if (!words.trim() || !x.getClientRects().length || x.closest("script, style, #live")) continue;
    const style = getComputedStyle(x);
    if (style.visibility === "hidden") continue;
    const size = parseFloat(style.fontSize) * (x.closest("svg") ? x.getScreenCTM().a : 1);
    if (size < least - 0.01) small.push(`${words.trim().slice(0, 20)}: ${size.toFixed(1)}`);
  }
  return small;
}
"""
"""Texts that are shown smaller than so many pixels."""

COVERED = """
() => {
  const shown = (all) => [...document.querySelectorAll(all)]
    .filter((x) => getComputedStyle(x).visibility !== "hidden")
    .map((x) => [x.parentElement.textContent, x.getBoundingClientRect()]);
  const boxes = shown("#graph .box .frame");
  const labels = shown("#graph .right rect");
  const meet = ([, a], [, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const all = [...boxes, ...labels];
  return all.flatMap((a, i) => all.slice(i + 1).filter((b) => meet(a, b))
    .map((b) => `${a[0]} and ${b[0]}`));
}
"""
"""Boxes and corrections of the picture that cover one another."""
