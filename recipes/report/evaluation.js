// The evaluation: bars with intervals, every video, the figures, the ends of the list.
const model = data.rows.find((row) => row.name === "model") ?? data.rows[0];
const oracle = data.rows.find((row) => row.name === "oracle");
const bases = data.rows.filter((row) => ["all-drop", "uniform", "transcript"].includes(row.name));
const base = bases.reduce((best, row) => (row.figures[0].value ?? -1) > (best?.figures[0].value ?? -1) ? row : best, null);
const places = (value, digits = 3) => value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
const percent = (value) => value === null ? "–" : `${Math.round(100 * value)} %`.replace("-", "−");
const percent1 = (value) => value === null ? "–" : `${(100 * value).toFixed(1)} %`;
const range1 = ({ low, high }) => low === null ? "" : ` ${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`;
const range = ({ low, high }, digits) => low === null ? "" : ` ${places(low, digits)} to ${places(high, digits)}`;

function drawHead() {
  $("name").textContent = data.title;
  const gap = fact("Of the way from the best baseline to the oracle", percent(data.gap.value));
  gap.className = "gap";
  const parts = Object.entries(data.facts).map(([name, value]) => fact(name, value));
  if (data.gap.low !== null) parts.unshift(fact("Its interval", `${percent(data.gap.low)} to ${percent(data.gap.high)}`));
  $("facts").append(gap, ...parts, fact("Videos", `${data.videos}`));
  $("f1-hint").textContent = "mean over videos, with its bootstrap interval over videos";
  $("doubt").hidden = !data.doubt;
  $("doubt").textContent = `Note: ${data.doubt}.`;
  const skipped = data.skipped.length ? ` Not scored, for want of clips or matched sentences: ${data.skipped.join(", ")}.` : "";
  $("note").textContent = `F1 is the harmonic mean of Clip Accuracy and Sentence IoU of each video; a dropped clip earns nothing.${skipped}`;
}

function drawBars() {
  for (const row of data.rows) {
    const { value, low, high } = row.figures[0];
    const rail = make("div", { class: `rail ${row.name}` });
    if (value !== null) {
      rail.append(make("div", { class: "fill", css: { width: `${100 * clamp(value, 0, 1)}%` } }));
      if (low !== null && high > low) rail.append(make("div", { class: "whisker", css: { left: `${100 * low}%`, width: `${100 * (high - low)}%` } }));
      rail.append(make("div", { class: "value", text: places(value), css: { left: `${100 * Math.min(Math.max(value, high ?? 0), 0.93)}%` } }));
    }
    $("bars").append(make("div", { class: "name" }, [make("b", { text: row.name }), make("span", { text: row.meaning })]), rail);
  }
}

function drawStrip() {
  const wide = Math.max($("strip").clientWidth, 200), tall = 260, left = 30, bottom = 8;
  const videos = Object.entries(model.videos).filter(([, f1]) => f1 !== null).sort((a, b) => b[1] - a[1]);
  const step = (wide - left - 10) / Math.max(videos.length, 1), size = clamp(step / 2.6, 1.2, 5.5);
  const y = (f1) => 6 + (1 - f1) * (tall - 6 - bottom);
  const svg = make("svg:svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": "F1 of every video: model, best baseline and oracle" });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(make("svg:line", { x1: left, x2: wide, y1: y(tick), y2: y(tick) }), make("svg:text", { x: 0, y: y(tick) + 4, text: tick.toFixed(2) }));
  }
  videos.forEach(([id, f1], place) => {
    const x = left + (place + 0.5) * step + 4, floor = base?.videos[id] ?? null, roof = oracle?.videos[id] ?? null;
    const title = [`${id}: model ${places(f1)}`, floor === null ? "" : `${base.name} ${places(floor)}`, roof === null ? "" : `oracle ${places(roof)}`];
    const group = make("svg:g", {}, [make("svg:title", { text: title.filter(Boolean).join(" · ") })]);
    if (floor !== null) group.append(make("svg:line", { class: "between", x1: x, x2: x, y1: y(floor), y2: y(f1) }));
    if (roof !== null) group.append(make("svg:line", { class: "oracle", x1: x - size - 1, x2: x + size + 1, y1: y(roof), y2: y(roof) }));
    if (floor !== null) group.append(make("svg:circle", { class: "base", cx: x, cy: y(floor), r: Math.max(size - 1, 1) }));
    group.append(make("svg:circle", { class: "model", cx: x, cy: y(f1), r: size }));
    svg.append(group);
  });
  $("strip").replaceChildren(svg);
}

