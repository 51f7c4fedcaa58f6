
"use strict";

// Text from the corpus goes into text nodes only, and styles go through the CSSOM only: the page's policy allows no more.

const NEUTRAL = 127; // the middle of the steps 0 to 254 that stand for values
const NOTHING = 255; // not a number
const LEVELS = 8; // of colour, on each side of the middle

const $ = (id) => document.getElementById(id);

function el(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const fixed = (value, digits = 2) =>
  value === null || Number.isNaN(value) ? "–" : value.toFixed(digits).replace(/^-(?=.*[1-9])/, "−").replace(/^-/, "");
const signed = (value, digits = 3) => (value > 0 ? "+" : "") + fixed(value, digits);
const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`);
const count = (value) => value.toLocaleString("en");
const named = (signal) => data.signals[signal]?.label ?? signal;
const meaningOf = (signal) => data.signals[signal]?.meaning ?? "";
const inline = (text) =>
  text.replaceAll("\n", "⏎").replaceAll("\t", "→").replace(/^ $/, "␣").replace(/^(?=\p{M})/u, "◌");

// ---- data

let data, block;

async function load() {
  data = JSON.parse($("data").textContent);
  const packed = atob($("block").textContent);
  const bytes = new Uint8Array(packed.length);
  for (let k = 0; k < packed.length; k++) bytes[k] = packed.charCodeAt(k);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  block = await new Response(stream).arrayBuffer();
  $("block").remove();
}

const bytesAt = ([at, size]) => new Uint8Array(block, at, size);
const floatsAt = ([at, size]) => new Float32Array(block.slice(at, at + 4 * size));
const integersAt = ([at, size]) => new Uint32Array(block.slice(at, at + 4 * size));
const valueOf = (signal, step) => (step === NOTHING ? NaN : signal.low + (step / (2 * NEUTRAL)) * (1 - signal.low));

// ---- what is shown now

const now = { entry: -1, unit: null, signal: 0, caret: 0, limit: NEUTRAL };
let entries = []; // what the list shows: findings, then the units without one
let spans = []; // one for each character of the passage
let painted = []; // the class of each span
let passage;

const signalNow = () => now.unit.signals[now.signal];
const unitOf = ({ layer, unit }) => data.units.find((other) => other.layer === layer && other.unit === unit);
const findingNow = () => {
  const { finding } = entries[now.entry] ?? {};
  return finding && unitOf(finding) === now.unit ? finding : now.unit.findings[0];
};

function choose(entry) {
  const unit = unitOf(entries[entry]);
  if (!unit) return refuse(entries[entry]);
  const signal = unit.signals.findIndex((each) => each.name === entries[entry].signal);
  now.entry = entry;
  show(unit, Math.max(0, signal));
  const item = $("list").children[entry];
  item.scrollIntoView({ block: "nearest" });
  $("list").setAttribute("aria-activedescendant", item.id);
}

function refuse({ layer, unit }) {
  const here = data.units.map((each) => `${each.layer}:${each.unit}`);
  const some = here.slice(0, 8).join(", ") + (here.length > 8 ? ", …" : "");
  $("picked").textContent = `Unit ${layer}:${unit} is not on this page, which has ${here.length} (${some}).`;
}

function pick(layer, unit) {
  const found = unitOf({ layer, unit });
  if (!found) return refuse({ layer, unit });
  const entry = entries.findIndex((each) => unitOf(each) === found);
  choose(entry);
}

function step(direction) {
  let entry = now.entry + direction;
  while (entries[entry] && !unitOf(entries[entry])) entry += direction;
  if (entries[entry]) choose(entry);
}

function show(unit, signal) {
  now.unit = unit;
  now.signal = signal;
  $("picked").textContent = "";
  $("layer").value = unit.layer;
  $("unit").value = unit.unit;
  [...$("list").children].forEach((item, k) => item.setAttribute("aria-selected", String(k === now.entry)));
  paint();
  showHead();
  showSnippets();
  showHistogram();
  showFindings();
  inspect(now.caret);
  markDots();
  clearTimeout(now.linking); // browsers refuse to change the address at every repeat of a held key
  now.linking = setTimeout(() => history.replaceState(null, "", `#${unit.layer}:${unit.unit}:${signalNow().name}`), 300);
  const finding = findingNow();
  $("live").textContent = `Layer ${unit.layer}, unit ${unit.unit}, ${named(signalNow().name)}` +
    (finding ? `: ${finding.feature}, ${scoreOf(finding)}, ${finding.verdict}` : "");
}

