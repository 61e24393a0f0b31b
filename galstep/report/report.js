"use strict";
// Sorts and filters the rows of the table. Without it the page shows all, in the order of the list.
(function () {
  const table = document.getElementById("galaxies");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const headers = Array.from(table.tHead.rows[0].cells);
  const control = (name) => document.getElementById(name);
  const FILTER = 2; // the column that names the filters of a row, a line each
  let sorted = { column: null, ascending: true };

  // Which line of a row's cells is meant: that of the chosen filter, else that of the base.
  function lineOf(row) {
    const wanted = control("filter").value;
    if (wanted === "" || row.cells.length <= FILTER + 1) return Number(row.dataset.base);
    return row.cells[FILTER].textContent.split("\n").findIndex((n) => n.replace(/\*$/, "") === wanted);
  }

  // What a row is sorted by; null where there is nothing, which comes last.
  function keyOf(row, column, kind) {
    if (column === 0) return row.cells[0].querySelector("b").textContent.toLowerCase();
    const cell = row.cells[column];
    if (cell === undefined || cell.classList.contains("why")) return null;
    if (cell.classList.contains("flags")) return cell.querySelectorAll(".flag").length;
    const lines = cell.textContent.split("\n");
    const line = lines.length === 1 && row.cells[FILTER].textContent.includes("\n") ? 0 : lineOf(row);
    const number = parseFloat((lines[line] || "").replace(/^[>\s]+/, ""));
    return Number.isNaN(number) ? null : number;
  }

  function compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return sorted.ascending ? order : -order;
  }

  function sortBy(column, ascending) {
    sorted = { column, ascending };
    const kind = headers[column].dataset.sort;
    const keys = new Map(rows.map((row) => [row, keyOf(row, column, kind)]));
    rows.sort((a, b) => compare(keys.get(a), keys.get(b)));
    body.append(...rows);
    headers.forEach((header) => header.removeAttribute("aria-sort"));
    headers[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  }

  function choose() {
    const words = control("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = control("status").value;
    const flag = control("flag").value;
    let shown = 0;
    for (const row of rows) {
      const flags = row.dataset.flags.split(" ").filter(Boolean);
      const fits =
        words.every((word) => row.dataset.text.includes(word)) &&
        (status === "" || row.dataset.status === status) &&
        (flag === "" ||
          (flag === "-" ? flags.length === 0 && row.dataset.status === "ok" : flags.includes(flag)));
      row.hidden = !fits;
      shown += fits;
    }
    control("shown").textContent = shown;
  }

  headers.forEach((header, column) => {
    if (!header.dataset.sort) return;
    const sort = () => sortBy(column, !(sorted.column === column && sorted.ascending));
    header.addEventListener("click", sort);
    header.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort();
      }
    });
  });
  control("text").addEventListener("input", choose);
  control("status").addEventListener("change", choose);
  control("flag").addEventListener("change", choose);
  control("filter").addEventListener("change", () => {
    if (sorted.column !== null) sortBy(sorted.column, sorted.ascending);
  });
  // a browser that goes back to the page keeps what was typed
  choose();
})();
