// ---- the timeline: built once, placed anew for every zoom
const scroller = $("scroller"), track = $("track");
const line = { fit: 1, scale: 1, width: 1 };  // scale in pixels per second
const parts = { clips: [], cards: [], ribbons: [], bars: [], ruler: make("div", { class: "ruler" }) };
const RIBBON = 46;
function lane(key) {
  const bars = sentences.flatMap((sentence, j) => sentence[key] ? [[j, sentence[key]]] : []);
  const row = make("div", { class: "lane" }, bars.map(([j, [start, end]]) => {
    const title = `${key === "spoken" ? "Spoken" : "Annotated"} ${span([start, end])}: ${sentences[j].text}`;
    const bar = register(make("i", { title, css: { background: colour(j), left: `${100 * start / total}%`, width: `${100 * (end - start) / total}%` } }), "sentence", j);
    return bar;
  }));
  return bars.length ? row : null;
}
function clipButton([start, end], i) {
  const j = labels[i];
  const name = `Clip ${i + 1}, ${span([start, end])}: ${j < 0 ? "no sentence" : sentences[j].text}`;
  const button = make("button", { type: "button", class: j < 0 ? "clip dropped" : "clip", title: name, "aria-label": name, tabindex: i ? -1 : 0 });
  if (data.pictures.length) button.append(make("span", { class: "picture", css: { "background-image": `url(${data.pictures[i]})` } }));
  if (j >= 0) button.append(make("span", { class: "mark", css: { background: colour(j) } }));
  button.style.setProperty("--own", j < 0 ? "var(--faint)" : colour(j));
  return register(button, "clip", i);
}
function card(sentence, j) {
  const note = silent(j) ? "no picture" : sentence.spans.map(span).join(", ");
  const button = make("button", { type: "button", class: "sentence" + (silent(j) ? " silent" : ""), title: `${j + 1}. ${sentence.text} (${note})`, tabindex: j ? -1 : 0 }, [
    make("span", { class: "label" }, [make("b", { text: j + 1 }), make("span", silent(j) ? { class: "nothing", text: "no picture" } : { text: clock(sentence.spans[0][0], true) })]),
    words(sentence.text, "text"),
  ]);
  if (!silent(j)) button.style.setProperty("--own", colour(j));
  return register(button, "sentence", j);
}
function buildTimeline() {
  parts.clips = clips.map(clipButton);
  parts.cards = sentences.map(card);
  parts.svg = make("svg:svg", { class: "ribbons", height: RIBBON, "aria-hidden": "true" });
  sentences.forEach((sentence, j) => sentence.spans.forEach((run) => {
    const path = register(make("svg:path", { css: { fill: colour(j) } }), "sentence", j);
    parts.ribbons.push({ path, run, j });
    parts.svg.append(path);
  }));
  parts.scaled = make("div", {}, []);
  const rows = [["spoken", lane("spoken")], ["annotated", data.annotated ? lane("truth") : null]].filter(([, row]) => row);
  const film = make("div", { class: "film", role: "group", "aria-label": "Clips; arrow keys move from one to the next" }, parts.clips);
  const cards = make("div", { class: "cards", role: "group", "aria-label": "Sentences; arrow keys move from one to the next" }, parts.cards);
  const head = make("div", { class: "head" });
  heads.push(head);
  parts.scaled.append(parts.ruler, ...rows.map(([, row]) => row), film, head);
  parts.scaled.style.setProperty("position", "relative");
  track.append(parts.scaled, parts.svg, cards);
  const labelled = (text, height) => make("div", { text, css: { height: `${height}px` } });
  $("gutter").append(labelled("", 22), ...rows.map(([name]) => labelled(name, 14)), labelled("clips", 80), labelled("", RIBBON), labelled("sentences", 40));
  for (const [group, items] of [[film, parts.clips], [cards, parts.cards]]) group.addEventListener("keydown", (e) => walk(e, items));
}
function walk(event, items) {
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
  const from = items.indexOf(document.activeElement);
  if (!step || from < 0) return;
  event.preventDefault();
  const to = clamp(from + step, 0, items.length - 1);
  items[from].tabIndex = -1;
  items[to].tabIndex = 0;
  items[to].focus();
}

