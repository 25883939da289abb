/* Sort the tables of a page by a click on a heading, again for the other way. Pages stay plain Markdown.

   A column of which all cells begin with a number, or are empty or a dash, is sorted as numbers ("1,234 µs" is 1234,
   "1.29 %" is 1.29); any other as text. What is empty stays at the end, equal rows in the order they had. */
"use strict";

/* The number at the beginning of a cell, NaN where there is none; null where the cell is empty or a dash. */
function numberOf(text) {
  if (/^[–—-]?$/.test(text)) return null;
  const found = /^[≤≥<>~≈×]?\s*([+−-]?\d[\d, ]*(?:\.\d+)?(?:e[+−-]?\d+)?)/i.exec(text);
  return found ? Number(found[1].replace(/[,\s]/g, "").replace(/−/g, "-")) : NaN;
}

/* Compare two texts, or two cells as `numberOf` reads them; `way` is 1 or −1, and null is last either way. */
function order(a, b, way) {
  if (a === null || b === null) return (a === null) - (b === null);
  return way * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

/* The order of the rows of a column: indices, sorted. */
function sorted(texts, way) {
  const numbers = texts.map(numberOf);
  const keys = numbers.some(Number.isNaN) ? texts.map((text) => text || null) : numbers;
  return keys.map((_, index) => index).sort((i, j) => order(keys[i], keys[j], way) || i - j);
}

function sortable(table) {
  const headings = [...table.querySelectorAll("thead th")];
  const body = table.tBodies[0];
  if (!body || body.rows.length < 3 || headings.some((heading) => heading.hasAttribute("aria-sort"))) return;
  headings.forEach((heading, column) => {
    if (!heading.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const way = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach((other) => other.hasAttribute("aria-sort") && other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
      const rows = [...body.rows];
      const texts = rows.map((row) => (row.cells[column] ? row.cells[column].textContent.trim() : ""));
      body.append(...sorted(texts, way).map((index) => rows[index]));
    });
  });
}

if (typeof document !== "undefined") {
  document.querySelectorAll(".md-content table:not(.highlighttable)").forEach(sortable);
} else {
  module.exports = { numberOf, sorted }; // asked by tests/test_site.py
}
