const DATA = JSON.parse(document.getElementById("index").textContent);
const at = (id) => document.getElementById(id);
const several = DATA.results.length > 1;
DATA.queries.forEach((query, number) => {
  query.number = number;
  query.d = query.a == null || query.b == null ? null : query.a - query.b;
  query.failed = query.s[DATA.statuses.indexOf("FAILED")] > 0 || query.e > 0;
});

function table(heads, rows, properties) {
  const head = make("tr", null, heads.map((name, place) => make("th", { scope: "col", class: place ? "number" : null }, name)));
  const body = rows.map((row) => make("tr", { class: row.class }, row.cells.map((cell, place) =>
    place ? make("td", { class: "number" }, cell) : make("th", { scope: "row" }, cell))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": properties.label },
    make("table", null, make("caption", { class: "unseen" }, properties.label), make("thead", null, head), make("tbody", null, body)));
}

function interval(triple, sign) {
  const show = sign ? signed : points;
  return [show(triple[0]), make("small", { class: "interval" }, " [" + show(triple[1]) + ", " + show(triple[2]) + "]")];
}

// The first few distinct names, and how many more there are.
function listed(names) {
  const all = [...new Set(names)];
  return [all.slice(0, 4).map((name, place) => [place ? ", " : "", foreign(name)]), all.length > 4 ? " and " + count(all.length - 4) + " more" : ""];
}

function published(name) {
  for (const board of DATA.leaderboards) for (const row of board.rows)
    if (row.task === name || row.task.split("/").pop() === name) return row.published;
  return null;
}

function leaderboards() {
  const section = at("leaderboards");
  const two = (value) => value == null ? "\u2013" : minus(value.toFixed(2));
  for (const board of DATA.leaderboards) {
    const cells = (row) => [foreign(row.task), row.queries == null ? "\u2013" : count(row.queries), two(row.first_stage), make("b", null, two(row.ours)),
      row.low == null ? "\u2013" : "[" + two(row.low) + ", " + two(row.high) + "]",
      two(row.published), row.difference == null ? "\u2013" : (row.difference > 0 ? "+" : "") + two(row.difference), foreign(row.verdict)];
    const rows = board.rows.map((row) => ({ cells: cells(row) }));
    if (board.average) rows.push({ cells: cells(board.average), class: "total" });
    section.append(make("h2", null, "Against the published scores"),
      make("p", { class: "quiet" }, [board.condition && ["Condition ", foreign(board.condition), ". "], board.qrels_kind && ["Judgements: ", foreign(board.qrels_kind), ". "],
        board.source && ["Published in ", foreign(board.source), ". "], DATA.measure + " \u00d7 100."]),
      table(["Task", "Queries", "First stage", "Ours", "95% interval", "Published", "Difference", "Verdict"], rows, { label: "Leaderboard" }),
      board.footnotes.length ? make("ul", { class: "quiet notes" }, board.footnotes.map((note) => make("li", null, foreign(note, 1000)))) : "");
  }
  section.hidden = !DATA.leaderboards.length;
}

function headline(row, known) {
  const [won, tied, lost] = row.counts;
  const tile = (name, value, under) => make("div", { class: "tile" }, make("dt", null, name), make("dd", null, value, make("small", null, under)));
  const of = DATA.all ? ", mean of the runs" : "";
  const range = (triple, show) => "95% interval " + show(triple[1]) + " to " + show(triple[2]);
  return make("dl", { class: "tiles" },
    tile("First stage" + of, points(row.before[0]), range(row.before, points)),
    tile("Reranked" + of, points(row.after[0]), range(row.after, points)),
    tile("Difference", signed(row.difference[0]), range(row.difference, signed)),
    tile("Helped, unchanged, hurt", [count(won), " \u00b7 ", count(tied), " \u00b7 ", count(lost)], "of " + plural(row.queries, "judged query", "judged queries")),
    known == null ? null : tile("Published", minus(known.toFixed(2)), "reranked, by the authors"));
}

function scores() {
  const judged = DATA.results.filter((result) => result.scores.length);
  if (!judged.length) return;
  const section = at("scores");
  const top = DATA.all ? { ...DATA.all[0], ...DATA.mean } : judged[0].scores[0];
  const cells = (name, row, known) => [name, count(row.queries), interval(row.before), interval(row.after), interval(row.difference, true),
    row.counts.join(" / "), ...(DATA.leaderboards.length ? [known == null ? "\u2013" : minus(known.toFixed(2))] : [])];
  const rows = several
    ? judged.map((result) => ({ cells: cells(foreign(result.name), result.scores[0], published(result.name)) }))
    : judged[0].scores.map((row, place) => ({ cells: cells(make("span", { class: "nowrap" }, row.measure), row, place ? null : published(judged[0].name)) }));
  if (DATA.all) {
    rows.push(...DATA.all.map((row) => ({ class: "total", cells: cells("All queries, " + row.measure, row, null) })));
    const mean = DATA.mean;
    rows.push({ class: "total", cells: ["Mean of the runs, " + DATA.measure, "", interval(mean.before), interval(mean.after), interval(mean.difference, true), "", ...(DATA.leaderboards.length ? [""] : [])] });
  }
  const notes = judged.filter((result) => result.left_out).map((result) => make("li", null,
    several ? [foreign(result.name), ": "] : "", plural(result.left_out, "judged query was", "judged queries were"), " not reranked here and do not count."));
  section.append(
    make("p", { class: "quiet" }, DATA.measure + " \u00d7 100 over the judged queries that were reranked. Judgements: ",
      listed(judged.map((result) => result.qrels)), ".",
      DATA.leaderboards.length ? " Here the first stage keeps the order in which it was reranked; in the table above it is sorted by score, equal scores by docid." : ""),
    headline(top, several ? null : published(judged[0].name)),
    table([several ? "Run" : "Measure", "Queries", "First stage", "Reranked", "Difference", "Won / tied / lost", ...(DATA.leaderboards.length ? ["Published"] : [])], rows, { label: "Scores before and after" }),
    notes.length ? make("ul", { class: "quiet notes" }, notes) : "");
  section.hidden = false;
}

function gains() {
  const sorted = DATA.queries.filter((query) => query.d != null).sort((x, y) => y.d - x.d);
  if (!sorted.length) return;
  const size = sorted.length, wide = Math.max(size, 24), most = Math.max(0.05, ...sorted.map((query) => Math.abs(query.d)));
  const bar = (query, place) => "M" + place + " 100h" + (size > 300 ? 1 : 0.82) + "v" + (-97 * query.d / most).toFixed(2) + "h" + (size > 300 ? -1 : -0.82) + "z";
  const path = (keep, name) => draw("path", { class: name, d: sorted.map((query, place) => keep(query.d) ? bar(query, place) : "").join("") });
  const pointer = draw("rect", { class: "pointer", width: Math.max(1, wide / 400), height: 200, x: -9 });
  const up = sorted.filter((query) => query.d > 1e-9).length, down = sorted.filter((query) => query.d < -1e-9).length;
  const says = plural(size, "query", "queries") + " sorted by the change of " + DATA.measure + ": " + count(up) + " gain, up to " + signed(sorted[0].d) + "; "
    + count(down) + " lose, down to " + signed(sorted[size - 1].d) + ".";
  const chart = draw("svg", { viewBox: "0 0 " + wide + " 200", preserveAspectRatio: "none", role: "img", "aria-label": says, class: "bars" },
    draw("title", null, says), path((d) => d > 0, "gain"), path((d) => d < 0, "loss"), draw("path", { class: "axis", d: "M0 100H" + wide }), pointer);
  const readout = make("p", { class: "quiet readout" }, says + " Point at a bar to read it, press it to open the query.");
  const pick = (event) => {
    const box = chart.getBoundingClientRect();
    return Math.floor((event.clientX - box.left) / box.width * wide);
  };
  chart.addEventListener("pointermove", (event) => {
    const query = sorted[pick(event)];
    if (!query) return;
    pointer.setAttribute("x", pick(event));
    readout.replaceChildren(make("b", null, signed(query.d)), " (" + points(query.b) + " to " + points(query.a) + ") ", foreign(label(query), 160));
  });
  chart.addEventListener("click", (event) => { const query = sorted[pick(event)]; if (query) go(query.number); });
  const opener = (query) => make("button", { type: "button", class: "link", click: () => go(query.number) }, foreign(label(query), 110));
  const list = (queries) => queries.map((query) => ({ cells: [opener(query), points(query.b), points(query.a), signed(query.d)] }));
  const heads = ["Query", "First stage", "Reranked", "Change"];
  at("gains").append(make("figure", null, make("div", { class: "plot" }, make("span", { class: "tick" }, "+" + (100 * most).toFixed(0)), make("span", { class: "tick low" }, "\u2212" + (100 * most).toFixed(0)), chart), make("figcaption", null, readout)),
    make("details", null, make("summary", null, "The largest gains and losses as a table"), make("div", { class: "pair" },
      table(heads, list(sorted.filter((query) => query.d > 1e-9).slice(0, 10)), { label: "Largest gains" }),
      table(heads, list(sorted.filter((query) => query.d < -1e-9).slice(-10).reverse()), { label: "Largest losses" }))));
  at("gains").hidden = false;
}

const label = (query) => (several ? DATA.results[query.r].name + " " : "") + query.id + (query.q ? ": " + query.q : "");

function share(statuses, windows) {
  const parts = DATA.statuses.filter((name) => statuses[name]);
  const bar = make("span", { class: "share", "aria-hidden": "true" }, parts.map((name) => make("i", { class: name })));
  parts.forEach((name, place) => { bar.children[place].style.flexGrow = statuses[name]; });
  return [bar, make("span", { class: "legend" }, DATA.statuses.map((name) => make("span", { class: statuses[name] ? "" : "none" },
    make("i", { class: "key " + name, "aria-hidden": "true" }), name + " " + count(statuses[name] || 0), statuses[name] ? " (" + (100 * statuses[name] / windows).toFixed(1) + "%)" : "")))];
}

function running() {
  const section = at("running");
  at("running-title").textContent = several ? "The runs" : "The run";
  const sum = (name) => DATA.results.reduce((total, result) => total + (result[name] || 0), 0);
  const statuses = {};
  for (const result of DATA.results) for (const [name, number] of Object.entries(result.statuses)) statuses[name] = (statuses[name] || 0) + number;
  const fact = (name, value, under) => make("div", { class: "tile" }, make("dt", null, name), make("dd", null, value, under ? make("small", null, under) : null));
  const windows = sum("windows"), per = (name) => windows ? count(Math.round(sum(name) / windows)) + " a window" : "";
  section.append(make("dl", { class: "tiles" },
    fact("Queries", count(sum("queries")), plural(windows, "window") + (sum("deadline") ? ", " + count(sum("deadline")) + " cut short by the deadline" : "")), fact("Tokens in", compact(sum("prompt_tokens")), per("prompt_tokens")),
    fact("Tokens out", compact(sum("completion_tokens")), per("completion_tokens")),
    fact("Time", span(sum("seconds")), span(sum("model_seconds")) + " of model calls" + (sum("cached") ? ", " + count(sum("cached")) + " from the journal" : "")),
    fact("Errors", count(sum("errors")), sum("errors") ? "of windows that kept their order" : "every window was judged")),
  make("h3", null, "How the answers could be read"), make("p", null, share(statuses, windows)));
  const messages = DATA.results.flatMap((result) => result.messages);
  if (messages.length) section.append(make("details", { open: true }, make("summary", null, "Errors"),
    make("ul", { class: "notes" }, messages.slice(0, 20).map(([text, times]) => make("li", null, count(times) + " \u00d7 ", foreign(text, 400))))));
  if (several) section.append(table(["Run", "Queries", "Windows", ...DATA.statuses.map((name) => name), "Errors", "Tokens in", "Tokens out", "Time"],
    DATA.results.map((result) => ({ cells: [foreign(result.name), count(result.queries), count(result.windows), ...DATA.statuses.map((name) => count(result.statuses[name] || 0)),
      count(result.errors), compact(result.prompt_tokens), compact(result.completion_tokens), span(result.seconds)] })), { label: "The runs one by one" }));
  for (const result of DATA.results) section.append(make("details", { class: "settings" },
    make("summary", null, several ? [foreign(result.name), ": "] : "", "Settings and environment"),
    result.details.map(([title, rows]) => make("div", { class: "scroll" }, make("table", { class: "facts" }, make("caption", null, title),
      make("tbody", null, rows.map(([name, value]) => make("tr", null, make("th", { scope: "row" }, foreign(name)), make("td", null, foreign(value, 2000))))))))));
}

function lead() {
  const models = [...new Set(DATA.results.map((result) => result.model).filter(Boolean))];
  const unfinished = DATA.results.filter((result) => !result.finished), fused = [...new Set(DATA.results.map((result) => result.fused).filter(Boolean))];
  at("title").textContent = short(DATA.title, 200);
  at("lead").append(...filled(make("span"), null, [listed(models), models.length ? ", " : "",
    plural(DATA.queries.length, "query", "queries"), several ? " in " + plural(DATA.results.length, "run") : "", ". ",
    fused.length ? ["Reranked orders are fused with the first stage (", foreign(fused.join("; ")), "); windows show the orders of the model. "] : "",
    unfinished.length ? make("b", null, plural(unfinished.length, "run is", "runs are") + " not finished: this page shows what has been judged so far.") : ""]).childNodes);
  at("foot").textContent = "Made by reasonrank-pyserini " + DATA.version + ". This page is one file and loads nothing.";
}