const showSignal = (signal) => show(now.unit, signal);

// ---- colours

const CLASSES = Array.from({ length: 2 * LEVELS + 1 }, (_, k) =>
  k < LEVELS ? `n${LEVELS - k}` : k > LEVELS ? `p${k - LEVELS}` : "z");

function classOf(value, limit) {
  const level = value === NOTHING ? 0 : Math.round(((value - NEUTRAL) / limit) * LEVELS);
  return CLASSES[LEVELS + Math.max(-LEVELS, Math.min(LEVELS, level))];
}

function extremes(values) {
  let [least, most] = [NOTHING, 0];
  for (const value of values) {
    if (value === NOTHING) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return [least, most];
}

function paint() {
  const values = bytesAt(signalNow().values);
  now.limit = NEUTRAL;
  if ($("fit").checked) {
    const [least, most] = extremes(values);
    now.limit = Math.max(1, NEUTRAL - least, most - NEUTRAL);
  }
  const classes = Array.from({ length: 256 }, (_, value) => classOf(value, now.limit));
  for (let t = 0; t < spans.length; t++) {
    const name = classes[values[t]];
    if (painted[t] !== name) spans[t].className = painted[t] = name;
  }
  drawOverview(values);
}

function drawOverview(values) {
  const canvas = $("overview");
  const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth)));
  const context = canvas.getContext("2d");
  const colours = [...$("legend").querySelectorAll(".ramp span")].map((cell) => getComputedStyle(cell).backgroundColor);
  if (!colours.length) return;
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x * values.length) / width);
    const to = Math.max(from + 1, Math.floor(((x + 1) * values.length) / width));
    let sum = 0;
    for (let t = from; t < to; t++) sum += values[t] === NOTHING ? 0 : values[t] - NEUTRAL;
    context.fillStyle = colours[CLASSES.indexOf(classOf(NEUTRAL + sum / (to - from), now.limit))];
    context.fillRect(x, 0, 1, canvas.height);
  }
}

// ---- the passage

function written(text, pieces, values, limit) {
  // One span for each piece and one block for each line, so that the browser skips the lines out of sight.
  let line = el("div", { className: "l" });
  const made = Array.from(pieces, (piece, t) => {
    const [shown] = data.characters[piece];
    const span = el("span", { className: values ? classOf(values[t], limit) : "z", textContent: shown });
    span.place = t;
    if (shown === "\n") span.textContent = "⏎";
    if (shown === "\t") span.textContent = "→\t";
    if (!shown) span.dataset.kind = "empty";
    else if (/^[\n\t]$|^[\u2400-\u2421]$|^<U\+/.test(shown)) span.dataset.kind = "sign";
    line.append(span);
    if (shown === "\n") {
      text.append(line);
      line = el("div", { className: "l" });
    }
    return span;
  });
  if (line.childNodes.length) text.append(line);
  return made;
}

function readPassage() {
  passage = {
    pieces: integersAt(data.pieces), surprise: floatsAt(data.surprise),
    expected: integersAt(data.expected), probabilities: floatsAt(data.probabilities),
  };
  spans = written($("text"), passage.pieces);
  painted = spans.map(() => "z");
  $("where").textContent = `${count(spans.length)} characters, from position ${count(data.start)} on.`;
  const text = $("text");
  text.addEventListener("mouseover", (event) => event.target.place !== undefined && inspect(event.target.place));
  text.addEventListener("mouseleave", () => inspect(now.caret));
  text.addEventListener("click", (event) => event.target.place !== undefined && move(event.target.place, false));
  $("overview").addEventListener("click", (event) => {
    move(Math.floor((event.offsetX / $("overview").clientWidth) * spans.length));
  });
}