// Cards stand as near to the middle of their clips as they can without overlap: pool-adjacent-violators on the offsets.
function placeCards(width) {
  const room = width / Math.max(m, 1), gap = room > 30 ? 6 : 1;
  const least = Math.min(190, room - gap);
  const extent = (j) => [sentences[j].spans[0][0] * line.scale, sentences[j].spans.at(-1)[1] * line.scale];
  let widths = sentences.map((_, j) => silent(j) ? least : Math.max(least, Math.min(extent(j)[1] - extent(j)[0], 300)));
  if (widths.reduce((sum, w) => sum + w + gap, 0) > width) widths = widths.map(() => least);
  const middles = sentences.map((_, j) => silent(j) ? null : (extent(j)[0] + extent(j)[1]) / 2);
  for (let j = 0; j < m; j++) {
    if (middles[j] !== null && !silent(j)) continue;
    let next = j;
    while (next < m && silent(next)) next++;
    const before = j ? middles[j - 1] : 0, after = next < m ? middles[next] : width;
    middles[j] = before + (after - before) / (next - j + 1);
  }
  const blocks = [];
  let offset = 0;
  middles.forEach((middle, j) => {
    blocks.push({ sum: middle - widths[j] / 2 - offset, count: 1 });
    offset += widths[j] + gap;
    while (blocks.length > 1 && blocks.at(-2).sum / blocks.at(-2).count > blocks.at(-1).sum / blocks.at(-1).count) {
      const last = blocks.pop();
      blocks.at(-1).sum += last.sum;
      blocks.at(-1).count += last.count;
    }
  });
  const limit = width - offset + gap;
  const starts = blocks.flatMap(({ sum, count }) => Array(count).fill(clamp(sum / count, 0, Math.max(limit, 0))));
  offset = 0;
  return starts.map((start, j) => {
    const left = start + offset;
    offset += widths[j] + gap;
    return [left, widths[j]];
  });
}
function layOut() {
  const width = line.width = total * line.scale;
  parts.scaled.style.setProperty("width", `${width}px`);
  parts.clips.forEach((button, i) => {
    const [start, end] = clips[i];
    const size = Math.max((end - start) * line.scale - 1, 1);
    button.style.setProperty("left", `${start * line.scale}px`);
    button.style.setProperty("width", `${size}px`);
    button.classList.toggle("wide", size > 135);  // wider than its picture, which is then repeated like film
  });
  const boxes = placeCards(width);
  parts.cards.forEach((button, j) => {
    const [left, size] = boxes[j];
    button.style.setProperty("left", `${left}px`);
    button.style.setProperty("width", `${Math.max(size, 1)}px`);
    button.classList.toggle("small", size < 92);
    button.classList.toggle("tiny", size < 22);
  });
  track.style.setProperty("width", `${width}px`);
  track.classList.toggle("bare", boxes.every(([, size]) => size < 92));
  parts.svg.setAttribute("width", width);
  for (const { path, run, j } of parts.ribbons) {
    const [x0, x1] = run.map((time) => time * line.scale), [left, size] = boxes[j], half = RIBBON / 2;
    path.setAttribute("d", `M${x0},0C${x0},${half} ${left},${half} ${left},${RIBBON}L${left + size},${RIBBON}C${left + size},${half} ${x1},${half} ${x1},0Z`);
  }
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((s) => s * line.scale >= 64) ?? 7200;
  const ticks = [];
  for (let time = 0; time * line.scale < width - 34; time += step) ticks.push(make("span", { text: clock(time), css: { left: `${time * line.scale}px` } }));
  parts.ruler.replaceChildren(...ticks);
  frameWindow();
}

// ---- zoom: from the whole video to a tenth of a second in 12 pixels
const MOST = 120;
function setScale(scale, about = scroller.clientWidth / 2) {
  const time = (scroller.scrollLeft + about) / line.scale;
  line.scale = clamp(scale, line.fit, Math.max(MOST, line.fit));
  $("zoom").value = 100 * Math.log(line.scale / line.fit) / Math.max(Math.log(Math.max(MOST, line.fit) / line.fit), 1e-9);
  layOut();
  scroller.scrollLeft = time * line.scale - about;
}
function measure() {
  line.fit = Math.max(scroller.clientWidth - 2, 50) / total;
  setScale(Math.max(line.scale, line.fit));
}
function startScale() {
  const lengths = clips.map(([start, end]) => end - start).sort((a, b) => a - b);
  const readable = Math.max(72 / (lengths[n >> 1] || 1), 130 * m / total);
  line.fit = line.scale = Math.max(scroller.clientWidth - 2, 50) / total;
  setScale(Math.min(readable, 60), 0);
}
function show(clip, sentence) {
  const time = clip >= 0 ? clips[clip][0] : null;
  const middle = time !== null ? time * line.scale : parts.cards[sentence] ? parts.cards[sentence].offsetLeft : 0;
  const inside = middle > scroller.scrollLeft + 60 && middle < scroller.scrollLeft + scroller.clientWidth - 160;
  if (!inside) scroller.scrollTo({ left: middle - scroller.clientWidth / 3, behavior: "smooth" });
}
function bindZoom() {
  $("zoom").addEventListener("input", (e) => setScale(line.fit * (Math.max(MOST, line.fit) / line.fit) ** (e.target.value / 100)));
  $("zoom-in").addEventListener("click", () => setScale(line.scale * 1.5));
  $("zoom-out").addEventListener("click", () => setScale(line.scale / 1.5));
  $("zoom-fit").addEventListener("click", () => setScale(line.fit));
  scroller.addEventListener("wheel", (e) => {
    if (!e.ctrlKey) return;
    e.preventDefault();
    setScale(line.scale * Math.exp(-e.deltaY / 300), e.clientX - scroller.getBoundingClientRect().left);
  }, { passive: false });
  scroller.addEventListener("scroll", frameWindow, { passive: true });
}

// ---- the overview strip: the whole video, and the part that the timeline shows
const frame = make("div", { class: "window" });
function drawOverview() {
  const svg = make("svg:svg", { viewBox: `0 0 ${total} 1`, preserveAspectRatio: "none" });
  labels.forEach((j, i) => j >= 0 && svg.append(make("svg:rect", { x: clips[i][0], width: clips[i][1] - clips[i][0], y: 0, height: 1, css: { fill: colour(j) } })));
  const head = make("div", { class: "head" });
  heads.push(head);
  const strip = $("overview");
  strip.append(svg, frame, head);
  const go = (e) => {
    const box = strip.getBoundingClientRect();
    scroller.scrollLeft = (e.clientX - box.left) / box.width * line.width - scroller.clientWidth / 2;
  };
  strip.addEventListener("pointerdown", (e) => { strip.setPointerCapture(e.pointerId); go(e); });
  strip.addEventListener("pointermove", (e) => e.buttons && go(e));
}
function frameWindow() {
  frame.style.setProperty("left", `${100 * scroller.scrollLeft / line.width}%`);
  frame.style.setProperty("width", `${Math.min(100, 100 * scroller.clientWidth / line.width)}%`);
}
