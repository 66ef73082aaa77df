"use strict";
// Every text of others goes through shown() and into text nodes or attributes, never into markup.
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}\p{Cs}]/gu;
const LONG = 12000;

function shown(text) {
  return String(text).replace(/\r\n/g, "\n").replace(CONTROLS, (found) =>
    "\u27e6U+" + found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e7");
}

function short(text, limit) {
  const clean = shown(text.slice(0, limit + 1));
  return text.length > limit ? clean.slice(0, limit) + "\u2026" : clean;
}

function make(tag, properties, ...children) {
  return filled(document.createElement(tag), properties, children);
}

function draw(tag, properties, ...children) {
  const space = document.getElementById("svg").namespaceURI;
  return filled(document.createElementNS(space, tag), properties, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, shown(value));
  }
  node.append(...children.flat(3).filter((child) => child != null && child !== false)
    .map((child) => child instanceof Node ? child : shown(child)));
  return node;
}

function foreign(text, limit = 300) {
  return make("bdi", { dir: "auto" }, short(text, limit));
}

const whole = new Intl.NumberFormat("en");
const count = (value) => whole.format(value);
const compact = (value) => value < 1e6 ? count(value) : (value / 1e6).toFixed(value < 1e8 ? 2 : 1) + " M";
const points = (value) => value == null ? "\u2013" : minus((100 * value).toFixed(2));
const minus = (text) => text.replace("-", "\u2212");
const signed = (value) => value == null ? "\u2013" : (value > 0 ? "+" : "") + points(value);
const plural = (number, one, more) => count(number) + " " + (number === 1 ? one : more || one + "s");

function span(seconds) {
  if (seconds == null) return "\u2013";
  if (seconds < 100) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
  if (seconds < 5400) return Math.floor(seconds / 60) + " min " + Math.round(seconds % 60) + " s";
  return (seconds / 3600).toFixed(1) + " h";
}

// A long text, cut with a button that shows all; render(text, needle) gives the nodes.
function longText(text, render) {
  const body = make("bdi", { dir: "auto", class: "prose" });
  const box = make("div", null, body);
  let all = text.length <= LONG;
  const button = all ? null : make("button", { type: "button", class: "more", click: () => { all = true; paint(""); } },
    "Show all " + count(text.length) + " characters");
  function paint(needle) {
    if (needle) all = true;
    body.replaceChildren(...render(all ? text : text.slice(0, LONG) + "\u2026", needle));
    if (button) { if (all) button.remove(); else box.append(button); }
  }
  paint("");
  return { box, paint };
}

const kept = new Map();

// The block of that element, unpacked once; the last few stay in memory.
async function block(id) {
  if (kept.has(id)) return kept.get(id);
  const element = document.getElementById(id);
  if (!element) throw new Error("this page is incomplete: block " + id + " is missing");
  const letters = atob(element.textContent);
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const value = await new Response(stream).json();
  if (kept.size > 80) for (const old of [...kept.keys()].slice(0, 40)) kept.delete(old);
  kept.set(id, value);
  return value;
}