function move(place, scrolls = true) {
  place = Math.max(0, Math.min(spans.length - 1, place));
  spans[now.caret].removeAttribute("aria-current");
  spans[place].setAttribute("aria-current", "true");
  now.caret = place;
  if (scrolls) spans[place].scrollIntoView({ block: "nearest" });
  inspect(place);
  const value = valueOf(signalNow(), bytesAt(signalNow().values)[place]);
  $("live").textContent = `${inline(data.characters[passage.pieces[place]][0])}, ${fixed(value)}`;
}

// ---- the character under the pointer

function bar(key, from, to, kind, text, className = "") {
  const fill = el("i", { className: kind });
  fill.style.left = `${100 * Math.min(from, to)}%`;
  fill.style.width = `${100 * Math.abs(to - from)}%`;
  return [
    el("span", { className: `key ${className}`, textContent: key }), el("span", { className: "track" }, fill),
    el("span", { className: `number ${className}`, textContent: text }),
  ];
}

function signalBars(place) {
  return now.unit.signals.flatMap((signal, k) => {
    const step = bytesAt(signal.values)[place];
    const to = step === NOTHING ? 0.5 : step / (2 * NEUTRAL);
    const kind = to < 0.5 ? "low" : "high";
    const bars = bar(named(signal.name), 0.5, to, kind, fixed(valueOf(signal, step)), k === now.signal ? "now" : "");
    bars[0].title = meaningOf(signal.name);
    return bars;
  });
}

function expectedBars(place) {
  const bars = [];
  const next = place + 1 < spans.length ? data.characters[passage.pieces[place + 1]][0] : null;
  for (let k = place * data.guesses; k < (place + 1) * data.guesses; k++) {
    const symbol = data.symbols[passage.expected[k]];
    const probability = passage.probabilities[k];
    bars.push(...bar(inline(symbol), 0, probability, "", percent(probability), symbol === next && !data.hasLabels ? "came" : ""));
  }
  return bars;
}

function inspect(place) {
  const signal = signalNow();
  const step = bytesAt(signal.values)[place];
  const [shown, name] = data.characters[passage.pieces[place]];
  const nats = passage.surprise[place];
  const cost = Number.isNaN(nats) ? "-" : `${fixed(nats)} nats, ${fixed(nats / Math.LN2)} bits`;
  const glyph = inline(shown) || "·";
  const size = [...glyph].length > 2 ? "long" : "";
  const big = el("span", { className: `big ${classOf(step, now.limit)} ${size}`, textContent: glyph });
  const names = el("div", { className: "names" }, name, el("br"), `position ${count(data.start + place)}`);
  const part = (textContent, ...children) => el("div", {}, el("h3", { textContent }), ...children);
  $("inspector").replaceChildren(
    el("div", { className: "glyph" }, big, names),
    part("Signals of this unit here", el("div", { className: "bars", id: "values" }, ...signalBars(place))),
    part(data.hasLabels ? "Surprise at the label" : "Surprise at this character", el("span", { id: "surprise", className: "number", textContent: cost })),
    part(data.hasLabels ? "Label expected, as read so far" : "Expected next", el("div", { className: "bars", id: "expected" }, ...expectedBars(place))),
  );
  const mark = $("mark");
  if (mark) mark.setAttribute("transform", `translate(${step === NOTHING ? -9 : (100 * step) / (2 * NEUTRAL)} 0)`);
}

// ---- the unit

const scoreName = (finding) => (finding.statistic === "auroc" ? "AUROC" : "ρ");
const scoreOf = (finding) => `${scoreName(finding)} ${fixed(finding.score)}`;
const verdictOf = ({ verdict }) =>
  el("span", { className: `verdict ${verdict}`, textContent: verdict, title: data.verdicts[verdict] ?? "" });

