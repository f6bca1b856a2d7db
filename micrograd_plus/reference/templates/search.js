// Finds public names, and headings of the guide, while one types.
const field = document.getElementById("search");
const found = document.getElementById("found");

function search() {
  const wanted = field.value.trim().toLowerCase();
  const rank = ([name]) => {
    const last = name.toLowerCase().split(".").at(-1);
    return last === wanted ? 0 : last.startsWith(wanted) ? 1 : 2;
  };
  const hits = !wanted ? [] : NAMES
    .filter(([name, , text]) => `${name} ${text}`.toLowerCase().includes(wanted))
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, 12);
  found.hidden = !wanted;
  found.replaceChildren(...hits.map(([name, url, text]) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = url;
    link.textContent = name;
    item.append(link, ` ${text}`);
    return item;
  }));
  if (wanted && !hits.length) found.textContent = "Nothing has this name.";
}

field.addEventListener("input", search);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    document.getElementById("menu").checked = true;
    field.focus();
  } else if (event.key === "Enter" && document.activeElement === field) {
    found.querySelector("a")?.click();
  }
});
