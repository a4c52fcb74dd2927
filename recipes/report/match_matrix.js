// ---- the alignment: similarity of every step, the path, and the same subtitle by other settings
const GROUPS = {
  order: ["Weight of the order", "how much a step back costs: none lets the path jump, more keeps it going forward"],
  duration: ["Weight of the duration", "how much the pace of speech counts: more draws the path to the diagonal"],
  aligner: ["Aligner", "DTW must take every step in turn; DSTA may pass over what is not seen"],
};
const matrix = $("matrix"), edge = { left: 34, top: 4, bottom: 22 };
const pictures = new Map();
function ramp() {
  const style = getComputedStyle(document.documentElement);
  const stops = [0, 1, 2].map((k) => style.getPropertyValue(`--heat-${k}`).match(/\w\w/g).map((hex) => parseInt(hex, 16)));
  return (value) => {
    const k = value < 0.5 ? 0 : 1, part = value * 2 - k;
    return stops[k].map((c, channel) => Math.round(c + part * (stops[k + 1][channel] - c)));
  };
}
function pictureOf(k) {
  if (!pictures.has(k)) {
    const { n, m, cells } = candidates[k], shades = Array.from({ length: 256 }, (_, value) => ramp256(value));
    const picture = make("canvas", { width: n, height: m }), context = picture.getContext("2d"), image = context.createImageData(n, m);
    for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) image.data.set(shades[cells[i * m + j]], 4 * (j * n + i));
    context.putImageData(image, 0, 0);
    pictures.set(k, picture);
  }
  return pictures.get(k);
}
let shade = ramp();
const ramp256 = (value) => [...shade(value / 255), 255];
function sized(canvas, tall) {
  const ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth;
  canvas.width = wide * ratio;
  canvas.height = tall * ratio;
  canvas.style.setProperty("height", `${tall}px`);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return [pen, wide];
}
function path(pen, labels, m, box, style, width) {
  const w = box.width / labels.length, h = box.height / m;
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.lineJoin = "round";
  pen.beginPath();
  labels.forEach((j, i) => pen[i ? "lineTo" : "moveTo"](box.left + (i + 0.5) * w, box.top + (j + 0.5) * h));
  pen.stroke();
}
const paint = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let still = null;  // the matrix without the head, which moves
function drawMatrix() {
  const tall = 380;
  const [pen, wide] = sized(matrix, tall);
  if (!wide) return;
  const { n, m, labels, textTimes, spoken } = own();
  const box = { left: edge.left, top: edge.top, width: wide - edge.left - 2, height: tall - edge.top - edge.bottom };
  pen.imageSmoothingEnabled = false;
  pen.drawImage(pictureOf(chosen), box.left, box.top, box.width, box.height);
  pen.strokeStyle = paint("--line");
  pen.strokeRect(box.left - 0.5, box.top - 0.5, box.width + 1, box.height + 1);
  const last = textTimes.at(-1) + (textTimes[1] - textTimes[0] || 0) / 2;
  const y = (time) => box.top + clamp(time / last, 0, 1) * box.height;
  pen.setLineDash([3, 4]);
  pen.strokeStyle = paint("--soft");
  pen.lineWidth = 1;
  spoken.slice(0, -1).forEach(([, end], k) => {
    const at = y((end + spoken[k + 1][0]) / 2);
    pen.beginPath();
    pen.moveTo(box.left, at);
    pen.lineTo(box.left + box.width, at);
    pen.stroke();
  });
  pen.setLineDash([]);
  path(pen, labels, m, box, paint("--card"), 4.5);
  path(pen, labels, m, box, paint("--s1"), 2.2);
  pen.fillStyle = paint("--soft");
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  spoken.forEach(([start, end], k) => { if (y(end) - y(start) > 12) pen.fillText(`${k + 1}`, box.left - 8, (y(start) + y(end)) / 2); });
  pen.textBaseline = "top";
  pen.textAlign = "center";
  const every = [1, 2, 5, 10, 20].find((s) => duration / s <= 10) ?? 30;
  for (let t = 0; t <= duration; t += every) pen.fillText(`${t} s`, box.left + t / duration * box.width, box.top + box.height + 7);
  still = { image: pen.getImageData(0, 0, matrix.width, matrix.height), box };
}
function paintMatrix(time) {
  if (!still) return;
  const pen = matrix.getContext("2d"), { box } = still;
  pen.putImageData(still.image, 0, 0);
  pen.fillStyle = paint("--s6");
  pen.fillRect(box.left + clamp(time / duration, 0, 1) * box.width - 1, box.top, 2, box.height);
}
function drawEffects() {
  const own = candidates[0];
  $("effects-hint").textContent = `the best one, ${own.id}`;
  $("effects").replaceChildren(...Object.entries(data.variants).map(([group, variants]) => make("div", { class: "group" }, [
    make("h3", { text: GROUPS[group][0] }), make("p", { class: "hint", text: GROUPS[group][1] }),
    make("div", { class: "panels" }, variants.map(({ name, chosen }) => make("figure", { class: chosen ? "own" : "" }, [
      make("canvas", { role: "img", "aria-label": `Path with ${GROUPS[group][0].toLowerCase()} ${name}` }), make("figcaption", { text: chosen ? `${name}, as set` : name }),
    ]))),
  ])));
  const canvases = [...$("effects").querySelectorAll("canvas")];
  Object.values(data.variants).flat().forEach(({ labels }, k) => {
    const tall = 96, [pen, wide] = sized(canvases[k], tall);
    if (!wide) return;
    const box = { left: 0, top: 0, width: wide, height: tall };
    pen.drawImage(pictureOf(0), 0, 0, wide, tall);
    path(pen, labels, own.m, box, paint("--card"), 3.2);
    path(pen, labels, own.m, box, paint("--s1"), 1.6);
  });
}
function bindMatrix() {
  const at = (event) => {
    const { box } = still, place = event.clientX - matrix.getBoundingClientRect().left - box.left;
    return place / box.width * duration;
  };
  matrix.addEventListener("click", (e) => seek(at(e)));
  matrix.addEventListener("keydown", (e) => {
    const moved = { ArrowLeft: -0.5, ArrowRight: 0.5 }[e.key];
    if (!moved) return;
    e.preventDefault();
    seek(player.currentTime + moved);
  });
  $("strip").addEventListener("click", (e) => { const box = $("strip").getBoundingClientRect(); seek((e.clientX - box.left) / box.width * duration); });
  $("scale").append(make("span", { text: signed(data.low) }), make("i"), make("span", { text: signed(data.high) }));
}

// ---- everything, in order
drawHead();
drawRanks();
openPlayer();
bindMatrix();
choose(0);
drawEffects();
const redraw = () => { drawMatrix(); drawEffects(); follow(); };
let width = document.body.clientWidth;
new ResizeObserver(() => { if (document.body.clientWidth !== width) { width = document.body.clientWidth; redraw(); } }).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { shade = ramp(); pictures.clear(); redraw(); });
