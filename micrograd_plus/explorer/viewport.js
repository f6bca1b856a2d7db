// The window onto the picture: how large it is shown, which part of it, and a map of the whole.
//
// The picture lies in an element that scrolls. One finger and the wheel therefore move it as they
// move any page, and at its edge they move what is around it: a notebook, or the page on a phone.
// So the wheel zooms only with Ctrl, which is also how browsers report two fingers on a touchpad.

const LARGEST = 6; // zoom, as a multiple of the smallest
const LARGEST_FITTED = 2; // to which a small picture grows by itself
const DRAG = 4; // pixels that the mouse moves before it drags
const WHEEL = 0.01; // zoom for each pixel of the wheel
const WHEEL_MOST = 25; // pixels of one event: a mouse's wheel jumps by 100 and more
const MAP = { width: 180, height: 56, least: 20 }; // pixels

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/** How far to scroll for what lies between `from` and `to` to come to the middle, unless it is seen. */
const toMiddle = (from, to, start, end) =>
  from >= start && to <= end ? 0 : (from + to - start - end) / 2;

class Viewport {
  /** room: the element that scrolls; onZoom: is told whether zooming out and in is possible. */
  constructor(room, svg, map, onZoom) {
    Object.assign(this, { room, svg, map, onZoom, zoom: 1, fitted: true });
    this.listenToMouse();
    this.listenToFingers();
    this.listenToMap();
    room.addEventListener("scroll", () => this.frame());
    addEventListener("resize", () => this.resize());
  }

  /** Follows a room whose size has changed. */
  resize() {
    if (this.fitted) this.fit();
    else this.showMap();
    this.frame();
  }

  /** Opens a picture. */
  show({ width, height, view: { boxes } }) {
    Object.assign(this, { width, height });
    this.map.replaceChildren();
    this.marks = boxes.map(({ x, y, w, h }) => make(this.map, "rect", { x, y, width: w, height: h }));
    this.seen = make(this.map, "rect", { class: "seen" });
    const scale = Math.min(MAP.width / width, MAP.height / height);
    this.map.setAttribute("viewBox", this.svg.getAttribute("viewBox"));
    this.map.setAttribute("width", Math.max(MAP.least, scale * width));
    this.map.setAttribute("height", Math.max(MAP.least, scale * height));
    this.fit();
  }

  /** The zoom at which the smallest text of the picture has the least size of a text on the page. */
  get smallest() {
    const style = getComputedStyle(this.svg);
    return parseFloat(style.getPropertyValue("--smallest")) / parseFloat(style.fontSize);
  }

  /** The width and the height that the room has for the picture. */
  get space() {
    const { room } = this;
    return [room.clientWidth, parseFloat(getComputedStyle(room).maxHeight) || room.clientHeight];
  }

  /** Makes the picture as large as its room allows, but no text too small to read. */
  fit() {
    this.map.toggleAttribute("hidden", true); // there is none of a picture that fits
    const [width, height] = this.space;
    const scale = Math.min(width / this.width, height / this.height);
    this.setZoom(Math.min(LARGEST_FITTED * this.smallest, scale));
    this.fitted = true;
  }

  setZoom(zoom) {
    const { smallest } = this;
    this.fitted = false;
    this.zoom = Math.max(smallest, Math.min(LARGEST * smallest, zoom));
    this.showMap();
    this.svg.setAttribute("width", this.zoom * this.width);
    this.svg.setAttribute("height", this.zoom * this.height);
    this.onZoom(this.zoom > smallest, this.zoom < LARGEST * smallest);
  }

  /** There is no map of a picture that is seen whole. */
  showMap() {
    const [width, height] = this.space;
    const larger = this.zoom * this.width > width + 1 || this.zoom * this.height > height + 1;
    this.map.toggleAttribute("hidden", !larger);
    this.room.classList.toggle("larger", larger);
  }

  /** Zooms, and keeps what is at a point of the window where it is; without one, at the middle. */
  zoomBy(factor, x, y) {
    const room = this.room.getBoundingClientRect();
    x ??= (room.left + room.right) / 2;
    y ??= (room.top + room.bottom) / 2;
    const before = this.svg.getBoundingClientRect();
    const [u, v] = [(x - before.left) / before.width, (y - before.top) / before.height];
    this.setZoom(this.zoom * factor);
    const after = this.svg.getBoundingClientRect();
    this.room.scrollBy(after.left + u * after.width - x, after.top + v * after.height - y);
    this.frame();
  }

  /** Moves the window over the picture by shares of its size. */
  panBy(across, down) {
    this.room.scrollBy(across * this.room.clientWidth, down * this.room.clientHeight);
  }