function showHead() {
  const { layer, unit, signals } = now.unit;
  const signal = signalNow();
  $("name").textContent = `Layer ${layer}, unit ${unit}`;
  $("story").replaceChildren(...story(findingNow()));
  $("signals").replaceChildren(...signals.map((each, k) => {
    const button = el("button", { type: "button", textContent: named(each.name), title: meaningOf(each.name) });
    button.setAttribute("aria-pressed", String(k === now.signal));
    button.addEventListener("click", () => showSignal(k));
    return button;
  }));
  const [least, most] = extremes(bytesAt(signal.values));
  const reach = (sign) => fixed(valueOf(signal, NEUTRAL + sign * now.limit));
  const finding = findingNow();
  const facts = [
    ["unit", `${layer}:${unit}`], ["signal", named(signal.name)],
    ["here", `${fixed(valueOf(signal, least))} to ${fixed(valueOf(signal, most))}`],
    ["on", `${percent(signal.shareOn)} of the time`],
  ];
  if (finding) facts.push(["score", scoreOf(finding)]);
  const cells = $("legend").querySelectorAll(".ramp span");
  const steps = cells.length ? cells : CLASSES.map((className) => el("span", { className }));
  const ramp = el("span", { className: "ramp" }, ...steps);
  $("legend").replaceChildren(
    el("span", { className: "scale number" }, reach(-1), ramp, reach(1)),
    ...facts.map(([key, value]) => el("span", { className: "number" }, `${key} `, el("b", { textContent: value }))),
  );
}

function chanceOf(finding) {
  return finding.p === null ? "not tested: the label changes too seldom" : `p ${fixed(finding.p, 3)}`;
}

function story(finding) {
  if (!finding) return ["This unit is not the best one for any feature."];
  const low = finding.score < 0 ? "low" : "high";
  const where = `${low} where ${finding.feature} ${finding.statistic === "auroc" ? "holds" : "is great"}`;
  const parts = [
    `${named(finding.signal)} is ${where}: `, el("b", { textContent: scoreOf(finding) }),
    ` in the first half of the text, ${fixed(finding.confirmed)} in the second (${chanceOf(finding)}), `,
    `${signed(finding.gain, 2)} against the better baseline. `,
  ];
  if (finding.delta) {
    const [present, absent] = finding.delta.map((value) => signed(value));
    parts.push(`Clamped, it costs ${present} nats a character where the feature is present, ${absent} where it is absent. `);
  }
  return [...parts, verdictOf(finding)];
}

function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part) => [part, el("wbr")]);
}

function showSnippets() {
  const signal = signalNow();
  $("moments").hidden = !signal.snippets.length;
  $("moments-title").textContent = `Where ${named(signal.name)} is highest, then where it is lowest`;
  $("snippets").replaceChildren(...signal.snippets.map((snippet) => {
    const words = el("div", { className: "words" });
    const values = bytesAt(snippet.values);
    const made = written(words, integersAt(snippet.pieces), values, now.limit);
    made.forEach((span, t) => (span.title = fixed(valueOf(signal, values[t]))));
    const most = values[snippet.peak];
    made[snippet.peak]?.setAttribute("data-peak", "");
    const value = el("b", { textContent: fixed(valueOf(signal, most)) });
    const at = el("div", { className: "at number" }, value, el("br"), `at ${count(snippet.start)} `);
    const place = snippet.start - data.start;
    if (place >= 0 && place < spans.length) {
      const button = el("button", { type: "button", textContent: "show" });
      button.addEventListener("click", () => move(place + snippet.peak));
      at.append(el("br"), button);
    }
    return el("li", {}, at, words);
  }));
}

