// The list of queries: searched, filtered, sorted, in pages; a query opens below its row.
const PER_PAGE = 50;
const judgedAny = DATA.queries.some((query) => query.d != null);
const ORDERS = {
  given: ["as in the run", (query) => query.number],
  gain: ["largest gain", (query) => -(query.d ?? -9)],
  loss: ["largest loss", (query) => query.d ?? 9],
  after: ["best after", (query) => -(query.a ?? -1)],
  before: ["best before", (query) => -(query.b ?? -1)],
  moved: ["most new in the top 10", (query) => -query.m],
  odd: ["most failed windows", (query) => -(1e6 * (query.e + query.s[3]) + 1e3 * query.s[2] + query.s[1])],
  tokens: ["most tokens out", (query) => -query.c],
  time: ["longest", (query) => -query.t],
};
const KINDS = {
  all: ["all", () => true],
  helped: ["helped", (query) => query.d > 1e-9],
  hurt: ["hurt", (query) => query.d < -1e-9],
  unchanged: ["unchanged", (query) => query.d != null && Math.abs(query.d) <= 1e-9],
  failed: ["failed windows", (query) => query.failed],
};
const COLUMNS = [["Query", "given", "name"], ["First stage", "before", "number wide", judgedAny], ["Reranked", "after", "number wide", judgedAny],
  ["Change", "gain", "number", judgedAny], ["New in top 10", "moved", "number", !judgedAny], ["Windows", "odd", "number wide"], ["Tokens out", "tokens", "number wide"], ["Time", "time", "number wide"]]
  .filter((column) => column[3] !== false);
const state = { words: [], hits: null, task: "", kind: "all", order: "given", page: 0, open: new Set() };
let list = [];

function row(query) {
  const id = "query-" + query.number;
  const button = make("button", { type: "button", class: "open", "aria-expanded": state.open.has(query.number) ? "true" : "false", "aria-controls": id, click: () => toggle(query.number) },
    make("span", { class: "qid" }, several ? [foreign(DATA.results[query.r].name, 60), " "] : "", foreign(query.id, 80)), query.q ? [" ", foreign(query.q, 230)] : null);
  const rest = query.n - query.s[0];
  const change = make("span", { class: "change" }, make("i", { class: query.d < 0 ? "loss" : "gain", "aria-hidden": "true" }), make("span", null, signed(query.d)));
  change.firstChild.style.width = Math.round(36 * Math.abs(query.d || 0)) + "px";
  const cells = { given: button, before: points(query.b), after: points(query.a), gain: change, moved: count(query.m), tokens: count(query.c), time: span(query.t),
    odd: [count(query.n), rest ? make("small", { class: query.failed ? "bad" : "quiet" }, DATA.statuses.slice(1).map((name, place) => query.s[place + 1] ? " " + query.s[place + 1] + " " + name : "").join("")) : null] };
  return make("tr", { "data-number": query.number }, COLUMNS.map(([, key, kind]) => key === "given" ? make("th", { scope: "row", class: kind }, cells[key]) : make("td", { class: kind }, cells[key])));
}

function detail(number) {
  const box = make("td", { colspan: COLUMNS.length }, make("p", { class: "quiet" }, "Unpacking\u2026"));
  opened(number).then((node) => box.replaceChildren(node), (error) => box.replaceChildren(make("p", { class: "error" }, "This query cannot be shown: " + error.message)));
  return make("tr", { class: "detail", id: "query-" + number }, box);
}

function toggle(number) {
  const line = at("list").querySelector("tr[data-number='" + number + "']");
  const open = !state.open.has(number);
  if (open) state.open.add(number); else state.open.delete(number);
  line.querySelector("button.open").setAttribute("aria-expanded", open);
  if (open) line.after(detail(number)); else at("query-" + number)?.remove();
  if (open) history.replaceState(null, "", "#query=" + number);
}

function choose() {
  const keep = KINDS[state.kind][1], key = ORDERS[state.order][1];
  list = DATA.queries.filter((query) => keep(query) && (state.task === "" || query.r === Number(state.task)) && (!state.hits || state.hits.has(query.number)));
  list = list.map((query) => [key(query), query]).sort((x, y) => x[0] - y[0] || x[1].number - y[1].number).map((pair) => pair[1]);
}