function fill(table, names, rows) {
  const cellOf = (tag, content, place) => {
    const element = make(tag, { class: place ? "number" : "" });
    element.append(content);
    return element;
  };
  $(table).append(
    make("thead", {}, [make("tr", {}, names.map((name, place) => cellOf("th", name, place)))]),
    make("tbody", {}, rows.map(({ name = "", cells }) => make("tr", { class: name }, cells.map((content, place) => cellOf("td", content, place))))),
  );
}

function drawTables() {
  const figure = (interval) => make("span", { text: places(interval.value) }, [make("span", { class: "range", text: range(interval) })]);
  fill("figures", ["", "F1", "Clip Accuracy", "Sentence IoU"], data.rows.map((row) => ({ name: row.name, cells: [row.name, ...row.figures.map(figure)] })));
  const videos = Object.entries(model.videos).filter(([, f1]) => f1 !== null).sort((a, b) => a[1] - b[1]);
  const line = ([id, f1]) => ({ cells: [id, places(f1), places(base?.videos[id]), places(oracle?.videos[id])] });
  const names = ["Video", "model", base?.name ?? "", "oracle"], shown = Math.min(8, Math.ceil(videos.length / 2));
  fill("worst", names, videos.slice(0, shown).map(line));
  fill("best", names, videos.slice(videos.length - shown).reverse().map(line));
}

function drawLanguages() {
  const names = Object.keys(model.languages);
  $("languages-card").hidden = !names.length;
  if (!names.length) return;
  const most = Math.max(...data.rows.flatMap((row) => names.map((name) => row.languages[name][0].value ?? 0)), 0.01);
  const shade = (interval) => {
    const share = Math.round(100 * clamp((interval.value ?? 0) / most, 0, 1));
    const text = places(interval.value), title = `${text} (${range(interval).trim()})`;
    const tone = `color-mix(in oklab, var(--heat-1) ${share}%, var(--heat-0))`;
    return make("span", { class: "shade", text, title, css: { "background-color": tone } });
  };
  const rows = data.rows.map((row) => ({ name: row.name, cells: [row.name, ...names.map((name) => shade(row.languages[name][0]))] }));
  fill("languages", ["", ...names], rows);
}

function drawRetrieval() {
  const rows = data.retrieval;
  $("retrieval-card").hidden = !rows.length;
  if (!rows.length) return;
  const all = rows[rows.length - 1];
  $("retrieval-hint").textContent = `${all.sentences} sentences sought among ${all.clips} clips; a mark shows what chance would find`;
  const recall = (interval, chance) => make("div", { class: "recall" }, [
    make("span", { text: percent1(interval.value) }, [make("span", { class: "range", text: range1(interval) })]),
    make("div", { class: "thin" }, [
      make("div", { class: "fill", css: { width: `${100 * clamp(interval.value, 0, 1)}%` } }),
      make("div", { class: "tick", css: { left: `${100 * clamp(chance, 0, 1)}%` } }),
    ]),
  ]);
  const rank = (interval) => make("span", { text: places(interval.value, 1) }, [make("span", { class: "range", text: range(interval, 1) })]);
  const line = (row) => ({ cells: [
    row.name || "clips", recall(row.r1, row.chance[0]), recall(row.r5, row.chance[1]), recall(row.r10, row.chance[2]),
    rank(row.mean_rank), places(row.median_rank, 1), places(row.chance[3], 1), `${row.clips}`,
  ] });
  fill("retrieval", ["Among the clips of", "R@1", "R@5", "R@10", "Mean rank", "Median", "By chance", "Clips"], rows.map(line));
}

drawHead();
drawBars();
drawTables();
drawLanguages();
drawRetrieval();
$("legend").append(...[["model", "model"], ["base", base?.name ?? "baseline"], ["oracle", "oracle"]].map(([name, text]) => make("li", {}, [make("i", { class: name }), text])));
drawStrip();
new ResizeObserver(drawStrip).observe(document.body);