  /** Moves the picture until elements are seen, if they are not; the first one, if not all fit. */
  follow(elements) {
    if (!elements.length) return;
    const room = this.room.getBoundingClientRect();
    const rects = elements.map((element) => element.getBoundingClientRect());
    const around = (side, of) => of(...rects.map((rect) => rect[side]));
    const span = (from, to, size) => {
      const [start, end] = [around(from, Math.min), around(to, Math.max)];
      const whole = end - start <= room[size];
      return whole ? [start, end] : [rects[0][from], rects[0][to]];
    };
    const left = toMiddle(...span("left", "right", "width"), room.left, room.right);
    const top = toMiddle(...span("top", "bottom", "height"), room.top, room.bottom);
    if (!left && !top) return;
    const near = Math.abs(left) <= room.width && Math.abs(top) <= room.height;
    this.room.scrollBy({ left, top, behavior: near && !stillness.matches ? "smooth" : "instant" });
  }

  /** Shows on the map which part is seen. */
  frame() {
    const { room, svg, map } = this;
    if (map.hasAttribute("hidden")) return;
    const [whole, part] = [svg.getBoundingClientRect(), room.getBoundingClientRect()];
    const [x, y] = svg.getAttribute("viewBox").split(" ").map(Number);
    put(this.seen, "x", x + Math.max(0, part.left - whole.left) / this.zoom);
    put(this.seen, "y", y + Math.max(0, part.top - whole.top) / this.zoom);
    put(this.seen, "width", Math.min(part.width, whole.width) / this.zoom);
    put(this.seen, "height", Math.min(part.height, whole.height) / this.zoom);
  }

  /** Marks boxes on the map: those of the step. */
  mark(boxes) {
    this.marks.forEach((rect, i) => rect.classList.toggle("active", boxes.includes(i)));
  }

  listenToMouse() {
    const { room } = this;
    room.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const lines = event.deltaMode ? WHEEL_MOST : 1;
      const moved = Math.max(-WHEEL_MOST, Math.min(WHEEL_MOST, lines * event.deltaY));
      this.zoomBy(Math.exp(-WHEEL * moved), event.clientX, event.clientY);
    }, { passive: false });
    let last = null; // where the mouse was, while its button is down
    let dragged = false;
    room.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" || event.button !== 0) return;
      last = event;
      dragged = false;
    });
    room.addEventListener("pointermove", (event) => {
      if (!last) return;
      const [across, down] = [last.clientX - event.clientX, last.clientY - event.clientY];
      if (!dragged && Math.hypot(across, down) < DRAG) return;
      if (!dragged) room.setPointerCapture(event.pointerId);
      dragged = true;
      last = event;
      room.scrollBy(across, down);
    });
    for (const type of ["pointerup", "pointercancel"]) {
      room.addEventListener(type, () => { last = null; });
    }
    room.addEventListener("click", (event) => { // the end of a drag is no click on a box
      if (dragged) event.stopPropagation();
      dragged = false;
    }, { capture: true });
  }

  /** Two fingers zoom around the point between them, and move it; one scrolls, by the browser. */
  listenToFingers() {
    const { room } = this;
    const pinch = ({ touches: [a, b] }) => ({
      x: (a.clientX + b.clientX) / 2,
      y: (a.clientY + b.clientY) / 2,
      apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)),
    });
    let last = null;
    const follow = (event) => {
      if (event.touches.length !== 2) {
        last = null;
        return;
      }
      event.preventDefault();
      const now = pinch(event);
      if (last) {
        room.scrollBy(last.x - now.x, last.y - now.y);
        this.zoomBy(now.apart / last.apart, now.x, now.y);
      }
      last = now;
    };
    for (const type of ["touchstart", "touchmove", "touchend", "touchcancel"]) {
      room.addEventListener(type, follow, { passive: false });
    }
  }

  /** A point on the map that is pressed comes to the middle of the window. */
  listenToMap() {
    const { room, svg, map } = this;
    const go = (event) => {
      if (!event.buttons) return;
      const { left, top, width, height } = map.getBoundingClientRect();
      const whole = svg.getBoundingClientRect();
      const part = room.getBoundingClientRect();
      const across = (event.clientX - left) / width;
      const down = (event.clientY - top) / height;
      room.scrollBy(
        whole.left + across * whole.width - (part.left + part.right) / 2,
        whole.top + down * whole.height - (part.top + part.bottom) / 2,
      );
    };
    map.addEventListener("pointerdown", (event) => {
      map.setPointerCapture(event.pointerId);
      go(event);
    });
    map.addEventListener("pointermove", go);
  }
}
