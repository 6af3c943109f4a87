// Sorts and filters the table of all rows; without it the page loses nothing but this table.
(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("data").textContent);
  var grid = document.getElementById("grid");
  var state = { column: 0, down: false, words: [] };
  var shown = 300;

  function make(name, text) {
    var element = document.createElement(name);
    if (text !== undefined) { element.textContent = text; }
    return element;
  }

  function compare(a, b) {
    var x = a[state.column], y = b[state.column];
    if (x === null || y === null) { return (x === null) - (y === null); }
    var order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return (state.down ? -order : order) || a[0] - b[0];
  }

  function matches(row) {
    var text = row.join(" ").toLowerCase();
    return state.words.every(function (word) { return text.indexOf(word) >= 0; });
  }

  var input = make("input");
  input.type = "search";
  input.placeholder = "Filter: words that a row must contain, such as 12:4 zipf";
  input.setAttribute("aria-label", "Filter rows");
  var count = make("p"), table = make("table"), head = make("tr"), body = make("tbody");
  var thead = make("thead"), box = make("div");
  box.className = "scroll";
  thead.appendChild(head);
  table.appendChild(thead);
  table.appendChild(body);
  box.appendChild(table);
  [input, count, box].forEach(function (element) { grid.appendChild(element); });

  data.columns.forEach(function (name, idx) {
    var th = make("th"), button = make("button", name);
    th.scope = "col";
    if (data.rows.length && typeof data.rows[0][idx] === "string") { th.className = "text"; }
    button.type = "button";
    button.addEventListener("click", function () {
      state.down = state.column === idx ? !state.down : false;
      state.column = idx;
      draw();
    });
    th.appendChild(button);
    head.appendChild(th);
  });

  function draw() {
    var rows = data.rows.filter(matches).sort(compare);
    var first = rows.slice(0, shown);
    count.textContent = rows.length + " rows match" + (rows.length > shown ? "; the first " + shown + " are shown" : "");
    body.textContent = "";
    first.forEach(function (row) {
      var tr = make("tr");
      row.forEach(function (value) {
        var td = make("td", value === null ? "\u2013" : value);
        if (typeof value === "string") { td.className = "text"; }
        tr.appendChild(td);
      });
      body.appendChild(tr);
    });
    Array.prototype.forEach.call(head.children, function (th, idx) {
      th.setAttribute("aria-sort", idx !== state.column ? "none" : state.down ? "descending" : "ascending");
    });
  }

  input.addEventListener("input", function () {
    state.words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    draw();
  });
  draw();
})();
