// One query, opened: passages before and after, then window by window with reasoning and answer.
async function passagesOf(group, data) {
  const blocks = new Map();
  for (const place of data.texts) if (place != null) blocks.set(Array.isArray(place) ? place[0] : group, null);
  await Promise.all([...blocks.keys()].map(async (id) => { blocks.set(id, await block("t" + id)); }));
  return data.texts.map((place) => place == null ? "" : Array.isArray(place) ? blocks.get(place[0])[place[1]] : blocks.get(group)[place]);
}

async function opened(number) {
  const query = DATA.queries[number];
  const search = await block("s" + query.r);
  const first = DATA.queries.findIndex((one) => one.r === query.r);
  const group = Math.floor(number / DATA.group);
  const data = (await block("w" + group))[number % DATA.group];
  const ids = search.lists[number - first].map((id) => search.ids[id]);
  const texts = await passagesOf(group, data);
  const view = { query, data, ids, texts, was: new Map(data.after.map((doc) => [doc, doc])), text: search.queries[number - first] || query.q };
  const ranks = new Map(data.after.map((doc, rank) => [doc, rank]));
  return make("div", { class: "opened" }, heading(view), passages(view, ranks), windowList(view));
}

function heading(view) {
  const query = view.query;
  const facts = [query.a == null ? null : DATA.measure + " " + points(query.b) + " \u2192 " + points(query.a) + " (" + signed(query.d) + ")",
    view.data.relevant ? plural(view.data.grades.filter((grade) => grade > 0).length, "of " + count(view.data.relevant) + " relevant passages is", "of " + count(view.data.relevant) + " relevant passages are") + " among the candidates" : null,
    plural(query.n, "window"), count(query.p) + " tokens in, " + count(query.c) + " out", span(query.t)].filter(Boolean);
  return make("div", null, make("h3", null, "Query ", foreign(query.id)), view.text ? make("div", { class: "asked" }, longText(view.text, (text) => [shown(text)]).box) : null,
    make("p", { class: "quiet" }, facts.join(" \u00b7 ")));
}

const graded = (grade) => grade == null ? make("span", { class: "quiet" }, "not judged") : grade > 0 ? make("b", { class: "relevant" }, "relevant " + grade) : "judged " + grade;

function movement(was, now) {
  if (was === now) return make("span", { class: "quiet" }, "=");
  const far = Math.abs(was - now), up = now < was;
  return make("span", { class: up ? "up" : "down" }, make("span", { "aria-hidden": "true" }, up ? "\u25b2" : "\u25bc"), make("span", { class: "unseen" }, up ? "up " : "down "), count(far));
}

function passages(view, ranks) {
  const body = make("tbody");
  const judged = view.data.grades.some((grade) => grade != null);
  let sequence = view.data.after, limit = 20;
  const row = (doc) => make("tr", { class: view.data.grades[doc] > 0 ? "good" : null },
    make("th", { scope: "row", class: "number" }, ranks.has(doc) ? count(ranks.get(doc) + 1) : "\u2013"), make("td", { class: "number wide" }, count(doc + 1)),
    make("td", { class: "number" }, ranks.has(doc) ? movement(doc, ranks.get(doc)) : "dropped"), judged ? make("td", { class: "wide grade" }, graded(view.data.grades[doc])) : null,
    make("td", null, make("span", { class: "docid" }, foreign(view.ids[doc])), judged && view.data.grades[doc] > 0 ? make("span", { class: "narrow" }, " ", graded(view.data.grades[doc])) : null,
      view.texts[doc] ? make("div", { class: "excerpt" }, foreign(view.texts[doc], 1e6)) : null));
  const more = make("button", { type: "button", click: () => { limit = Infinity; paint(); } });
  const flip = make("button", { type: "button", "aria-pressed": "false", click: () => {
    const before = flip.getAttribute("aria-pressed") === "false";
    flip.setAttribute("aria-pressed", before);
    sequence = before ? [...view.ids.keys()] : view.data.after;
    paint();
  } }, "In first-stage order");
  function paint() {
    body.replaceChildren(...sequence.slice(0, limit).map(row));
    more.textContent = "Show all " + count(sequence.length);
    more.hidden = sequence.length <= limit;
  }
  paint();
  const head = make("tr", null, make("th", { scope: "col", class: "number" }, "Rank"), make("th", { scope: "col", class: "number wide" }, "Was"), make("th", { scope: "col", class: "number" }, "Moved"),
    judged ? make("th", { scope: "col", class: "wide" }, "Judged") : null, make("th", { scope: "col" }, "Passage"));
  return make("section", { class: "passages" }, make("div", { class: "bar" }, make("h4", null, "Passages before and after"), flip),
    make("div", { class: "beside" }, make("div", null, make("table", { class: "ranked" }, make("caption", { class: "unseen" }, "Passages of the query"), make("thead", null, head), body), more), slopes(view, ranks)));
}

// Lines from the rank before to the rank after, relevant passages in the accent colour.
function slopes(view, ranks) {
  const docs = view.data.after.slice(0, 200), most = Math.max(...docs, docs.length - 1, 1);
  const y = (rank) => (6 + 308 * rank / most).toFixed(1);
  const line = (doc) => draw("path", { d: "M14 " + y(doc) + "L146 " + y(ranks.get(doc)), class: view.data.grades[doc] > 0 ? "relevant" : "other" });
  const says = "Ranks before (left) and after (right)" + (view.data.relevant ? "; relevant passages are coloured" : "");
  return make("figure", { class: "slopes" }, draw("svg", { viewBox: "0 0 160 320", role: "img", "aria-label": says }, draw("title", null, says),
    docs.filter((doc) => !(view.data.grades[doc] > 0)).map(line), docs.filter((doc) => view.data.grades[doc] > 0).map(line)), make("figcaption", { class: "quiet" }, says));
}

