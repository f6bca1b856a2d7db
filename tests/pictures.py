"""Is a picture there, and is there something in it? Used by the tests and by the gate.

python tests/pictures.py FOLDER    checks the demo's pictures
"""

import struct
import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree

DEMO = [
    f"{name}.{ending}"
    for name in ("loss", "decision-boundary", "network", "neuron")
    for ending in ("svg", "png")
]


def smallest_text(figure):
    """The font size of the smallest text in a plot."""
    from matplotlib.text import Text

    figure.canvas.draw()
    texts = figure.findobj(lambda artist: isinstance(artist, Text))
    return min(text.get_fontsize() for text in texts if text.get_visible() and text.get_text())


def png_size(path):
    """Width, height and the number of different bytes in the pixels of a PNG file."""
    content = Path(path).read_bytes()
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path} is not a PNG file")
    width, height = struct.unpack(">II", content[16:24])
    pixels, at = b"", 8
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"IDAT":
            pixels += content[at + 8 : at + 8 + length]
        at += 12 + length
    shown = zlib.decompress(pixels)
    return width, height, sum(byte in shown for byte in range(256))


def svg_elements(path):
    """How many elements an SVG file has that draw something."""
    drawing = ("path", "polygon", "ellipse", "text", "use", "line", "rect", "circle", "polyline")
    tree = ElementTree.parse(path)
    return sum(element.tag.rsplit("}", 1)[-1] in drawing for element in tree.iter())


def check(path):
    """ValueError unless the picture is large enough and has enough in it."""
    path = Path(path)
    if path.suffix == ".png":
        width, height, tones = png_size(path)
        if min(width, height) < 200 or tones < 16:
            raise ValueError(f"{path} is nearly empty: {width} × {height}, {tones} tones")
    elif svg_elements(path) < 12:
        raise ValueError(f"{path} is nearly empty: {svg_elements(path)} elements")


if __name__ == "__main__":
    for name in DEMO:
        check(Path(sys.argv[1]) / name)
    print(f"{len(DEMO)} pictures are there, and something is in each")