function showHistogram() {
  const signal = signalNow();
  const bars = integersAt(signal.histogram);
  const most = Math.max(1, ...bars);
  const width = 100 / bars.length;
  const rects = Array.from(bars, (number, k) => {
    const height = number && Math.max(0.8, (50 * number) / most);
    const kind = k + 0.5 < bars.length / 2 ? "below" : "above";
    return svg("rect", { x: k * width, y: 50 - height, width: width * 0.86, height, class: kind });
  });
  const mark = svg("line", { id: "mark", class: "mark", x1: 0, x2: 0, y1: 0, y2: 50 });
  const digits = signal.low ? 0 : 1;
  const ends = [signal.low, (signal.low + 1) / 2, 1].map((value) => el("span", { textContent: fixed(value, digits) }));
  $("histogram").replaceChildren(
    svg("svg", { viewBox: "0 0 100 50", preserveAspectRatio: "none", "aria-hidden": "true" }, ...rects, mark),
    el("div", { className: "ends number" }, ...ends),
  );
  $("habit-title").textContent = `How often ${named(signal.name)} has which value`;
  $("share").textContent = `Above ${fixed((signal.low + 1) / 2, digits)} for ${percent(signal.shareOn)} of the characters.`;
}

function showFindings() {
  const { findings } = now.unit;
  $("tests").hidden = !findings.length;
  const heads = ["feature", "signal", "score", "confirmed", "p", "gain", "Δ present", "Δ absent", "verdict"];
  const rows = findings.map((finding) => el("tr", {}, ...[
    finding.feature, named(finding.signal), scoreOf(finding), fixed(finding.confirmed), fixed(finding.p, 3),
    signed(finding.gain, 2),
    ...(finding.delta ?? [null, null]).map((value) => signed(value)), verdictOf(finding),
  ].map((value) => el("td", { className: "number" }, value))));
  const head = el("thead", {}, el("tr", {}, ...heads.map((textContent) => el("th", { textContent, scope: "col" }))));
  $("findings").replaceChildren(el("table", {}, head, el("tbody", {}, ...rows)));
}

// ---- the list

function buildList() {
  const found = data.ranked.map((finding) => ({ ...finding, finding }));
  const others = data.units.filter((unit) => !found.some((entry) => unitOf(entry) === unit));
  entries = [...found, ...others.map(({ layer, unit, signals }) => ({ layer, unit, signal: signals[0].name }))];
  $("list").replaceChildren(...entries.map(listed));
  $("list").addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (item) choose([...$("list").children].indexOf(item));
  });
  $("picker").addEventListener("submit", (event) => {
    event.preventDefault();
    pick($("layer").valueAsNumber, $("unit").valueAsNumber);
  });
  $("verdicts").append(...Object.entries(data.verdicts).map(([verdict, meaning]) =>
    el("div", {}, verdictOf({ verdict }), ` ${meaning}`)));
}

function listed(entry, k) {
  const { finding } = entry;
  const item = el("li", { id: `unit-${k}`, role: "option", className: unitOf(entry) ? "" : "absent" });
  item.setAttribute("aria-selected", "false");
  const name = el("span", { className: "small quiet number" }, `${entry.layer}:${entry.unit} ${named(entry.signal)}`);
  if (!finding) {
    item.classList.add("plain");
    item.append(name);
    return item;
  }
  const fill = el("i");
  fill.style.width = `${100 * Math.max(0, finding.strength ?? 0)}%`;
  const [present, absent] = finding.delta ?? [null, null];
  const facts = [
    ["confirmed", fixed(finding.confirmed)], ["p", fixed(finding.p, 3)], ["gain over baselines", signed(finding.gain, 2)],
    ["Δ nats, present", signed(present)], ["Δ nats, absent", signed(absent)],
  ];
  item.classList.add(finding.verdict);
  item.append(
    el("div", { className: "row" }, el("span", { className: "feature" }, ...breakable(finding.feature)), verdictOf(finding)),
    el("div", { className: "bar" }, fill),
    el("div", { className: "row" }, name, el("span", { className: "small number", textContent: scoreOf(finding) })),
    el("dl", {}, ...facts.flatMap(([key, value]) => [el("dt", {}, key), el("dd", { className: "number" }, value)])),
  );
  return item;
}

// ---- gate saturation