function windowList(view) {
  const windows = view.data.windows;
  if (!windows.length) return make("p", { class: "quiet" }, "No window was judged for this query.");
  const texts = [];
  const parts = windows.map((window, place) => oneWindow(view, window, place, texts));
  const found = make("span", { class: "quiet", role: "status" });
  const input = make("input", { type: "search", autocomplete: "off", spellcheck: "false", input: () => find(input.value, parts, texts, found) });
  const all = make("button", { type: "button", click: () => {
    const open = parts.some((part) => !part.open);
    for (const part of parts) part.open = open;
    all.textContent = open ? "Close all" : "Open all";
  } }, "Open all");
  return make("section", null, make("div", { class: "bar" }, make("h4", null, plural(windows.length, "window")), make("label", null, "Find in reasoning ", input), found, all), parts);
}

function find(needle, parts, texts, found) {
  let total = 0;
  const open = new Set();
  for (const { place, text, paint } of texts) {
    const hits = needle ? text.toLowerCase().split(needle.toLowerCase()).length - 1 : 0;
    total += hits;
    if (hits) open.add(place);
    paint(hits ? needle : "");
  }
  if (needle) parts.forEach((part, place) => { part.open = open.has(place); });
  found.textContent = needle ? plural(total, "place") + " in " + plural(open.size, "window") : "";
}

function oneWindow(view, window, place, texts) {
  const from = view.data.windows, status = window.t, [tokensIn, tokensOut, seconds] = window.n, [cached, forced] = window.f;
  const facts = [count(tokensIn) + " in, " + count(tokensOut) + " out", seconds ? span(seconds) : null, cached ? "from the journal" : null, forced ? "answer asked for separately" : null].filter(Boolean);
  const part = make("details", { class: "window" }, make("summary", null, make("b", null, "Window " + (place + 1) + " of " + from.length), " ",
    make("span", { class: "status " + (DATA.statuses.includes(status) ? status : "") }, foreign(status, 40)), " ", make("span", { class: "quiet" }, plural(window.s.length, "passage") + " \u00b7 " + facts.join(" \u00b7 "))));
  const render = (text, needle) => marked(view, window, text, needle);
  const prose = (name, text) => {
    const long = longText(text, render);
    texts.push({ place, text, paint: (needle) => { if (part.dataset.filled) long.paint(needle); else { fill(); long.paint(needle); } } });
    return make("details", { open: true, class: "said" }, make("summary", null, name), text ? long.box : make("p", { class: "quiet" }, "none"));
  };
  let reasoning, answer;
  function fill() {
    if (part.dataset.filled) return;
    part.dataset.filled = "yes";
    part.append(window.e == null ? "" : make("p", { class: "error" }, "Error: ", foreign(window.e, 2000)), make("div", { class: "inside" }, make("div", null, reasoning, answer), judgedOrder(view, window)));
  }
  reasoning = prose("Reasoning", view.data.strings[window.r]);
  answer = prose("Answer", view.data.strings[window.a]);
  part.addEventListener("toggle", () => { if (part.open) fill(); });
  return part;
}

// The text with [n] explained by the passage it means, and the needle marked.
function marked(view, window, text, needle) {
  const escaped = needle ? needle.replace(/[.*+?^${}()|[\]\\\/-]/g, "\\$&") : "";
  const pattern = new RegExp(needle ? "(" + escaped + ")|\\[(\\d{1,4})\\]" : "($.)|\\[(\\d{1,4})\\]", "gi");
  const nodes = [];
  let end = 0, marks = 0;
  for (const match of text.matchAll(pattern)) {
    if (++marks > 5000) break;
    const doc = match[1] ? null : window.s[Number(match[2]) - 1];
    if (doc === undefined) continue;
    nodes.push(shown(text.slice(end, match.index)));
    nodes.push(match[1] ? make("mark", null, match[1]) : make("span", { class: view.data.grades[doc] > 0 ? "id relevant" : "id", title: short(view.ids[doc], 200) + "\n" + short(view.texts[doc], 400) }, match[0]));
    end = match.index + match[0].length;
  }
  nodes.push(shown(text.slice(end)));
  return nodes;
}

function judgedOrder(view, window) {
  const rows = window.o.map((slot, rank) => make("tr", { class: view.data.grades[window.s[slot]] > 0 ? "good" : null }, make("th", { scope: "row", class: "number" }, count(rank + 1)),
    make("td", { class: "number" }, "[" + (slot + 1) + "]"), make("td", { class: "number" }, movement(slot, rank)), make("td", { title: short(view.texts[window.s[slot]], 400) }, foreign(view.ids[window.s[slot]]),
      view.data.grades[window.s[slot]] > 0 ? [" ", graded(view.data.grades[window.s[slot]])] : null)));
  return make("div", null, make("table", { class: "order" }, make("caption", null, "Order after this window"), make("thead", null, make("tr", null, make("th", { scope: "col", class: "number" }, "Place"),
    make("th", { scope: "col", class: "number" }, "Shown as"), make("th", { scope: "col", class: "number" }, "Moved"), make("th", { scope: "col" }, "Docid"))), make("tbody", null, rows)));
}
