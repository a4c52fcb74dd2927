// ---- the similarity matrix, sentences downwards and clips to the right, with the path drawn over it
const heat = $("heat"), cells = Uint8Array.from(atob(data.similarity.cells), (c) => c.charCodeAt(0));
const { low, high } = data.similarity;
const similarity = (i, j) => low + cells[i * m + j] / 255 * (high - low);
const grid = { left: 34, top: 4, bottom: 24, width: 1, height: 1, picture: null };
let cursor = null;
function ramp() {
  const style = getComputedStyle(document.documentElement);
  const stops = [0, 1, 2].map((k) => style.getPropertyValue(`--heat-${k}`).match(/\w\w/g).map((hex) => parseInt(hex, 16)));
  return (value) => {
    const k = value < 0.5 ? 0 : 1, part = value * 2 - k;
    return stops[k].map((c, channel) => Math.round(c + part * (stops[k + 1][channel] - c)));
  };
}
function drawCells() {
  grid.picture = make("canvas", { width: Math.max(n, 1), height: Math.max(m, 1) });
  const context = grid.picture.getContext("2d"), image = context.createImageData(Math.max(n, 1), Math.max(m, 1)), shade = ramp();
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) image.data.set([...shade(cells[i * m + j] / 255), 255], 4 * (j * n + i));
  }
  context.putImageData(image, 0, 0);
}
function paintHeat() {
  const ratio = window.devicePixelRatio || 1, wide = $("matrix").clientWidth;
  if (!wide || !grid.picture) return;
  grid.width = wide - grid.left - 2;
  grid.height = clamp(m * 28, 120, 500);
  const tall = grid.height + grid.top + grid.bottom;
  heat.width = wide * ratio;
  heat.height = tall * ratio;
  heat.style.setProperty("height", `${tall}px`);
  const pen = heat.getContext("2d"), style = getComputedStyle(document.documentElement);
  const paint = (name) => style.getPropertyValue(name).trim();
  const w = grid.width / Math.max(n, 1), h = grid.height / Math.max(m, 1);
  const box = (i0, i1, j) => [grid.left + i0 * w, grid.top + j * h, (i1 - i0) * w, h];
  pen.scale(ratio, ratio);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(grid.picture, grid.left, grid.top, grid.width, grid.height);
  pen.strokeStyle = paint("--line");
  pen.strokeRect(grid.left - 0.5, grid.top - 0.5, grid.width + 1, grid.height + 1);
  labels.forEach((j, i) => {  // a dropped clip has no cell of the path: its whole column is veiled
    if (j >= 0) return;
    pen.globalAlpha = 0.55;
    pen.fillStyle = paint("--void");
    pen.fillRect(grid.left + i * w, grid.top, w, grid.height);
    pen.globalAlpha = 1;
  });
  if (data.annotated) {
    pen.setLineDash([4, 3]);
    pen.lineWidth = 1.2;
    pen.strokeStyle = paint("--ink");
    sentences.forEach(({ truth }, j) => {
      if (!truth) return;
      const inside = clips.flatMap(([start, end], i) => Math.min(end, truth[1]) - Math.max(start, truth[0]) > (end - start) / 2 ? [i] : []);
      if (inside.length) pen.strokeRect(...box(inside[0], inside.at(-1) + 1, j));
    });
    pen.setLineDash([]);
  }
  for (let i = 0; i < n; i++) {
    const j = labels[i], from = i;
    if (j < 0) continue;
    while (i + 1 < n && labels[i + 1] === j) i++;
    pen.lineWidth = Math.min(2.5, Math.max(1.5, h / 4));
    pen.strokeStyle = paint(`--s${j % 8}`);
    pen.strokeRect(...box(from, i + 1, j));
  }
  const spot = cursor ?? (at.clip >= 0 && at.sentence >= 0 ? { clip: at.clip, sentence: at.sentence } : null);
  if (spot) {
    pen.strokeStyle = paint("--ink");
    pen.lineWidth = 2;
    pen.strokeRect(...box(spot.clip, spot.clip + 1, spot.sentence));
  }
  pen.fillStyle = paint("--soft");
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((s) => s * h >= 14) ?? 1000;
  for (let j = every - 1; j < m; j += every) pen.fillText(String(j + 1), grid.left - 6, grid.top + (j + 0.5) * h);
  pen.textAlign = "left";
  pen.textBaseline = "top";
  let free = 0;
  for (let i = 0; i < n; i++) {
    const x = grid.left + i * w;
    if (x < free || x > wide - 34) continue;
    pen.fillRect(x, grid.top + grid.height, 1, 4);
    pen.fillText(clock(clips[i][0]), x, grid.top + grid.height + 7);
    free = x + 64;
  }
}
function cellUnder(event) {
  const box = heat.getBoundingClientRect();
  const clip = Math.floor((event.clientX - box.left - grid.left) / grid.width * n);
  const sentence = Math.floor((event.clientY - box.top - grid.top) / grid.height * m);
  return clip >= 0 && clip < n && sentence >= 0 && sentence < m ? { clip, sentence } : null;
}
function point(spot) {
  cursor = spot;
  const tip = $("tip");
  tip.hidden = !spot;
  paintHeat();
  mark("lit", spot ?? {});
  if (!spot) return;
  const { clip, sentence } = spot, chosen = labels[clip] === sentence ? " · chosen" : "";
  tip.replaceChildren(make("b", { text: `${signed(similarity(clip, sentence))} · clip ${clip + 1} × sentence ${sentence + 1}${chosen}` }), make("br"), words(sentences[sentence].text));
  const x = grid.left + (clip + 1) * grid.width / n + 10, y = grid.top + (sentence + 1) * grid.height / m + 8;
  const wide = $("matrix").clientWidth;
  tip.style.setProperty("left", `${clamp(x, 0, Math.max(wide - tip.offsetWidth, 0))}px`);
  tip.style.setProperty("top", `${y}px`);
}
function bindHeat() {
  heat.addEventListener("pointermove", (e) => point(cellUnder(e)));
  heat.addEventListener("pointerleave", () => point(null));
  heat.addEventListener("blur", () => point(null));
  heat.addEventListener("click", (e) => { const spot = cellUnder(e); if (spot) choose(spot.clip, labels[spot.clip], { reveal: true }); });
  heat.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (!n || !m || (!step && e.key !== "Enter")) return;
    e.preventDefault();
    const from = cursor ?? { clip: Math.max(at.clip, 0), sentence: Math.max(at.sentence, 0) };
    if (!step) choose(from.clip, labels[from.clip], { reveal: true });
    else point({ clip: clamp(from.clip + step[0], 0, n - 1), sentence: clamp(from.sentence + step[1], 0, m - 1) });
  });
  $("scale").append(make("span", { text: signed(low) }), make("i"), make("span", { text: signed(high) }));
  $("matrix-hint").textContent = "Clips run to the right, sentences downwards. Outlines are the chosen path; veiled columns are clips without a sentence."
    + (data.annotated ? " Dashed boxes are the annotation." : "");
}

// ---- everything, in order
drawHead();
buildTimeline();
drawOverview();
drawTable();
bindZoom();
bindHeat();
startScale();
drawCells();
openPlayer();
const first = labels.findIndex((j) => j >= 0);
if (n) choose(Math.max(first, 0), labels[Math.max(first, 0)], { seek: false });
else paintHeat();
new ResizeObserver(() => { measure(); paintHeat(); }).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawCells(); paintHeat(); });
