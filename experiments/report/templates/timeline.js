// The timeline of a movement: lanes of sources, items at their times. No library; the data are in the page.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("timeline-data").textContent);
  const byId = (id) => document.getElementById(id);
  const plot = byId("plot"), which = byId("which"), sources = byId("sources"), detail = byId("detail");
  const rows = byId("items").querySelector("tbody");
  const LANE = 30, AXIS = 26, SVG = "http://www.w3.org/2000/svg";
  let movement, from, to, hidden = new Set(), chosen = null;

  const make = (name, attributes, parent, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const gutter = () => (plot.clientWidth < 520 ? 84 : 104);
  const shown = () => movement.items.filter((item) => !hidden.has(item.lane));
  const sentence = (item) => {
    const who = item.to ? `${item.lane} → ${item.to}` : item.lane;
    return `${item.t.toFixed(3)} ms · ${who}: ${item.text}${item.more ? ` (${item.more})` : ""}`;
  };
  const colour = (item) =>
    item.kind === "message" ? data.protocols[item.protocol] || "#333"
      : item.kind === "event" ? "#1b1b1b" : item.kind === "lost" ? "#a33a00" : "#009E73";

  function step(span, ticks) {
    const rough = span / ticks, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  }

  function draw() {
    const lanes = movement.lanes.filter((lane) => !hidden.has(lane));
    const width = plot.clientWidth, left = gutter(), height = AXIS + Math.max(1, lanes.length) * LANE + 6;
    const x = (t) => left + ((t - from) / (to - from)) * (width - left - 10);
    const y = (lane) => AXIS + lanes.indexOf(lane) * LANE + LANE / 2;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "presentation" });
    const clip = make("clipPath", { id: "inside" }, make("defs", {}, svg));
    make("rect", { x: left, y: 0, width: width - left, height }, clip);
    axis(svg, x, height);
    for (const lane of lanes) {
      make("line", { x1: left, x2: width, y1: y(lane), y2: y(lane), stroke: "#ddd" }, svg);
      make("text", { x: 6, y: y(lane) + 4 }, svg, lane);
    }
    const area = make("g", { "clip-path": "url(#inside)" }, svg), ends = {};
    const texts = make("g", { class: "labels", "clip-path": "url(#inside)" }, svg); // above all marks
    for (const item of shown()) {
      if (item.t < from || item.t > to) continue;
      mark(area, item, x(item.t), y, lanes);
      if (item.kind !== "answer") label(texts, item, x(item.t), y(item.lane), ends, width);
    }
    plot.replaceChildren(svg);
    svg.setAttribute("data-items", area.childElementCount);
  }

  function axis(svg, x, height) {
    const group = make("g", { class: "axis" }, svg), every = step(to - from, Math.max(2, plot.clientWidth / 130));
    make("text", { x: 6, y: 14 }, group, "ms");
    for (let t = Math.ceil(from / every) * every; t <= to; t += every) {
      make("line", { x1: x(t), x2: x(t), y1: AXIS - 6, y2: height, stroke: "#eee" }, group);
      make("text", { x: x(t), y: 14, "text-anchor": "middle" }, group, `${+t.toFixed(4)}`);
    }
  }

  function mark(area, item, at, y, lanes) {
    const group = make("g", { class: "item" + (item === chosen ? " chosen" : "") }, area), here = y(item.lane);
    const paint = colour(item);
    make("title", {}, group, sentence(item));
    const there = item.to && lanes.includes(item.to) ? y(item.to) : null;
    if (there !== null) {
      const tip = there > here ? -8 : 8, edge = { stroke: "#444", "stroke-width": 0.6 };
      make("line", { x1: at, x2: at, y1: here, y2: there + tip / 2, stroke: "#444", "stroke-width": 3.4, class: "mark" }, group);
      make("line", { x1: at, x2: at, y1: here, y2: there + tip / 2, stroke: paint, "stroke-width": 2.2 }, group);
      make("path", { d: `M${at - 4} ${there + tip} L${at} ${there} L${at + 4} ${there + tip} Z`, fill: paint, ...edge }, group);
      make("circle", { cx: at, cy: here, r: 2.8, fill: paint, ...edge }, group);
    } else if (item.kind === "answer" || item.kind === "lost") {
      make("line", { x1: at, x2: at, y1: here - 8, y2: here + 8, stroke: paint, class: "mark",
        "stroke-width": 2, "stroke-dasharray": item.kind === "lost" ? "2 2" : "none" }, group);
    } else {
      make("circle", { cx: at, cy: here, r: 4.2, fill: paint, stroke: "#444",
        "stroke-width": 1.6, class: "mark" }, group);
    }
    make("rect", { x: at - 6, y: here - 10, width: 12, height: 20, fill: "transparent" }, group);
    group.addEventListener("click", () => choose(item));
  }

  // Each lane writes from left to right, where there is room.
  function label(texts, item, at, here, ends, width) {
    const text = item.text, long = text.length * 6 + 8;
    if (at + 6 < (ends[item.lane] || 0) || at + 6 + long > width) return;
    make("text", { x: at + 7, y: here - 5 }, texts, text);
    ends[item.lane] = at + 6 + long;
  }

  function choose(item, quiet) {
    chosen = item;
    detail.textContent = sentence(item);
    if (item.t < from || item.t > to) { const half = (to - from) / 2; from = item.t - half; to = item.t + half; }
    if (!quiet) draw();
  }

  function zoom(factor, around) {
    const middle = around ?? (chosen && chosen.t >= from && chosen.t <= to ? chosen.t : (from + to) / 2);
    const span = Math.min((to - from) * factor, 4 * (movement.to_ms - movement.from_ms));
    if (span < 0.005) return;
    const share = (middle - from) / (to - from);
    from = middle - share * span; to = from + span;
    draw();
  }
  function pan(share) { const by = (to - from) * share; from += by; to += by; draw(); }
  function whole() { from = movement.from_ms; to = movement.to_ms; draw(); }
  function go(by) {
    const list = shown(), now = list.indexOf(chosen);
    if (!list.length) return;
    const first = list.findIndex((item) => item.t >= from);
    const next = now < 0 ? Math.max(0, first) : now + by;
    choose(list[Math.min(list.length - 1, Math.max(0, next))]);
  }

  function listAll() {
    rows.replaceChildren(...shown().map((item) => {
      const row = document.createElement("tr");
      const cells = [item.t.toFixed(3), item.to ? `${item.lane} → ${item.to}` : item.lane, item.text, item.more];
      cells.forEach((value, i) => {
        const cell = document.createElement("td");
        cell.textContent = value; if (!i) cell.className = "num";
        row.append(cell);
      });
      return row;
    }));
  }

  function select(index) {
    movement = data.movements[index]; hidden = new Set(); chosen = null;
    sources.querySelectorAll("label").forEach((node) => node.remove());
    for (const lane of movement.lanes) {
      const box = document.createElement("input"), name = document.createElement("label");
      box.type = "checkbox"; box.checked = true; box.value = lane;
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(lane); else hidden.add(lane);
        draw(); listAll();
      });
      name.append(box, lane); sources.append(name);
    }
    whole(); listAll();
  }

  const keys = {
    ArrowRight: () => go(1), ArrowLeft: () => go(-1), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
    PageUp: () => pan(-0.5), PageDown: () => pan(0.5), 0: whole,
    Home: () => shown().length && choose(shown()[0]), End: () => shown().length && choose(shown().at(-1)),
  };
  plot.addEventListener("keydown", (event) => {
    if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { keys[event.key](); event.preventDefault(); }
  });
  plot.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
    const at = event.clientX - plot.getBoundingClientRect().left - gutter();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, from + (at / (plot.clientWidth - gutter() - 10)) * (to - from));
    event.preventDefault();
  }, { passive: false });
  let grip = null;
  plot.addEventListener("pointerdown", (event) => { grip = { x: event.clientX, from, to, moved: false }; });
  addEventListener("pointermove", (event) => {
    if (!grip || (!grip.moved && Math.abs(event.clientX - grip.x) < 5)) return;
    grip.moved = true;
    const by = ((event.clientX - grip.x) / (plot.clientWidth - gutter() - 10)) * (grip.to - grip.from);
    from = grip.from - by; to = grip.to - by; draw();
  });
  addEventListener("pointerup", () => { grip = null; });
  addEventListener("pointercancel", () => { grip = null; });
  which.addEventListener("change", () => select(which.value));
  byId("in").addEventListener("click", () => zoom(0.5));
  byId("out").addEventListener("click", () => zoom(2));
  byId("earlier").addEventListener("click", () => pan(-0.5));
  byId("later").addEventListener("click", () => pan(0.5));
  byId("whole").addEventListener("click", whole);
  addEventListener("resize", draw);

  byId("legend").append("Messages:");
  const used = new Set(data.movements.flatMap((one) => one.items.map((item) => item.protocol)).filter(Boolean));
  for (const name of used) {
    const swatch = document.createElement("span");
    swatch.className = "swatch"; swatch.style.borderColor = data.protocols[name] || "#333";
    byId("legend").append(swatch, name);
  }
  select(which.value);
})();