function plot({ layer, gate, left, right }) {
  const shut = floatsAt(left);
  const open = floatsAt(right);
  const dots = Array.from(shut, (x, unit) => {
    const kind = unitOf({ layer, unit }) ? "dot here" : "dot";
    const dot = svg("circle", { class: kind, cx: 100 * x, cy: 100 - 100 * open[unit], r: 1.8 });
    const said = `Unit ${layer}:${unit}, ${gate}: shut ${percent(x)}, open ${percent(open[unit])}.`;
    return Object.assign(dot, { layer, unit, said });
  });
  const tick = (text, x, y, more = {}) => svg("text", { class: "tick", x, y, ...more }, text);
  const ticks = [
    tick("0", -2, 108), tick("shut", 42, 108), tick("1", 98, 108),
    tick("1", -7, 3), tick("open", -7, 52, { transform: "rotate(-90 -7 52)" }),
  ];
  const picture = svg("svg", { viewBox: "-12 -3 116 115", role: "img", "aria-label": `Layer ${layer}, ${gate}` },
    svg("path", { class: "axis", d: "M0 0V100H100Z" }), ...ticks, ...dots);
  const caption = el("figcaption", {}, el("b", { textContent: meaningOf(gate) || gate }), ` ${gate}, layer ${layer}`);
  return el("figure", {}, caption, picture);
}

function toggleGates() {
  if (!data.gates.length) return;
  const section = $("gates");
  if (!$("plots").childNodes.length) $("plots").append(...data.gates.map(plot));
  section.hidden = !section.hidden;
  $("gates-button").setAttribute("aria-expanded", String(!section.hidden));
  markDots();
  (section.hidden ? document.body : section).scrollIntoView({ block: "start" });
}

function markDots() {
  for (const dot of $("plots").querySelectorAll(".dot")) {
    dot.classList.toggle("now", dot.layer === now.unit.layer && dot.unit === now.unit.unit);
  }
}

// ---- keys, and light or dark

function toggleTheme() {
  const isDark = getComputedStyle(document.documentElement).getPropertyValue("color-scheme") === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
  paint();
}

function toggleFit() {
  $("fit").checked = !$("fit").checked;
  showSignal(now.signal);
}

const toggleHelp = () => ($("help").open ? $("help").close() : $("help").showModal());

const KEYS = {
  ArrowUp: () => step(-1), ArrowDown: () => step(1),
  ArrowLeft: () => move(now.caret - 1), ArrowRight: () => move(now.caret + 1),
  s: () => showSignal((now.signal + 1) % now.unit.signals.length),
  c: toggleFit, g: toggleGates, "?": toggleHelp,
};

function listen() {
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping || !Object.hasOwn(KEYS, event.key)) return;
    if ($("help").open && event.key !== "?") return;
    event.preventDefault();
    KEYS[event.key]();
  });
  $("theme-button").addEventListener("click", toggleTheme);
  $("help-button").addEventListener("click", toggleHelp);
  $("gates-button").addEventListener("click", toggleGates);
  $("gates-button").hidden = !data.gates.length;
  $("fit").addEventListener("change", () => showSignal(now.signal));
  $("plots").addEventListener("mouseover", ({ target }) => ($("dot").textContent = target.said ?? ""));
  $("plots").addEventListener("click", ({ target }) => target.said && pick(target.layer, target.unit));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  addEventListener("resize", () => drawOverview(bytesAt(signalNow().values)));
}

function start() {
  buildList();
  readPassage();
  listen();
  const [layer, unit, signal] = location.hash.slice(1).split(":");
  const isLinked = (entry) => `${entry.layer}:${entry.unit}` === `${layer}:${unit}` && unitOf(entry);
  const linked = entries.findIndex(isLinked);
  choose(linked >= 0 ? linked : entries.findIndex(unitOf));
  const wanted = now.unit.signals.findIndex((each) => each.name === signal);
  if (linked >= 0 && wanted >= 0) showSignal(wanted);
  move(0, false);
  paint(); // again, because the overview takes its colours from the legend, which is there only now
  document.documentElement.dataset.ready = "yes";
}

load().then(start).catch((error) => {
  $("trouble").textContent = `This page could not be shown: ${error.message}. A browser of 2024 or later is needed.`;
  $("trouble").hidden = false;
});