function paint() {
  const pages = Math.max(1, Math.ceil(list.length / PER_PAGE));
  state.page = Math.min(state.page, pages - 1);
  const from = state.page * PER_PAGE, part = list.slice(from, from + PER_PAGE);
  at("list").tBodies[0].replaceChildren(...part.flatMap((query) => state.open.has(query.number) ? [row(query), detail(query.number)] : [row(query)]));
  at("count").textContent = list.length === DATA.queries.length ? plural(list.length, "query", "queries") : count(list.length) + " of " + plural(DATA.queries.length, "query", "queries");
  at("page").textContent = list.length ? count(from + 1) + "\u2013" + count(from + part.length) + " of " + count(list.length) : "nothing matches";
  at("previous").disabled = state.page === 0;
  at("next").disabled = state.page >= pages - 1;
  at("pages").hidden = pages === 1;
  for (const head of at("list").querySelectorAll("th[data-order]")) head.setAttribute("aria-sort", head.dataset.order === state.order ? (["given"].includes(state.order) ? "ascending" : "descending") : "none");
}

function refresh() {
  state.page = 0;
  choose();
  paint();
}

let searches = 0;
const lowered = new Map();

// What a search looks through, one text a query, made on the first search.
async function haystack(result) {
  if (!lowered.has(result)) {
    const data = await block("s" + result), own = DATA.queries.filter((query) => query.r === result);
    const ids = data.ids.map((id) => id.toLowerCase());
    lowered.set(result, own.map((query, place) => [query.number, (query.id + "\n" + data.queries[place]).toLowerCase(), data.lists[place], ids]));
  }
  return lowered.get(result);
}

async function search(text) {
  const mine = ++searches, words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) { state.hits = null; refresh(); return; }
  const hits = new Set();
  for (const result of DATA.results.keys()) {
    const lines = await haystack(result);
    if (mine !== searches) return;
    const whole = text.trim().toLowerCase(), matching = new Set();
    if (lines.length) lines[0][3].forEach((id, place) => { if (id.includes(whole)) matching.add(place); });
    for (const [number, line, docs] of lines)
      if (words.every((word) => line.includes(word)) || (matching.size && docs.some((doc) => matching.has(doc)))) hits.add(number);
  }
  state.hits = hits;
  refresh();
}

// Show that query, whatever is filtered now.
function go(number) {
  Object.assign(state, { hits: null, task: "", kind: "all" });
  for (const [id, value] of [["search", ""], ["task", ""], ["kind", "all"]]) at(id).value = value;
  choose();
  state.page = Math.floor(list.findIndex((query) => query.number === number) / PER_PAGE);
  state.open.add(number);
  paint();
  const line = at("list").querySelector("tr[data-number='" + number + "']");
  line.scrollIntoView({ block: "start" });
  line.querySelector("button.open").focus({ preventScroll: true });
}

function begin() {
  lead(); leaderboards(); scores(); gains(); running();
  const options = (id, entries) => at(id).replaceChildren(...entries.map(([value, name]) => make("option", { value }, short(name, 80))));
  options("task", [["", "all"], ...DATA.results.map((result, place) => [String(place), result.name + " (" + result.queries + ")"])]);
  options("kind", Object.entries(KINDS).map(([key, [name, keep]]) => [key, name, DATA.queries.filter(keep).length])
    .filter(([key, , size]) => key === "all" || key === "failed" || judgedAny && size >= 0).map(([key, name, size]) => [key, name + " (" + count(size) + ")"]));
  options("order", Object.entries(ORDERS).filter(([key]) => judgedAny || !["gain", "loss", "after", "before"].includes(key)).map(([key, [name]]) => [key, name]));
  at("task-label").hidden = !several;
  at("list").tHead.rows[0].append(...COLUMNS.map(([name, order, kind]) => make("th", { scope: "col", class: kind, "data-order": order }, make("button", { type: "button", class: "sort", click: () => {
    state.order = order === "gain" && state.order === "gain" ? "loss" : order;
    at("order").value = state.order;
    refresh();
  } }, name))));
  for (const id of ["task", "kind", "order"]) at(id).addEventListener("change", () => { state[id] = at(id).value; refresh(); });
  let timer;
  at("search").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => search(at("search").value), 150); });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  const turn = (by) => { state.page += by; paint(); at("queries").scrollIntoView(); };
  at("previous").addEventListener("click", () => turn(-1));
  at("next").addEventListener("click", () => turn(1));
  refresh();
  const asked = /^#query=(\d+)$/.exec(location.hash);
  if (asked && DATA.queries[Number(asked[1])]) addEventListener("load", () => go(Number(asked[1])));
}

begin();
